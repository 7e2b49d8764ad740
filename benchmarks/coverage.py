"""How often do the intervals hold the truth? Simulated models whose true scores are known.

python -m benchmarks.coverage     # the tables of docs/evaluation.md and docs/compare.md, in minutes

A model is a table of the chance of each class to be predicted as each other. Its scores on endless
rows are the truth; each experiment draws some rows, and computes the intervals as `evaluate` and
`stars compare` do.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from yelp_stars.comparing import paired
from yelp_stars.evaluation import estimates
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.scoring.metrics import losses, score_counts

EXPERIMENTS, RESAMPLES = 1000, 200
SCORES = {"macro_f1": "macro-F1", "mae": "MAE", "quadratic_kappa": "kappa", "loss": "log loss"}
FITTED = Calibration(1.0, 0.9, 0.9, 500, 1.0, 1.0, 0.1, 0.1, True)
TRUTH = 200_000  # rows of the true loss
MIXED = 0.5  # of a row's evidence: it differs from that of its class

Drawn = tuple[np.ndarray, np.ndarray]


class Setting(NamedTuple):
    """A model: how often each class occurs, and how often it is right."""

    name: str
    rows: tuple[int, ...]
    classes: tuple[float, ...]
    accuracy: float
    decay: float = 0.3
    """How much rarer a mistake is for each class farther away; 1 if classes have no order."""


def confusions(setting: Setting) -> np.ndarray:
    """Return the chance of each class and prediction, (classes, classes)."""
    number = np.arange(len(setting.classes))
    distance = abs(number[:, None] - number)
    mistakes = np.where(distance > 0, setting.decay ** (distance - 1.0), 0)
    mistakes /= mistakes.sum(axis=1, keepdims=True)
    right = np.eye(len(number))
    chances = setting.accuracy * right + (1 - setting.accuracy) * mistakes
    return np.array(setting.classes)[:, None] * chances


EQUAL, RARE, MANY = (0.2,) * 5, (0.245,) * 4 + (0.02,), (0.05,) * 20
SETTINGS = [
    Setting("5 classes, accuracy 0.626", (1000, 200, 50), EQUAL, 0.626),
    Setting("5 classes, accuracy 0.95", (1000, 200, 50), EQUAL, 0.95),
    Setting("5 classes, accuracy 0.99", (1000, 200, 50), EQUAL, 0.99),
    Setting("a class of 2 %, accuracy 0.85", (200, 50), RARE, 0.85),
    Setting("20 classes, accuracy 0.70", (200, 50), MANY, 0.70, 1.0),
]


def draw(rng: np.random.Generator, setting: Setting, n: int) -> Drawn:
    """Draw labels (n,) and logits (n, classes) of a model that is a little too sure."""
    chances = confusions(setting)
    classes = len(chances)
    cells = rng.choice(classes**2, size=n, p=chances.ravel())
    labels, predicted = cells // classes, cells % classes
    # What the model knows: the chance of each label, given its prediction.
    evidence = np.log((chances / chances.sum(axis=0)).T)[predicted]
    logits = 1.3 * evidence + MIXED * rng.normal(size=(n, classes))
    # The noise decides nothing: the prediction stays the largest.
    rows = np.arange(n)
    logits[rows, predicted] = np.maximum(logits[rows, predicted], logits.max(axis=1) + 1e-3)
    return labels, logits.astype(np.float32)


def truth(setting: Setting) -> dict[str, float]:
    """Return the scores on endless rows."""
    labels, logits = draw(np.random.default_rng(1), setting, TRUTH)
    scores = score_counts(confusions(setting), ordered=True)
    return {
        **{k: float(v) for k, v in scores.items()},
        "loss": float(losses(logits, labels).mean()),
    }


def coverage(setting: Setting, n: int, experiments: int, resamples: int) -> dict[str, float]:
    """Return how often the interval of each score holds the truth, on `n` rows."""
    known, held = truth(setting), dict.fromkeys(SCORES, 0)
    names = [str(number) for number in range(len(setting.classes))]
    for seed in range(experiments):
        labels, logits = draw(np.random.default_rng([n, seed]), setting, n)
        tested = Predictions(np.arange(n), [], labels, logits, names, True)
        found = estimates.details(tested, FITTED, resamples=resamples, seed=seed)["scores"]
        for name in SCORES:
            held[name] += _holds(found[name]["low"], found[name]["high"], known[name])
    return {name: times / experiments for name, times in held.items()}


def _holds(low: float | None, high: float | None, value: float) -> bool:
    """Say whether an interval holds a value; one that is undefined holds any."""
    return low is None or high is None or low <= value <= high


class Pair(NamedTuple):
    """Two models of equal classes; of some share of rows, the second decides anew."""

    name: str
    rows: tuple[int, ...]
    first: float
    """Accuracy."""
    anew: float
    """Accuracy of the second model where it decides anew."""
    share: float


PAIRS = [
    Pair("5 % of the rows anew, +0.3 points", (200, 50), 0.626, 0.686, 0.05),
    Pair("0.95 and 0.97", (200, 50), 0.95, 0.97, 1.0),
    Pair("0.60 and 0.66", (1000, 50), 0.60, 0.66, 1.0),
]


def draw_pair(rng: np.random.Generator, pair: Pair, n: int) -> tuple[np.ndarray, ...]:
    """Draw labels (n,), and the logits of both models, (n, 5)."""
    of_first, of_anew = (Setting("", (n,), EQUAL, chance) for chance in (pair.first, pair.anew))
    labels, first = draw(rng, of_first, n)
    second = first.copy()
    anew = np.flatnonzero(rng.random(n) < pair.share)
    other_labels, other = draw(rng, of_anew, 2 * len(anew) + 500)
    for label in range(len(EQUAL)):
        rows = anew[labels[anew] == label]
        second[rows] = other[np.flatnonzero(other_labels == label)[: len(rows)]]
    return labels, first, second


def paired_truth(pair: Pair) -> dict[str, float]:
    """Return the differences on endless rows."""
    labels, first, second = draw_pair(np.random.default_rng(1), pair, TRUTH)
    before, anew = (confusions(Setting("", (), EQUAL, x)) for x in (pair.first, pair.anew))
    after = (1 - pair.share) * before + pair.share * anew
    scores = [score_counts(counts, ordered=True) for counts in (before, after)]
    known = {name: float(scores[1][name] - scores[0][name]) for name in scores[0]}
    return {**known, "loss": float((losses(second, labels) - losses(first, labels)).mean())}


def paired_coverage(pair: Pair, n: int, experiments: int, resamples: int) -> dict[str, float]:
    """Return how often the interval of each difference holds the truth, on `n` rows."""
    known, held = paired_truth(pair), dict.fromkeys(SCORES, 0)
    for seed in range(experiments):
        drawn = draw_pair(np.random.default_rng([n, seed]), pair, n)
        found = paired.compare(*drawn, ordered=True, seed=seed, resamples=resamples).scores
        for name in SCORES:
            held[name] += _holds(found[name].low, found[name].high, known[name])
    return {name: times / experiments for name, times in held.items()}


def table(settings: list[Any], measure: Callable[..., dict[str, float]]) -> list[str]:
    """Return lines of Markdown: a row for each setting and number of rows."""
    lines = ["| rows | setting | " + " | ".join(SCORES.values()) + " |", "|---|---|" + "---|" * 4]
    tasks = [(setting, n, EXPERIMENTS, RESAMPLES) for setting in settings for n in setting.rows]
    with ProcessPoolExecutor() as pool:
        measured = pool.map(measure, *zip(*tasks, strict=True))
        for (setting, n, *_), found in zip(tasks, tqdm(measured, total=len(tasks)), strict=True):
            cells = " | ".join(f"{found[name]:.3f}" for name in SCORES)
            lines.append(f"| {n:,} | {setting.name} | {cells} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table(SETTINGS, coverage)), "\n")
    print("\n".join(table(PAIRS, paired_coverage)))
