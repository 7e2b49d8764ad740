"""The audit: every flag is what comparing all rows with each other says."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import FUZZ_EXAMPLES, SENTENCES, SHARED, needs_sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.audit.audit import Rules, audit, describe, summary, write
from yelp_stars.audit.words import split_words
from yelp_stars.data.flags import KINDS
from yelp_stars.data.sources import Synthetic, write_reviews
from yelp_stars.reading.texts import unescape

NAMES = ["bad", "fair", "good"]
RULES = Rules(min_words=3, near_duplicates=True, similarity=0.5, seed=0)
LONG = [f"The {name} was cold and " + " ".join(f"{name}{n}" for n in range(60)) for name in "abc"]
TEXTS = ["", "!", "Fine.", "fine", "Not so good", "not so GOOD!", "很好吃", *LONG]
TEXTS += [f"{text} again" for text in LONG]
REVIEWS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(TEXTS)), min_size=1, max_size=25)


def audited(folder: Path, train, test, **rules):
    write_reviews(folder / "train.arrow", train, NAMES)
    write_reviews(folder / "test.arrow", test, NAMES)
    return audit(folder, RULES._replace(**rules))


def flags(folder: Path, train, test, **rules) -> dict[str, dict[str, list[bool]]]:
    found = audited(folder, train, test, **rules)
    return {
        split: {name: rows.tolist() for name, rows in part.flags.items()}
        for split, part in found.items()
    }


def compared(train, test) -> dict[str, dict[str, list[bool]]]:
    """The same by comparing all rows with each other; a text is near itself with " again"."""
    same = {text: "".join(split_words(text)) for text in TEXTS}
    nearly = {same[text]: same[f"{text} again"] for text in LONG}
    nearly |= {other: text for text, other in nearly.items()}
    labels = defaultdict(set)
    for label, text in [*train, *test]:
        labels[same[text]].add(label)
    found = {}
    for split, rows, others in (("train", train, test), ("test", test, train)):
        texts, other = [same[text] for _, text in rows], {same[text] for _, text in others}
        found[split] = {
            "leak": [text in other or nearly.get(text) in other for text in texts],
            "duplicate": [text in texts[:row] for row, text in enumerate(texts)],
            "near_duplicate": [nearly.get(text) in texts[:row] for row, text in enumerate(texts)],
            "conflict": [len(labels[text]) > 1 for text in texts],
            "short": [len(split_words(text)) < 3 for _, text in rows],
        }
    return found


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=FUZZ_EXAMPLES // 5
)
@given(train=REVIEWS, test=REVIEWS)
def test_the_flags_are_those_of_comparing_all_rows(tmp_path, train, test):
    assert flags(tmp_path, train, test) == compared(train, test)


def test_without_near_duplicates_only_equal_texts_are_found(tmp_path):
    train, test = [(0, LONG[0]), (0, LONG[0]), (0, f"{LONG[0]} again")], [(0, LONG[0].upper())]
    found = flags(tmp_path, train, test, near_duplicates=False)
    assert found["train"]["leak"] == [True, True, False]
    assert found["train"]["duplicate"] == [False, True, False]
    assert not any(found["train"]["near_duplicate"])


@pytest.mark.parametrize("min_words", [1, 2, 4])
def test_a_text_of_fewer_words_is_short(tmp_path, min_words):
    texts = ["", "?!", "one", "one two", "one two three", "很好吃"]
    expected = [0, 0, 1, 2, 3, 3]
    found = flags(tmp_path, [(0, text) for text in texts], [(0, "a b c d")], min_words=min_words)
    assert found["train"]["short"] == [words < min_words for words in expected]


def test_the_file_has_a_row_for_each_row_of_both_splits_in_their_order(tmp_path):
    found = audited(tmp_path, [(0, "a b c"), (1, "A, b: c!")], [(0, "a b c"), (2, "x y z")])
    write(found, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["split", "row", *KINDS]
    assert table["split"].to_pylist() == ["train", "train", "test", "test"]
    assert table["row"].to_pylist() == [0, 1, 0, 1]
    assert table["leak"].to_pylist() == [True, True, True, False]
    assert table["duplicate"].to_pylist() == [False, True, False, False]
    assert table["conflict"].to_pylist() == [True, True, True, False]
    write(audited(tmp_path, [(0, "a b c"), (1, "A, b: c!")], [(0, "a b c"), (2, "x y z")]),
          tmp_path / "b.parquet")  # fmt: skip
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_summary_has_counts_examples_labels_and_lengths(tmp_path):
    train = [(0, "one two three")] * 8 + [(1, f"a b c d {n}") for n in range(4)]
    found = summary(audited(tmp_path, train, [(0, "x y z"), (2, "no")]), NAMES)
    assert json.loads(json.dumps(found)) == found
    assert found["train"]["rows"] == 12
    assert found["train"]["duplicate"] == {"rows": 7, "examples": [1, 2, 3, 4, 5]}
    assert found["train"]["leak"] == {"rows": 0, "examples": []}
    assert found["test"]["short"] == {"rows": 1, "examples": [1]}
    assert found["train"]["labels"] == {"bad": 8, "fair": 4, "good": 0}
    assert found["train"]["largest_to_smallest_label"] is None
    words = {"min": 3, "p25": 3, "median": 3, "p75": 5, "p95": 5, "max": 5}
    assert found["train"]["words"] == words
    assert found["length_shift"]["kolmogorov_smirnov"] == 0.5
    assert (found["length_shift"]["n_train"], found["length_shift"]["n_test"]) == (12, 2)


def test_the_shift_of_lengths_is_that_of_scipy_and_small_for_equal_splits(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, 400)
    rows = [(n % 2, " ".join(f"w{n}x{k}" for k in range(words))) for n, words in enumerate(lengths)]
    same = summary(audited(tmp_path, rows[:200], rows[200:]), NAMES)["length_shift"]
    longer = [(label, f"{text} {text}") for label, text in rows[200:]]
    shifted = summary(audited(tmp_path, rows[:200], longer), NAMES)["length_shift"]
    assert same["p"] > 0.05 > shifted["p"]
    assert same["kolmogorov_smirnov"] < 0.15 < 0.3 < shifted["kolmogorov_smirnov"]


def test_the_description_says_what_was_found_and_what_to_write(tmp_path):
    train = [(0, "one two three"), (1, "one two three"), (1, "four five six seven"), (2, "ok")]
    found = summary(audited(tmp_path, train, [(0, "One, two: three!"), (1, "no")]), NAMES)
    lines = list(describe(found))
    assert lines[0].split() == ["train", "test"]
    assert lines[1].split() == ["rows", "4", "2"]
    assert lines[2].startswith(
        "leak                   2 (50.0%)       1 (50.0%)   the text, or near"
    )
    assert lines[4].split()[:3] == ["near-duplicate", "0", "0"]
    assert lines[-2] == "1 test rows leak: they inflate the test scores"
    kinds = "leaks, duplicates, conflicts, short"
    assert lines[-1] == f"to train without such rows, set sample.exclude to [{kinds}], or to some"
    different = [(0, f"text number {number}") for number in range(4)]
    clean = summary(audited(tmp_path, different[:2], different[2:]), NAMES)
    assert list(describe(clean))[-1].startswith("lengths of train and test: Kolmogorov-Smirnov")


@needs_sample
def test_the_real_reviews_are_all_different(tmp_path):
    lines = (SHARED / "yelp_review_full_sample.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    reviews = [(row["label"] % 3, unescape(row["text"])) for row in rows]
    found = flags(tmp_path, reviews[:1500], reviews[1500:])
    assert not [name for part in found.values() for name in KINDS if any(part[name])]


def sentences(text: str) -> list[str]:
    return text.replace("! ", "!\n").replace("? ", "?\n").replace(". ", ".\n").splitlines()


def changed(text: str, other: str, rng) -> str:
    own, others = sentences(text), sentences(other)
    own[rng.integers(len(own))] = others[rng.integers(len(others))]
    return " ".join(own)


COPIES = {
    "a sentence changed": changed,
    "case": lambda text, other, rng: text.upper(),
    "punctuation": lambda text, other, rng: text.replace(".", " !!! ").replace(",", ";"),
    "truncated": lambda text, other, rng: text[: int(len(text) * rng.uniform(0.5, 0.95))],
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_planted_copies_are_found_and_few_others(tmp_path):
    # Reviews of six sentences and more: of fewer, some share half of them by chance.
    source = Synthetic(9000, 5, median_words=97, label_noise=0.0, seed=0).open(SENTENCES)
    base = [(0, text) for _, text in source.train if len(sentences(text)) >= 6]
    rng = np.random.default_rng(1)
    planted = []
    for number, row in enumerate(rng.choice(len(base), 400, replace=False)):
        change = [*COPIES.values()][number % len(COPIES)]
        planted.append((0, change(base[row][1], base[rng.integers(len(base))][1], rng)))
    found = audited(tmp_path, base + planted, [(0, "x")])["train"].flags
    copies = found["duplicate"] | found["near_duplicate"]
    assert copies[len(base) :].mean() >= 0.95
    for number in range(len(COPIES)):
        assert copies[len(base) + number :: len(COPIES)].mean() >= 0.9
    assert copies[: len(base)].mean() <= 0.01
