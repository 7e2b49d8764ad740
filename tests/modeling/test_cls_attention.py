"""The shortcut through the last layer changes nothing but the time."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig

from yelp_stars.modeling import compute
from yelp_stars.modeling.cls_attention import ClsOnlyBertLayer, use_cls_only_last_layer
from yelp_stars.modeling.inference import load_finetuned
from yelp_stars.training.classifier import load_pretrained

SMALL = {
    "vocab_size": 600,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "num_labels": 5,
}


def make_model(attention: str, layers: int = 2) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(
        BertConfig(**SMALL, num_hidden_layers=layers), attn_implementation=attention
    )
    for parameter in model.parameters():  # tokens that attend to all alike hide mistakes
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("padded", "layers"), [(False, 1), (True, 2)])
def test_logits_and_gradients_are_those_of_the_complete_layer(padded, attention, layers):
    complete, short = make_model(attention, layers), make_model(attention, layers)
    use_cls_only_last_layer(short)
    assert isinstance(short.bert.encoder.layer[-1], ClsOnlyBertLayer)
    ids = torch.randint(5, 600, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 9:] = mask[3, 2:] = 0
        no_token = short(input_ids=ids, attention_mask=torch.zeros_like(mask))
        assert no_token.logits.isfinite().all()
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 4, 2])}
    first, second = complete(**batch), short(**batch)
    assert torch.allclose(first.logits, second.logits, atol=1e-5)
    first.loss.backward()
    second.loss.backward()
    for (name, theirs), ours in zip(complete.named_parameters(), short.parameters(), strict=True):
        assert torch.allclose(theirs.grad, ours.grad, atol=1e-5), name
    assert list(complete.state_dict()) == list(short.state_dict())
    kinds = [isinstance(layer, ClsOnlyBertLayer) for layer in short.bert.encoder.layer]
    assert kinds == [False] * (layers - 1) + [True]


def test_dropout_drops_a_token_with_its_value_and_bias():
    model = make_model("sdpa")
    use_cls_only_last_layer(model)
    layer = model.bert.encoder.layer[-1]
    attention = layer.attention.self
    attention.dropout.p = 0.5
    contexts = []
    layer.attention.output.register_forward_pre_hook(lambda _, given: contexts.append(given[0]))
    one = torch.randn(1, 1, 32)  # a token that attends to itself
    layer.eval()(one)
    layer.train()
    for _ in range(20):
        layer(one)
    complete, *dropped = (context.view(2, 16) for context in contexts)  # head, size
    assert torch.allclose(complete, attention.value(one).view(2, 16), atol=1e-5)
    factors = {
        round((head / given).median().item(), 4)
        for context in dropped
        for head, given in zip(context, complete, strict=True)
    }
    assert factors == {0.0, 2.0}
    heads = torch.stack(dropped).flatten(0, 1)
    twice = torch.cat([2 * complete] * 20)
    assert ((heads == 0).all(1) | (heads - twice).abs().lt(1e-4).all(1)).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_and_inference_compute_only_cls_in_their_last_layer(
    tiny_checkpoint, precision, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    resolved = compute.resolve(precision, "train.precision")
    trained = load_pretrained(
        tiny_checkpoint, ["a", "b"], seed=0, attention_dropout=0.0, attention=resolved.attention
    )
    trained.save_pretrained(tmp_path)
    loaded = load_finetuned(tmp_path, resolved)
    bf16 = precision == "bf16" and not torch.accelerator.is_available()
    for model, attention in ((trained, "eager" if bf16 else "sdpa"), (loaded, "sdpa")):
        assert isinstance(model.bert.encoder.layer[-1], ClsOnlyBertLayer)
        assert model.config._attn_implementation == attention
    assert {weight.dtype for weight in trained.parameters()} == {torch.float32}
    assert loaded.bert.embeddings.word_embeddings.weight.dtype == (
        torch.bfloat16 if bf16 else torch.float32
    )
    assert loaded.bert.encoder.layer[-1].output.dense.weight.dtype == torch.float32
    assert loaded.classifier.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("config", "attention"),
    [
        (DistilBertConfig(vocab_size=50, dim=8, n_layers=1, n_heads=2, hidden_dim=8), None),
        (BertConfig(**SMALL, num_hidden_layers=1, is_decoder=True), None),
        (BertConfig(**SMALL, num_hidden_layers=1), "flex_attention"),
    ],
    ids=["DistilBERT", "decoder", "another attention"],
)
def test_any_other_model_is_left_unchanged(config, attention):
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention)
    use_cls_only_last_layer(model)
    assert not [layer for layer in model.modules() if isinstance(layer, ClsOnlyBertLayer)]
