"""Runs to render as a page, without a training: random predictions, hostile texts."""

import copy
import functools
from typing import Any

import numpy as np

from yelp_stars.audit import audit
from yelp_stars.audit.near_duplicates import Work
from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation import estimates, slices
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import visible
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.scoring.metrics import rounded, scores

HOSTILE = (
    "<script>alert(1)</script>",
    "\u202etxet desrever",
    "w" * 50_000,
    "</style></script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x1b[31m\r\n",
    "&lt;b&gt; \"quoted\" 'single'",
    "好" * 2000,
    "",
)
PLOTS = ("confusion", "slices", "calibration", "risk_coverage", "training")
DRAWN = ("labels", "classes", "learning_rate", "busy", "memory")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def a_run(
    names=("1 star", "2 stars", "3 stars"), rows=60, ordered=True, **changes
) -> dict[str, Any]:
    """A run with random predictions of these classes, and hostile texts."""
    return copy.deepcopy(made(tuple(names), rows, ordered)) | changes


@functools.cache
def made(classes: tuple[str, ...], rows: int, ordered: bool) -> dict[str, Any]:
    rng, names = np.random.default_rng(0), list(classes)
    labels = np.arange(rows) % len(names)
    logits = rng.normal(size=(rows, len(names))).astype(np.float32)
    logits[np.arange(rows), labels] += 1
    hashes = [str(row) for row in range(rows)]
    model = Predictions(np.arange(rows), hashes, labels, logits, names, ordered)
    fitted = Calibration(1.4, 0.9, 0.9, 50, 1.0, 0.9, 0.1, 0.05, ordered)
    evaluation = estimates.details(model, fitted, resamples=200, seed=0)
    parts = [slices.Slice("pattern", visible(HOSTILE[0], 60), "(?i)<b>", labels == 0)]
    evaluation["slices"] = slices.score(logits.argmax(axis=1) == labels, parts)
    flags = {name: np.arange(rows) % 7 == number for number, name in enumerate(KINDS)}
    audited = audit.Audit(labels, np.full(rows, 9), flags, np.arange(rows))
    scored = rounded(scores(logits, labels, ordered))
    listed = [
        {
            "row": number, "label": names[0], "predicted": "x", "loss": 2.5,
            "probability": 0.9 - number / 1000, "flags": ["leak", "near_duplicate"],
            "text": HOSTILE[number % len(HOSTILE)], "others": [],
        }
        for number in range(40)
    ]  # fmt: skip
    return {
        "parameters": {
            "download": {"source": "files", "train_file": HOSTILE[0]},
            "audit": {"near_duplicates": True},
            "sample": {"exclude": []},
            "pretrained": {"source": "folder", "folder": HOSTILE[3]},
            "evaluate": {"slices": {"a": HOSTILE[3]}, "empty": None, "flag": True},
        },
        "data": {"source": "files", "files": {HOSTILE[0]: "0" * 64}, "texts_in_train_and_test": 0},
        "audit": audit.summary({"train": audited, "test": audited}, names, Work()),
        "baseline": {"tfidf": scored, "majority": scored, "strongest": "tfidf"},
        "validation": scored,
        "evaluation": evaluation,
        "model": model,
        "strongest": model,
        "history": ("v1.0.0-1-gabc1234, with changes to 'params.yaml'", "Beside: <b>."),
        "diagnosis": [],
        "read_texts": lambda indices: [HOSTILE[3], HOSTILE[2]],
        "pictures": dict.fromkeys(PLOTS + DRAWN, SVG),
        "rows": {"train": 100, "validation": 50, "test": rows},
        "repeats": 3,
        "runtime": {
            "finished": "2026-11-30 16:02 UTC", "seconds": 1.5, "steps_per_second": 2.0,
            "tokens_per_second": 3000.0, "versions": {"torch": "2.13.0", "numpy": "2.4.0"},
        },
        "seconds": {"train": 1.5, "report": 2.0},
        "examples": {name: [{"row": 1, "text": HOSTILE[2]}] for name in names[:20]},
        "mistakes": listed,
        "suspects": listed,
        "n_mistakes": 1234,
        "n_suspects": 40,
    }  # fmt: skip
