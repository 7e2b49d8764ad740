"""Synthetic reviews: graded sentences from a bank, composed into labelled reviews.

Written for this project, so that the pipeline runs without a network; a score on them says
nothing about Yelp.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from yelp_stars.data.arrow import RECORD_BATCH_ROWS
from yelp_stars.pipeline.files import damaged_as
from yelp_stars.pipeline.text import shell_word

LABEL_NAMES = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]

GRADES = range(6)  # 0 has no opinion

# The share of a review's sentences that have the review's own grade, a neighbour's, and so on.
# Mixed sentiments and off-topic sentences keep bag-of-words from solving the task.
ROLES = ("own", "neighbour", "contrast", "irrelevant")
SHARES = (0.55, 0.21, 0.11, 0.13)
ANY_BUSINESS = 0.2  # share of the sentences that would fit every business

# Words per review are log-normal; 0.8 is Yelp's spread (median 97, mean 134: ln(134 / 97) * 2).
LENGTH_SIGMA = 0.8
WORDS = (8, 1000)

LEAD_INS = ("To be fair, ", "Then again, ", "On the other hand, ", "That said, ", "Even so, ")
SLOTS = {
    "{name}": ("Marta", "Devon", "Priya", "Luis", "Hannah", "Owen", "Keiko", "Tamara", "Ruben"),
    "{weekday}": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "{minutes}": ("15", "20", "25", "30", "35", "40", "45", "50", "55"),
    "{price}": ("$12", "$18", "$25", "$40", "$65", "$90", "$120", "$180"),
    "{companion}": ("my sister", "my husband", "my wife", "a coworker", "an old friend", "my dad"),
    "{city}": ("Dayton", "Tucson", "Fresno", "Tulsa", "Boise", "Mobile", "Akron", "Reno"),
}

# (business, grade 0-5) -> sentences; grade 0 has no opinion.
Bank = dict[tuple[str, int], list[str]]


def read_bank(path: Path, split: str) -> Bank:
    """Read the sentences of one split; train and test share none."""
    bank: Bank = defaultdict(list)
    with damaged_as(path, csv.Error, advice=f"run `git checkout {shell_word(path)}`"):
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            for of_split, business, grade, sentence in lines:
                if of_split == split and sentence:
                    bank[business, int(grade)].append(sentence)
        businesses = {"any", *(business for business, _ in bank)}
        if len(businesses) < 2 or len(bank) != len(businesses) * len(GRADES):
            raise ValueError("a business has no sentence of a grade")
    return dict(bank)


def reviews(
    bank: Bank, rows: int, *, median_words: int, label_noise: float, seed: int, split: str
) -> Iterator[tuple[int, str]]:
    """Yield `rows` of (label 0-4, text), each five in a row holding every label once.

    `label_noise` is the share of texts that belong to a neighbouring label. A larger `rows`
    begins with the rows of a smaller one. Memory does not grow with `rows`.
    """
    businesses = sorted({business for business, _ in bank} - {"any"})
    for block in range(-(-rows // RECORD_BATCH_ROWS)):
        # One generator per block: any block can be composed without those before it.
        rng = np.random.default_rng([seed, split == "test", block])
        labels = rng.permuted(np.tile(np.arange(5), (RECORD_BATCH_ROWS // 5, 1)), axis=1).ravel()
        grades = _noisy(labels, label_noise, rng) + 1
        lengths = np.exp(rng.normal(np.log(median_words), LENGTH_SIGMA, RECORD_BATCH_ROWS))
        lengths = lengths.clip(*WORDS)
        for label, grade, length in zip(
            labels[: rows - block * RECORD_BATCH_ROWS].tolist(), grades.tolist(), lengths.tolist()
        ):
            business = businesses[rng.integers(len(businesses))]
            yield label, _compose(bank, business, grade, length, rng)


def _noisy(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Move a share of the labels to a neighbour."""
    step = rng.choice([-1, 1], len(labels))
    step[labels + step < 0] = 1
    step[labels + step > 4] = -1
    return labels + step * (rng.random(len(labels)) < share)


def _compose(bank: Bank, business: str, grade: int, length: float, rng: np.random.Generator) -> str:
    """Compose one review of about `length` words."""
    limit = int(length // 6) + 1
    roles = rng.choice(ROLES, limit, p=SHARES).tolist()
    draws = rng.random((limit, 3)).tolist()
    if limit == 1 or "own" not in roles[: max(1, limit // 3)]:
        roles[0] = "own"  # every review states its grade
    parts: list[str] = []
    used: set[str] = set()
    words = 0
    for role, (where, which, how) in zip(roles, draws, strict=True):
        pool = bank["any" if where < ANY_BUSINESS else business, _grade_of(role, grade, how)]
        sentence = pool[int(which * len(pool))]
        if sentence in used:
            continue
        used.add(sentence)
        words += sentence.count(" ") + 1
        if "{" in sentence:
            sentence = _filled(sentence, rng)
        if role == "contrast" and parts:
            lead_in = LEAD_INS[int(how * len(LEAD_INS))]
            keep = sentence.startswith(("I ", "I'"))
            sentence = lead_in + (sentence if keep else sentence[0].lower() + sentence[1:])
        parts.append(sentence if not parts else ("\n\n" if how > 0.93 else " ") + sentence)
        if words + 7 >= length:  # half a sentence: stop nearest to the length
            break
    return "".join(parts)


def _grade_of(role: str, grade: int, how: float) -> int:
    if role == "own":
        return grade
    if role == "irrelevant":
        return 0
    if role == "contrast":
        return 4 if grade < 3 else 2
    # A neighbour: one below or above; inwards at both ends.
    step = -1 if how < 0.5 else 1
    return min(max(grade + step, 2 if grade == 1 else 1), 4 if grade == 5 else 5)


def _filled(sentence: str, rng: np.random.Generator) -> str:
    for slot, fillers in SLOTS.items():
        if slot in sentence:
            sentence = sentence.replace(slot, fillers[rng.integers(len(fillers))])
    return sentence
