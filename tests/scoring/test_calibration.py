"""Calibration: the temperature of scikit-learn, files that hold or are one line."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from yelp_stars.pipeline.errors import Damaged
from yelp_stars.pipeline.files import write_json
from yelp_stars.scoring import calibration
from yelp_stars.scoring.metrics import losses


def drawn(rows: int, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a calibrated model, and labels drawn from its probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(rows, classes))
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    return logits.astype(np.float32), (cumulative > rng.random((rows, 1))).argmax(axis=1)


def test_the_temperature_without_the_prior_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(calibration, "PRIOR", math.inf)
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(600, 5)), rng.integers(0, 3, 600)
    features[:, :3] += np.eye(3)[labels]
    model = LogisticRegression(C=1e6).fit(features[:60], labels[:60])
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    theirs.fit(features[60:], labels[60:])
    inverse = theirs.calibrated_classifiers_[0].calibrators[0].beta_
    found = calibration.fit_temperature(model.decision_function(features[60:]), labels[60:])
    assert found == pytest.approx(1 / inverse, rel=1e-3)
    scaled = softmax(model.decision_function(features[60:]) / found, axis=1)
    assert np.allclose(scaled, theirs.predict_proba(features[60:]), atol=1e-3)


@pytest.mark.parametrize("rows", [10, 36])
def test_few_rows_that_are_all_right_say_little_about_the_temperature(rows):
    labels = np.arange(rows) % 4
    logits = 5 * np.eye(4, dtype=np.float32)[labels]
    assert 0.6 < calibration.fit_temperature(logits, labels) < 1
    assert 1 < calibration.fit_temperature(logits, (labels + 1) % 4) < 10


@pytest.mark.parametrize(("rows", "harm"), [(10, 0.05), (36, 0.03), (100, 0.015)])
def test_the_temperature_of_few_rows_does_a_calibrated_model_no_harm(rows, harm):
    logits, labels = drawn(20_000, seed=1)
    before = losses(logits, labels).mean()
    rises = [
        losses(logits / calibration.fit_temperature(*drawn(rows, seed)), labels).mean() - before
        for seed in range(2, 42)
    ]
    assert np.mean(rises) < harm
    sharp = [calibration.fit_temperature(2 * x, y) for x, y in (drawn(500, s) for s in (2, 3, 4))]
    assert np.allclose(sharp, 2, rtol=0.15)


@given(rows=st.integers(1, 40), seed=st.integers(0, 99), ordered=st.booleans())
@settings(max_examples=25)
def test_any_validation_rows_give_numbers_that_are_read_back(tmp_path_factory, rows, seed, ordered):
    folder = tmp_path_factory.mktemp("ft")
    logits, labels = drawn(rows, seed)
    fitted = calibration.fit(logits * seed, labels, ordered)
    write_json(folder / calibration.FILE, fitted._asdict())
    assert calibration.read(folder) == fitted
    assert calibration.LOWEST <= fitted.temperature <= calibration.HIGHEST
    assert 0 <= fitted.conformal_threshold <= 1
    assert fitted.loss_after <= fitted.loss_before


GOOD = calibration.fit(*drawn(50), True)._asdict()
DAMAGED = [
    ("temperature", 10**999), ("temperature", 0), ("n", 1.5), ("loss_after", math.inf),
    ("coverage", "0.9"),
]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    ["[" * 99_999, "{}", *(json.dumps({**GOOD, k: v}) for k, v in DAMAGED)],
    ids=range(2 + len(DAMAGED)),
)
def test_a_damaged_file_is_one_error_with_advice(tmp_path, content):
    path = tmp_path / calibration.FILE
    path.write_text(content, encoding="utf-8")
    with pytest.raises(Damaged) as caught:
        calibration.read(tmp_path)
    assert caught.value.advice == f"run `chmod u+w {path}`, then `dvc repro`"
