"""The baseline on the frozen checkpoint: mean-pooled embeddings, logistic regression."""

import numpy as np
import torch
from transformers import AutoModel

from yelp_stars.baseline.frozen import embed, fit_predict
from yelp_stars.data import arrow
from yelp_stars.modeling.batching import ReviewDataset


def test_an_embedding_is_the_normalized_mean_of_the_tokens_of_a_text(train_project):
    table = arrow.read(train_project / "data" / "sample" / "test.arrow")
    pretrained = train_project / "models" / "pretrained"
    (embeddings,) = embed(pretrained, ReviewDataset(table))
    plain = AutoModel.from_pretrained(pretrained).eval()
    for row in (0, 7):
        ids = torch.tensor([table["input_ids"][row].as_py()])
        mean = plain(ids).last_hidden_state.mean(1)
        expected = torch.nn.functional.layer_norm(mean, mean.shape[-1:])[0].detach()
        assert np.allclose(embeddings[row], expected, atol=1e-4)


def test_the_regression_learns_and_a_class_without_rows_is_never_predicted():
    features = np.random.default_rng(0).normal(size=(60, 8))
    labels = (features[:, 0] > 0).astype(np.int64) * 2
    logits = fit_predict(features, labels, features, n_classes=3, penalty=1.0)
    assert logits.dtype == np.float32
    assert (logits.argmax(axis=1) == labels).mean() > 0.9
    assert (logits[:, 1] == -30).all()
    assert fit_predict(features, 0 * labels, features, n_classes=3, penalty=1.0) is None
