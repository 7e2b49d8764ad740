"""Attention as three operations gives what the fused kernel gives."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from stars import attention


@pytest.mark.parametrize("kind", attention.KNOWN)
def test_logits_and_gradients_are_those_of_the_fused_kernel(kind):
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=50, intermediate_size=16, **sizes)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for weights in model.parameters():  # so that tokens do not attend to all alike
        torch.nn.init.normal_(weights, std=0.3)
    ids = torch.randint(3, 50, (3, 24))
    mask = torch.ones_like(ids)
    mask[1, 20:] = mask[2, 5:] = 0

    def computed() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        logits = model(input_ids=ids, attention_mask=mask).logits
        logits.square().sum().backward()
        return logits, [weights.grad for weights in model.parameters()]

    assert model.config._attn_implementation == "sdpa"
    expected, gradients = computed()
    attention.suit(model, "fp32")
    assert model.config._attn_implementation == "sdpa"
    attention.suit(model, "bf16")
    assert model.config._attn_implementation == attention.NAME
    logits, ours = computed()
    assert torch.allclose(logits, expected, rtol=1e-4)
    for gradient, other in zip(ours, gradients, strict=True):
        assert torch.allclose(gradient, other, rtol=1e-3, atol=1e-4)


def test_dropout_hides_weights_in_training_only():
    module = torch.nn.Module()
    ones = torch.ones(2, 3, 40, 4)
    arguments = {"attention_mask": None, "scaling": 0.5, "dropout": 0.5}
    whole, _ = attention.plain(module.eval(), ones, ones, ones, **arguments)
    assert torch.allclose(whole, ones.transpose(1, 2))
    torch.manual_seed(0)
    dropped, _ = attention.plain(module.train(), ones, ones, ones, **arguments)
    assert dropped.std() > 0.1
    assert abs(dropped.mean() - 1) < 0.1
