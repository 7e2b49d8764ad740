"""The result of a training: a folder that anyone can load, the scores of the model in it."""

import json
import shutil
from pathlib import Path

import numpy as np
from helpers import review_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerState

from yelp_stars.scoring import calibration
from yelp_stars.training.saving import Result, describe, save, validation_scores

SCORES = {"n": 500, "accuracy": 0.76, "accuracy_low": 0.721, "accuracy_high": 0.795}
NOISE = 0.123456789


def evaluated(step: int, accuracy: float) -> dict:
    """The log entry of an epoch's validation."""
    scores = {"eval_accuracy": accuracy, "eval_loss": 1 + NOISE, "eval_n": 20}
    return {"step": step, **scores, "eval_quadratic_kappa": None, "eval_runtime": 2.5}


def test_the_validation_scores_are_those_of_the_epoch_that_is_kept():
    state = TrainerState(best_global_step=20)
    state.log_history = [
        *(evaluated(10, 0.6), evaluated(20, 0.7), evaluated(30, 0.5)),
        {"step": 30, "train_runtime": 9.0, "train_loss": NOISE},
    ]
    scores = {"loss": 1.12, "n": 20, "quadratic_kappa": None}
    assert validation_scores(state, best=False) == {"accuracy": 0.5, **scores}
    assert validation_scores(state, best=True) == {"accuracy": 0.7, **scores}


def finished(checkpoint: Path) -> Result:
    """A training of three labels that ends without a step."""
    labels = np.random.default_rng(0).integers(0, 3, 100)
    logits = np.random.default_rng(1).normal(size=(100, 3)) + 2 * np.eye(3)[labels]
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=3)
    return Result(model, review_dataset("abc"), SCORES, calibration.fit(logits, labels, True))


def test_the_saved_model_loads_with_a_tokenizer_that_obeys_its_caller(tiny_checkpoint, tmp_path):
    # A checkpoint whose tokenizer truncates and pads to 6, as all-MiniLM's does to 128.
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "pretrained")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.backend_tokenizer.enable_truncation(6)
    tokenizer.backend_tokenizer.enable_padding(length=6)
    tokenizer.backend_tokenizer.save(str(checkpoint / "tokenizer.json"))
    result = finished(checkpoint)
    save(result, checkpoint, tmp_path / "ft")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ft")
    assert loaded.config.num_labels == 3
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "ft")
    assert len(tokenizer("food " * 100, truncation=True)["input_ids"]) == 8
    stored = json.loads((tmp_path / "ft" / "tokenizer.json").read_text())
    assert (stored["truncation"], stored["padding"]) == (None, None)
    assert calibration.read(tmp_path / "ft") == result.fitted
    cut = json.loads((tmp_path / "ft" / "truncation.json").read_text())
    assert cut == {"max_length": 8, "truncation": "head"}
    assert not [*(tmp_path / "ft").glob("*.bin")]


def test_the_last_lines_have_the_time_the_accuracy_and_the_temperature(tiny_checkpoint):
    result = finished(tiny_checkpoint)
    first, second = describe(result, 1.4, {"tokens_per_second": 2000.0}).splitlines()
    assert "1 s, 2,000 tokens/s; validation accuracy 0.760 [0.721, 0.795] on 500 rows" in first
    assert f"temperature {result.fitted.temperature}: " in second
