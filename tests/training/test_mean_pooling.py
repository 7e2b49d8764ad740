"""A last layer that averages: plain transformers computes it, from weights alone."""

import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from yelp_stars.training.mean_pooling import SCALE, add_mean_pooling


def test_the_pooler_reads_the_normalized_mean_of_all_tokens(tiny_checkpoint, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=3).eval()
    layers = model.config.num_hidden_layers
    assert add_mean_pooling(model)
    model.save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert plain.config.num_hidden_layers == layers + 1
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    hidden = AutoModel.from_pretrained(tiny_checkpoint).eval()(ids, mask).last_hidden_state
    means = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    means = torch.nn.functional.layer_norm(means, means.shape[-1:])
    pooled = plain.bert(ids, mask).pooler_output
    similarity = torch.nn.functional.cosine_similarity(pooled, torch.tanh(SCALE * means))
    assert (similarity > 0.999).all(), similarity


def test_another_architecture_keeps_its_own_summary(tiny_checkpoint):
    encoder = AutoModel.from_pretrained(tiny_checkpoint)
    assert not add_mean_pooling(encoder)
