"""Evaluation: every test row once, in its place, whatever computes it."""

import json
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from conftest import edit, fails, run
from test_train import trained
from transformers import AutoModelForSequenceClassification

from stages import evaluate
from stars import arrow


def test_predictions_lead_back_to_their_rows(small):
    trained(small)
    evaluate.main(
        small / "data" / "sample",
        small / "ft",
        small / "predictions.arrow",
        small / "test.json",
        small / "plots" / "test",
    )
    predicted = arrow.read(small / "predictions.arrow")
    tested = arrow.read(small / "data" / "sample" / "test.arrow")
    assert predicted["row"].to_pylist() == tested["row"].to_pylist()
    assert predicted["label"].to_pylist() == tested["label"].to_pylist()
    # One row alone gives the logits that it got in its batch.
    model = AutoModelForSequenceClassification.from_pretrained(small / "ft").eval()
    for row in (0, 7, 29):
        ids = torch.tensor([tested["input_ids"][row].as_py()])
        alone = model(ids).logits[0].detach().numpy()
        assert np.allclose(alone, predicted["logits"][row].as_py(), atol=1e-5)
    scores = json.loads((small / "test.json").read_text())
    logits = np.array(predicted["logits"].to_pylist())
    right = logits.argmax(axis=1) == np.array(predicted["label"].to_pylist())
    assert (scores["n"], scores["accuracy"]) == (30, right.mean())
    confusion = (small / "plots" / "test" / "confusion.csv").read_text().splitlines()
    assert confusion[0] == "actual,predicted"
    assert len(confusion) == 31


def test_logits_in_bf16_are_those_of_fp32_but_for_rounding(small, tiny_checkpoint):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=5)
    for weights in model.parameters():
        if weights.ndim > 1:  # so that rows differ
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(small / "ft")
    tested = arrow.read(small / "data" / "sample" / "train.arrow")
    whole, half = (
        evaluate.predict(evaluate.load_model(small / "ft", precision), tested, 8, precision)
        for precision in ("fp32", "bf16")
    )
    assert whole.dtype == half.dtype == np.float32
    assert 0 < (whole - half).std() < 0.05 * whole.std(axis=0).min()


def test_evaluation_computes_in_what_the_params_ask_for(small):
    trained(small)
    stage = ("python", "-m", "stages.evaluate", "data/sample", "ft", "p.arrow", "s.json", "plots/t")
    assert "30 rows in fp32 (as asked) on cpu" in run(*stage, cwd=small)
    edit(small, "evaluate", precision="fp16")
    said = fails(*stage, cwd=small)
    assert "evaluate.precision is 'fp16', but this machine has no hardware for it" in said


@pytest.fixture
def three_cores() -> Iterator[None]:
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


def test_each_core_computes_batches_of_its_own_to_the_same_bytes(
    small, tiny_checkpoint, three_cores
):
    tested = arrow.read(small / "data" / "sample" / "train.arrow")
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=5)
    forward, seen, all_there = model.forward, set(), threading.Barrier(3)

    def watched(**batch):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            all_there.wait(timeout=60)
        assert torch.get_num_threads() == 1
        return forward(**batch)

    model.forward = watched
    logits = [evaluate.predict(model, tested, 4, "fp32")]
    assert len(seen) == 3
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
    model.forward = forward
    logits.append(evaluate.predict(model, tested, 4, "fp32"))
    assert np.isfinite(logits[0]).all()
    assert logits[0].tobytes() == logits[1].tobytes()


def test_after_an_error_no_other_batch_is_begun(small, tiny_checkpoint, three_cores):
    tested = arrow.read(small / "data" / "sample" / "train.arrow")
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=5)
    begun = []

    def failing(**batch):
        begun.append(batch)
        time.sleep(0.2)  # longer than it takes to tell the first error
        raise MemoryError

    model.forward = failing
    with pytest.raises(MemoryError):
        evaluate.predict(model, tested, 1, "fp32")
    assert len(begun) < len(tested) / 2
    assert torch.get_num_threads() == 3
