"""The shortcut through the last layer changes nothing but the time."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig

from stages.evaluate import load_model
from stars import model as training
from stars.first_token import FirstTokenLayer, compute_only_first
from stars.precision import attention_in


def made(checkpoint, attention: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=5, attn_implementation=attention
    )
    for parameter in model.parameters():  # tokens that attend to all alike hide mistakes
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("padded", [False, True])
def test_logits_and_gradients_are_those_of_the_whole_layer(tiny_checkpoint, padded, attention):
    whole, short = made(tiny_checkpoint, attention), made(tiny_checkpoint, attention)
    assert compute_only_first(short)
    ids = torch.randint(5, 600, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 9:] = mask[3, 2:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 4, 2])}
    first, second = whole(**batch), short(**batch)
    assert torch.allclose(first.logits, second.logits, atol=1e-5)
    first.loss.backward()
    second.loss.backward()
    for (name, theirs), ours in zip(whole.named_parameters(), short.parameters(), strict=True):
        assert torch.allclose(theirs.grad, ours.grad, atol=1e-5), name
    assert list(whole.state_dict()) == list(short.state_dict())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_row_without_a_token_is_no_trouble(tiny_checkpoint, attention):
    model = made(tiny_checkpoint, attention)
    assert compute_only_first(model)
    mask = torch.tensor([[1, 1, 1], [0, 0, 0]])
    assert model(input_ids=torch.full((2, 3), 7), attention_mask=mask).logits.isfinite().all()


def test_dropout_takes_a_token_with_all_it_gives(tiny_checkpoint):
    model = made(tiny_checkpoint, "sdpa")
    assert compute_only_first(model)
    layer = model.bert.encoder.layer[-1]
    attention = layer.attention.self
    attention.dropout.p = 0.5
    read = []
    layer.attention.output.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    one = torch.randn(1, 1, 32)  # a token that attends to itself
    layer.eval()(one)
    layer.train()
    for _ in range(20):
        layer(one)
    whole, *dropped = (context.view(2, 16) for context in read)  # head, size
    assert torch.allclose(whole, attention.value(one).view(2, 16), atol=1e-5)
    times = {
        round((head / given).median().item(), 4)
        for context in dropped
        for head, given in zip(context, whole, strict=True)
    }
    assert times == {0.0, 2.0}
    heads = torch.stack(dropped).flatten(0, 1)
    twice = torch.cat([2 * whole] * 20)
    assert ((heads == 0).all(1) | (heads - twice).abs().lt(1e-4).all(1)).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_and_evaluation_compute_their_last_layer_so(tiny_checkpoint, precision):
    attention = attention_in(precision)
    trained = training.load_model(tiny_checkpoint, ["a", "b"], 0, 0.0, attention)
    for model in (trained, load_model(tiny_checkpoint, precision)):
        assert isinstance(model.bert.encoder.layer[-1], FirstTokenLayer)
        on_cpu = not torch.accelerator.is_available()
        eager = precision == "bf16" and on_cpu
        assert model.config._attn_implementation == ("eager" if eager else "sdpa")


@pytest.mark.parametrize(
    "config",
    [
        DistilBertConfig(vocab_size=50, dim=8, n_layers=1, n_heads=2, hidden_dim=8),
        BertConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, is_decoder=True,
        ),
    ],
)  # fmt: skip
def test_another_kind_of_model_is_left_as_it_is(config):
    model = AutoModelForSequenceClassification.from_config(config)
    assert not compute_only_first(model)
