"""Start the head as logistic regression on the frozen checkpoint's features.

Trained after a head like that, the checkpoint forgets less of what it knows (Kumar et al. 2022,
Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution).
"""

import os

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from transformers import PreTrainedModel

from yelp_stars.baseline.regression import choose_penalty, regression
from yelp_stars.modeling import compute
from yelp_stars.modeling.batching import ReviewDataset
from yelp_stars.modeling.inference import predict_logits, without_head

MAX_ROWS = 2_000  # of the sample, the first ones: with more rows, the training teaches the head
BATCH = 8
# Bias of a class without a training row, below those of the others.
ABSENT = -5.0


def fit_head(model: PreTrainedModel, rows: ReviewDataset, *, balanced: bool) -> None:
    """Set the last layer of the head to a logistic regression on what that layer reads.

    In fp32, whatever the training computes in. `balanced` weights the classes equally.
    """
    labels = np.array([rows[row]["labels"] for row in range(len(rows))])
    classes = np.unique(labels)
    if len(classes) < 2:
        return
    if compute.device().type == "cuda":  # one for each process of torchrun
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    fp32 = compute.Compute("fp32", "", None)
    with without_head(model.to(compute.device())) as linear:  # type: ignore[arg-type]
        features = predict_logits(model, rows, BATCH, fp32, doing="fit the head")
    model.to("cpu")  # type: ignore[arg-type]
    features = features.astype(np.float64)
    fitted = regression(choose_penalty(features, labels, balanced), balanced)
    with threadpool_limits(1):  # sums over several threads differ in their last digits
        fitted.fit(features, labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(classes) == 2:  # one row, for the second class
        weight, bias = np.outer([-0.5, 0.5], weight), np.outer([-0.5, 0.5], bias).ravel()
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(float(bias.min()) + ABSENT)
        linear.weight[classes] = torch.from_numpy(weight).float()
        linear.bias[classes] = torch.from_numpy(bias).float()
