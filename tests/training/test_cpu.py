"""Training on a CPU: the law of dropout, and hidden states in bf16."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from yelp_stars.modeling.mpnet_attention import use_fast_mpnet
from yelp_stars.training.cpu import STEPS, Dropout, use_fast_cpu

SIZES = {
    "vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32,
    "num_hidden_layers": 2, "num_labels": 3,
}  # fmt: skip
IDS = torch.tensor([[2, 7, 9, 3, 5, 6, 8, 3], [2, 8, 3, 1, 1, 1, 1, 1]])
MASK = (IDS != 1).long()


def make(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "bert":
        return BertForSequenceClassification(BertConfig(**SIZES))
    if kind == "distilbert":
        config = DistilBertConfig(dim=16, n_heads=2, hidden_dim=32, n_layers=2, vocab_size=50)
        return DistilBertForSequenceClassification(config)
    model = MPNetForSequenceClassification(MPNetConfig(**SIZES))
    use_fast_mpnet(model)
    return model


def drop(states: torch.Tensor, p: float, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p).train()(states)


@given(st.floats(0, 1), st.integers(0, 2**62), st.lists(st.integers(0, 5), max_size=3))
def test_each_value_is_dropped_or_scaled(p, seed, shape):
    states = torch.rand(shape, dtype=torch.float64) + 1
    dropped = drop(states, p, seed)
    scale = STEPS / (STEPS - min(round(p * STEPS), STEPS - 1)) if p else 1
    kept = dropped != 0
    torch.testing.assert_close(dropped, kept * states * scale)
    assert p > 0 or kept.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_of_dropped_values_is_p_and_neighbours_are_independent(p, dtype):
    n = 400_000
    kept = drop(torch.ones(n, dtype=dtype), p, 1) != 0
    error = (p * (1 - p) / n) ** 0.5
    assert abs(1 - p - kept.double().mean()) < 4 * error
    for lag in (1, 2, 3, 4, 64):  # four numbers are drawn together
        both = (kept[lag:] & kept[:-lag]).double().mean()
        assert abs(both - (1 - p) ** 2) < 4 * (2 * error)
    assert drop(torch.ones(n), p, 1).mean() == pytest.approx(1, abs=4 * error / (1 - p))


def test_the_state_of_torchs_generator_decides_which_values_are_dropped():
    states, dropout = torch.ones(1001), Dropout(0.5).train()
    torch.manual_seed(3)
    first, second = dropout(states), dropout(states)
    torch.manual_seed(3)
    assert torch.equal(dropout(states), first)
    assert torch.equal(dropout(states), second)
    assert not torch.equal(first, second)
    cores = torch.get_num_threads()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    try:
        assert torch.equal(dropout(states), first)
    finally:
        torch.set_num_threads(cores)


def test_nothing_is_dropped_or_drawn_in_evaluation_or_with_p_0():
    states, before = torch.rand(9), torch.get_rng_state()
    assert Dropout(0.5).eval()(states) is states
    assert Dropout(0.0).train()(states) is states
    assert torch.equal(torch.get_rng_state(), before)


def test_the_gradient_is_that_of_the_values_that_were_kept():
    states = torch.rand(64, requires_grad=True)
    dropped = drop(states, 0.25, 5)
    dropped.sum().backward()
    assert torch.equal(states.grad, (dropped != 0) * (STEPS / (STEPS - 2**14)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_drops_the_same_values_again(reentrant):
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8), Dropout(0.5), torch.nn.Linear(8, 8)).train()
    states = torch.rand(4, 8, requires_grad=True)
    gradients = []
    for run in (layer, lambda given: checkpoint(layer, given, use_reentrant=reentrant)):
        torch.manual_seed(2)
        layer.zero_grad()
        run(states).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    for first, second in zip(*gradients, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "distilbert"])
def test_a_model_computes_the_same_up_to_rounding_in_bf16_and_keeps_its_weights(kind):
    plain = make(kind)
    fast = copy.deepcopy(plain)
    use_fast_cpu(fast)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    hidden = []
    layers = fast.base_model.transformer if kind == "distilbert" else fast.base_model.encoder
    layers.layer[0].register_forward_hook(lambda *given: hidden.append(given[2]))
    exact = plain.eval()(IDS, MASK).logits
    assert torch.equal(fast.eval()(IDS, MASK).logits, exact)  # without autocast
    with torch.autocast("cpu", torch.bfloat16):
        rounded = fast(IDS, MASK).logits.float()
        before = plain(IDS, MASK).logits.float()
    assert (rounded - exact).abs().max() < 0.02
    assert (before - exact).abs().max() < 0.02
    states = hidden[1][0] if isinstance(hidden[1], tuple) else hidden[1]
    assert states.dtype == (torch.bfloat16 if kind != "distilbert" else torch.float32)


def test_weights_and_gradients_stay_in_fp32():
    model = make("bert").train()
    use_fast_cpu(model)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(IDS, MASK, labels=torch.tensor([0, 1])).loss
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32, name
    assert {type(m) for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {Dropout}
