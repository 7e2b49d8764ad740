"""The audit: every flag is what comparing all rows with each other says."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from helpers import FUZZ_EXAMPLES, SENTENCES, split_words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.audit.audit import audit, describe, summary
from yelp_stars.audit.near_duplicates import Work
from yelp_stars.data import synthetic
from yelp_stars.data.sources import write_reviews

NAMES = ["bad", "fair", "good"]
RULES = {"min_words": 3, "near_duplicates": True, "similarity": 0.5, "seed": 0}
LONG = [f"The {name} was cold and " + " ".join(f"{name}{n}" for n in range(60)) for name in "abc"]
TEXTS = ["", "!", "Fine.", "fine", "Not so good", "not so GOOD!", "很好吃", *LONG]
TEXTS += [f"{text} again" for text in LONG]
REVIEWS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(TEXTS)), min_size=1, max_size=25)


def audited(folder: Path, train, test, **rules):
    write_reviews(folder / "train.arrow", train, NAMES)
    write_reviews(folder / "test.arrow", test, NAMES)
    return audit(folder, **{**RULES, **rules})[0]


def flags(folder: Path, train, test, **rules) -> dict[str, dict[str, list[bool]]]:
    found = audited(folder, train, test, **rules)
    return {
        split: {name: rows.tolist() for name, rows in part.flags.items()}
        for split, part in found.items()
    }


def first_rows(train, test) -> list[int]:
    """The first row of both splits with the text, or nearly, of each row."""
    keys = ["".join(split_words(text)).removesuffix("again") for _, text in [*train, *test]]
    return [keys.index(key) for key in keys]


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
    found = audited(tmp_path, train, test)
    assert flags(tmp_path, train, test) == compared(train, test)
    assert [*found["train"].first, *found["test"].first] == first_rows(train, test)


def test_the_summary_has_counts_examples_labels_and_lengths(tmp_path):
    train = [(0, "one two three")] * 8 + [(1, f"a b c d {n}") for n in range(4)]
    found = summary(audited(tmp_path, train, [(0, "x y z"), (2, "no")]), NAMES, Work())
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


def test_the_description_says_what_was_found_and_what_to_write(tmp_path):
    train = [(0, "one two three"), (1, "one two three"), (1, "four five six seven"), (2, "ok")]
    found = summary(audited(tmp_path, train, [(0, "One, two: three!"), (1, "no")]), NAMES, Work())
    lines = list(describe(found))
    assert lines[1].split() == ["rows", "4", "2"]
    assert lines[2].split()[:5] == ["leak", "2", "(50.0%)", "1", "(50.0%)"]
    assert lines[4].split()[:3] == ["near-duplicate", "0", "0"]
    assert lines[-2] == "1 test rows leak: they inflate the test scores"
    kinds = "leaks, duplicates, conflicts, short"
    assert (
        lines[-1] == f"to train without them, set sample.exclude to [{kinds}], or to some of them"
    )
    different = [(0, f"text number {number}") for number in range(4)]
    clean = summary(audited(tmp_path, different[:2], different[2:]), NAMES, Work())
    assert list(describe(clean))[-1].startswith("lengths of train and test: Kolmogorov-Smirnov")


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
    bank = synthetic.read_bank(SENTENCES, "train")
    made = synthetic.reviews(bank, 9000, median_words=97, label_noise=0.0, seed=0, split="train")
    base = [(0, text) for _, text in made if len(sentences(text)) >= 6]
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
