"""MPNet computed faster is MPNet."""

import pytest
import torch
from transformers import MPNetConfig, MPNetForSequenceClassification

from yelp_stars.modeling.mpnet_attention import FusedSelfAttention, use_fast_mpnet


def make_model(layers: int) -> MPNetForSequenceClassification:
    torch.manual_seed(0)
    config = MPNetConfig(
        vocab_size=600, hidden_size=32, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, num_hidden_layers=layers, num_labels=5,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = MPNetForSequenceClassification(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("padded", "layers"), [(False, 1), (True, 3)])
def test_logits_and_gradients_are_those_of_transformers(padded, layers, training):
    theirs, ours = (make_model(layers).train(training) for _ in range(2))
    use_fast_mpnet(ours)
    ids = torch.randint(5, 600, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 9:] = mask[3, 2:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 4, 2])}
    first, second = theirs(**batch), ours(**batch)
    assert torch.allclose(first.logits, second.logits, atol=1e-5)
    if training:
        first.loss.backward()
        second.loss.backward()
        for (name, their), our in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            if their.grad is not None:
                assert torch.allclose(their.grad, our.grad, atol=1e-5), name
    assert list(theirs.state_dict()) == list(ours.state_dict())


def test_all_layers_but_the_last_use_the_fused_kernel_for_inference(monkeypatch):
    model = make_model(3)
    use_fast_mpnet(model)
    kinds = [
        type(layer.attention.attn) is FusedSelfAttention for layer in model.mpnet.encoder.layer
    ]
    assert kinds == [True, True, False]
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        logits = model.eval()(input_ids=torch.ones(2, 8, dtype=torch.long)).logits
    assert logits.isfinite().all()
