"""Streaming statistics of the splits equal those of all texts in memory."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.data.statistics import SplitStatistics, describe

REVIEWS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["", " ", "\n", "a", "b", "caf\u00e9", "x" * 50])),
    min_size=1,
    max_size=60,
)


def count(reviews):
    statistics = SplitStatistics()
    return statistics, list(statistics.count(reviews))


@settings(max_examples=25)
@given(reviews=REVIEWS)
def test_a_summary_counts_every_review(reviews):
    statistics, passed_on = count(reviews)
    assert passed_on == reviews
    texts = [text for _, text in reviews]
    lengths = sorted(len(text) if text.strip() else 0 for text in texts)
    summary = statistics.summary(["bad", "fair", "good"], Counter(empty=3))
    assert summary["rows"] == statistics.rows == len(reviews)
    by_label = Counter(label for label, _ in reviews)
    assert summary["labels"] == {"bad": by_label[0], "fair": by_label[1], "good": by_label[2]}
    assert summary["empty_texts"] == sum(not text.strip() for text in texts)
    assert summary["duplicate_texts"] == len(texts) - len(set(texts))
    assert (summary["dropped_empty"], summary["dropped_unlabelled"]) == (3, 0)
    characters = summary["characters"]
    assert (characters["min"], characters["max"]) == (lengths[0], lengths[-1])
    assert characters["median"] == lengths[-(-len(lengths) // 2) - 1]
    assert list(characters.values()) == sorted(characters.values())


@settings(max_examples=25)
@given(first=REVIEWS, second=REVIEWS)
def test_texts_that_two_splits_share_are_counted_once(first, second):
    one, other = count(first)[0], count(second)[0]
    both = {text for _, text in first} & {text for _, text in second}
    assert one.shared_texts(other) == other.shared_texts(one) == len(both)


def test_what_inflates_or_harms_a_score_is_described():
    train, _ = count([(0, "x"), (0, "y"), (2, "z")])
    test, _ = count([(1, "x"), (0, "z"), (0, "w")])
    dropped = {"train": Counter(empty=2, unlabelled=1234), "test": Counter()}
    splits = {"train": train, "test": test}
    assert list(describe(["bad", "fair", "good"], splits, dropped, 2)) == [
        "train: 3 reviews, 2 labels, 2 empty dropped, 1,234 unlabelled dropped",
        "test: 3 reviews, 2 labels",
        "no training review has the label 'fair': it cannot be learned",
        "no test review has the label 'good': no score tells how well it is predicted",
        "2 texts are in both splits: they inflate the test scores",
    ]


def test_labels_that_are_the_same_or_missing_are_named():
    names = ["bad", "Good", "good", "N/A"]
    rows, _ = count([(label, str(label)) for label in range(4)])
    splits, dropped = {"train": rows, "test": rows}, {"train": Counter(), "test": Counter()}
    assert list(describe(names, splits, dropped, 0))[2:] == [
        "the labels 'Good', 'good' differ in case only: name them alike in download.labels",
        "the label 'N/A' reads like a missing one: if it is, empty its cells",
    ]
