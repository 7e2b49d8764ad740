"""Inference: every row once, in its position, whatever computes it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel

from yelp_stars.data import arrow
from yelp_stars.modeling.batching import ReviewDataset
from yelp_stars.modeling.compute import Compute
from yelp_stars.modeling.inference import attention_width, load_finetuned, predict_logits
from yelp_stars.modeling.padding import padded_width
from yelp_stars.pipeline.errors import UserError

FP32 = Compute("fp32", "as requested", None)
BF16 = Compute("bf16", "as requested", "eager")


@pytest.fixture
def reviews(sampled_project: Path) -> ReviewDataset:
    return ReviewDataset(arrow.read(sampled_project / "data" / "sample" / "train.arrow"))


@pytest.fixture
def finetuned(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A classifier whose random weights are large enough that rows differ."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=5)
    for weights in model.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(tmp_path / "ft")
    return tmp_path / "ft"


@pytest.fixture
def model(finetuned: Path) -> PreTrainedModel:
    return load_finetuned(finetuned, FP32)


@pytest.fixture
def three_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_a_row_has_the_logits_that_plain_transformers_gives_it_alone(finetuned, model, reviews):
    logits = predict_logits(model, reviews, 8, FP32)
    assert logits.shape == (60, 5)
    assert logits.dtype == np.float32
    plain = AutoModelForSequenceClassification.from_pretrained(finetuned).eval()
    for row in range(len(reviews)):
        ids = torch.from_numpy(reviews[row]["input_ids"].astype(np.int64))[None]
        assert np.allclose(plain(ids).logits[0].detach(), logits[row], atol=1e-5)


def test_logits_in_bf16_are_those_of_fp32_up_to_rounding(finetuned, reviews):
    single, half = (
        predict_logits(load_finetuned(finetuned, resolved), reviews, 8, resolved)
        for resolved in (FP32, BF16)
    )
    assert single.dtype == half.dtype == np.float32
    assert 0 < (single - half).std() < 0.05 * single.std(axis=0).min()


class Reversed:
    """The rows of a dataset, the last first."""

    def __init__(self, reviews: ReviewDataset) -> None:
        self.reviews, self.lengths = reviews, reviews.lengths[::-1]

    def __getitem__(self, row: int) -> dict:
        return self.reviews[len(self.lengths) - 1 - row]


@pytest.mark.parametrize("resolved", [FP32, BF16], ids=["fp32", "bf16"])
def test_a_row_has_its_logits_wherever_it_is_in_the_file(finetuned, reviews, resolved):
    model = load_finetuned(finetuned, resolved)
    forwards = predict_logits(model, reviews, 8, resolved)
    backwards = predict_logits(model, Reversed(reviews), 8, resolved)[::-1]
    tolerance = 1e-5 if resolved is FP32 else 0.05 * forwards.std()
    assert np.allclose(forwards, backwards, atol=tolerance)


@given(longest=st.integers(1, 600), positions=st.integers(8, 600))
def test_a_batch_is_as_wide_as_a_cpu_attends_fastest_or_as_the_positions_allow(longest, positions):
    config = BertConfig(max_position_embeddings=positions)
    assume(padded_width(longest) <= config.max_position_embeddings)
    width = attention_width(longest, config)
    assert longest <= width <= config.max_position_embeddings
    assert width in (padded_width(longest), padded_width(longest) + 8)
    assert width % 16 == 0 or width + 8 > config.max_position_embeddings


@pytest.mark.parametrize(
    ("lost", "cut"), [("classifier.weight", False), ("bert.pooler.dense.bias", True)]
)
def test_weights_that_are_not_in_the_file_are_reported_not_drawn(finetuned, lost, cut):
    path = finetuned / "model.safetensors"
    weights = load_file(path)
    weights |= {lost: weights[lost][:1].clone()}
    if not cut:
        del weights[lost]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        load_finetuned(finetuned, FP32)
    why = "of the shape [1], but its config.json is for [32]" if cut else "which the model expects"
    assert str(caught.value).startswith(f"'{finetuned}' {'has' if cut else 'lacks'} '{lost}'")
    assert why in str(caught.value)
    assert caught.value.advice == "run `dvc repro`"


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", b"[]"), ("model.safetensors", b"garbage")],
)
def test_a_damaged_file_is_reported(finetuned, name, content):
    (finetuned / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_finetuned(finetuned, FP32)
    assert str(caught.value).startswith(f"'{finetuned}' cannot be loaded (")
    assert str(caught.value).endswith("); run `dvc repro`")


@pytest.mark.parametrize("resolved", [FP32, BF16], ids=["fp32", "bf16"])
def test_each_core_computes_batches_of_its_own_to_the_same_bytes(
    finetuned, reviews, three_cores, resolved
):
    model = load_finetuned(finetuned, resolved)
    seen, all_there = set(), threading.Barrier(3)

    def watch(*_) -> None:
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            all_there.wait(timeout=60)
        assert torch.get_num_threads() == 1

    hook = model.register_forward_pre_hook(watch)
    logits = [predict_logits(model, reviews, 4, resolved)]
    assert len(seen) == 3
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
    hook.remove()
    logits.append(predict_logits(model, reviews, 4, resolved))
    assert np.isfinite(logits[0]).all()
    assert logits[0].tobytes() == logits[1].tobytes()


def test_after_an_error_no_other_batch_is_begun(model, reviews, three_cores):
    begun = []

    def fail(*_) -> None:
        begun.append(1)
        time.sleep(0.1)  # longer than it takes to report the first error
        raise MemoryError

    model.register_forward_pre_hook(fail)
    with pytest.raises(MemoryError):
        predict_logits(model, reviews, 1, FP32)
    assert len(begun) < len(reviews) / 2
    assert torch.get_num_threads() == 3
