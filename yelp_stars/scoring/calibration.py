"""Fit the temperature and the threshold of ranges on the logits of the validation rows.

The stage `train` fits both once, in training/saving.py. The model is unaffected: its logits are
divided by the temperature in classifier/classify.py, and measured without and with it in
evaluation/estimates.py.
"""

import math
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from yelp_stars.pipeline.files import reading
from yelp_stars.scoring import conformal
from yelp_stars.scoring.metrics import calibration_error, decimals, losses

FILE = "calibration.json"  # beside the model
COVERAGE = 0.9  # of the ranges
LOWEST, HIGHEST = 0.1, 10.0
# Standard deviation of the temperature's logarithm before any row is seen: few rows, or none that
# is wrong, then say little. With 10 or 36 rows of a calibrated model the plain fit raises the log
# loss by 0.17 and 0.02, this one by 0.02 and 0.01; with 100 rows they are the same.
PRIOR = 0.5


class Calibration(NamedTuple):
    """Content of calibration.json."""

    temperature: Annotated[float, Field(ge=LOWEST, le=HIGHEST)]
    """Divide logits by it (Guo et al. 2017), then take their softmax."""
    conformal_threshold: FiniteFloat
    """See `yelp_stars.scoring.conformal`; it holds for the plain probabilities."""
    coverage: FiniteFloat
    """Share of rows whose label is in their range, if they are like the validation rows."""
    n: int
    """Number of validation rows."""
    loss_before: FiniteFloat
    loss_after: FiniteFloat
    """Log loss of the validation rows without and with the temperature."""
    ece_before: FiniteFloat
    ece_after: FiniteFloat
    """Expected calibration error without and with the temperature."""
    ordered: bool
    """Whether the classes have an order: a set of classes is then a range."""


def fit(logits: np.ndarray, labels: np.ndarray, ordered: bool) -> Calibration:
    """Fit the temperature and the threshold on validation logits (rows, classes)."""
    temperature = fit_temperature(logits, labels)
    masses = conformal.masses(softmax(logits.astype(np.float64), axis=1), ordered)
    scaled = logits.astype(np.float64) / temperature
    digits, both = decimals(len(labels)), (logits, scaled)
    loss_before, loss_after = (round(float(losses(x, labels).mean()), digits) for x in both)
    ece_before, ece_after = (round(calibration_error(x, labels), digits) for x in both)
    return Calibration(
        temperature=temperature,
        conformal_threshold=conformal.threshold(masses[np.arange(len(labels)), labels], COVERAGE),
        coverage=COVERAGE,
        n=len(labels),
        loss_before=loss_before,
        loss_after=loss_after,
        ece_before=ece_before,
        ece_after=ece_after,
        ordered=ordered,
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the most likely temperature, 0.1 to 10, with 4 significant digits.

    That of least log loss, drawn towards 1 by a log-normal prior (`PRIOR`).
    """
    fitted = minimize_scalar(
        lambda log: losses(logits * math.exp(-log), labels).sum() + (log / PRIOR) ** 2 / 2,
        bounds=(math.log(LOWEST), math.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(f"{math.exp(fitted.x):.4g}")


def read(finetuned: Path) -> Calibration:
    """Read calibration.json of a fine-tuned model."""
    path = finetuned / FILE
    with reading(path):
        return TypeAdapter(Calibration).validate_json(path.read_bytes(), strict=True)
