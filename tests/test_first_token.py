"""The shortcut through the last layer changes nothing but the time."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig

from stars.first_token import compute_only_first


@pytest.mark.parametrize("padded", [False, True])
def test_logits_and_gradients_are_those_of_the_whole_layer(tiny_checkpoint, padded):
    def made() -> torch.nn.Module:
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=5)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zeros, so far
                torch.nn.init.normal_(parameter, std=0.3)
        return model

    whole, short = made().eval(), made().eval()
    assert compute_only_first(short)
    ids = torch.randint(5, 600, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 9:] = mask[3, 2:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 4, 2])}
    first, second = whole(**batch), short(**batch)
    assert torch.allclose(first.logits, second.logits, atol=1e-6)
    first.loss.backward()
    second.loss.backward()
    for (name, theirs), ours in zip(whole.named_parameters(), short.parameters(), strict=True):
        assert torch.allclose(theirs.grad, ours.grad, atol=1e-6), name
    assert list(whole.state_dict()) == list(short.state_dict())


@pytest.mark.parametrize(
    "config",
    [
        DistilBertConfig(vocab_size=50, dim=8, n_layers=1, n_heads=2, hidden_dim=8),
        BertConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, attn_implementation="eager",
        ),
    ],
)  # fmt: skip
def test_another_kind_of_model_is_left_as_it_is(config):
    model = AutoModelForSequenceClassification.from_config(config)
    assert not compute_only_first(model)
