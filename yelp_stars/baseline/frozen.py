"""Fit the strongest cheap baseline: logistic regression on the frozen checkpoint's embeddings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from transformers import AutoModel

from yelp_stars.baseline.regression import predict, regression
from yelp_stars.checkpoint import architecture
from yelp_stars.modeling import compute, inference
from yelp_stars.pipeline.files import refusing

BATCH = 8  # rows, on the GPU or on each CPU core


class MeanPooled(torch.nn.Module):
    """An encoder that returns the normalized mean of all tokens where a classifier has logits.

    Sentence encoders are trained to be read by that mean (Reimers and Gurevych 2019).
    """

    def __init__(self, pretrained: Path) -> None:
        super().__init__()
        config = architecture.load_config(pretrained, ["0", "1"])
        with refusing(f"{str(pretrained)!r} cannot be loaded", "run `dvc repro`"):
            self.encoder = AutoModel.from_pretrained(
                pretrained, config=config, dtype=torch.float32, trust_remote_code=False
            )
        self.config, self.device = config, compute.device()
        self.to(self.device)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Pool token ids (batch, width) to `logits` of shape (batch, hidden)."""
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return SimpleNamespace(logits=torch.nn.functional.layer_norm(mean, mean.shape[-1:]))


def embed(pretrained: Path, *samples: inference.Rows) -> list[np.ndarray]:
    """Embed the rows of each sample by the frozen checkpoint: (rows, hidden), float64."""
    model: Any = MeanPooled(pretrained)
    fp32 = compute.Compute("fp32", "", None)
    parts = [inference.predict_logits(model, rows, BATCH, fp32, doing="embed") for rows in samples]
    return [part.astype(np.float64) for part in parts]


def fit_predict(
    features: np.ndarray, labels: np.ndarray, others: np.ndarray, *, n_classes: int, penalty: float
) -> np.ndarray | None:
    """Fit the regression; predict the logits of other rows. None if there is a single class."""
    if len(np.unique(labels)) < 2:
        return None
    with threadpool_limits(1):
        model = regression(penalty).fit(features, labels)
    return predict(model, others, n_classes)
