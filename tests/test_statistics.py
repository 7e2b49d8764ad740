"""Streaming statistics of the splits equal those of all texts in memory."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.data.statistics import SplitStatistics

REVIEWS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["", " ", "\n", "a", "b", "caf\u00e9", "x" * 50])),
    min_size=1,
    max_size=60,
)


def count(folder, reviews, drop_empty=False):
    statistics = SplitStatistics(folder)
    return statistics, list(statistics.count(reviews, drop_empty))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(reviews=REVIEWS)
def test_a_summary_counts_every_review(tmp_path, reviews):
    statistics, passed_on = count(tmp_path, reviews)
    assert passed_on == reviews
    texts = [text for _, text in reviews]
    lengths = sorted(len(text) if text.strip() else 0 for text in texts)
    summary = statistics.summary(["bad", "fair", "good"])
    assert summary["rows"] == statistics.rows == len(reviews)
    by_label = Counter(label for label, _ in reviews)
    assert summary["labels"] == {"bad": by_label[0], "fair": by_label[1], "good": by_label[2]}
    assert summary["empty_texts"] == sum(not text.strip() for text in texts)
    assert summary["duplicate_texts"] == len(texts) - len(set(texts))
    assert summary["dropped_empty"] == 0
    characters = summary["characters"]
    assert (characters["min"], characters["max"]) == (lengths[0], lengths[-1])
    assert characters["median"] == lengths[-(-len(lengths) // 2) - 1]
    assert list(characters.values()) == sorted(characters.values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(first=REVIEWS, second=REVIEWS)
def test_texts_that_two_splits_share_are_counted_once(tmp_path, first, second):
    one, other = count(tmp_path, first)[0], count(tmp_path, second)[0]
    both = {text for _, text in first} & {text for _, text in second}
    assert one.shared_texts(other) == other.shared_texts(one) == len(both)


def test_empty_texts_are_dropped_on_request(tmp_path):
    statistics, passed_on = count(tmp_path, [(0, "x"), (1, " \n"), (0, "")], drop_empty=True)
    assert passed_on == [(0, "x")]
    summary = statistics.summary(["a", "b"])
    assert (summary["rows"], summary["dropped_empty"], summary["empty_texts"]) == (1, 2, 0)
    assert summary["labels"] == {"a": 1, "b": 0}


def test_statistics_leave_no_file_behind(tmp_path):
    statistics, _ = count(tmp_path, [(0, f"text {number}") for number in range(5000)])
    assert statistics.summary(["a"])["duplicate_texts"] == 0
    assert list(tmp_path.iterdir()) == []
