"""Offer the scores as a metric of Hugging Face's `evaluate` that needs no network.

Instantiate the class: `evaluate.load(PATH)` would copy this file into a cache and import the copy.
"""

import datasets
import evaluate
import numpy as np

from yelp_stars.scoring.metrics import scores


class StarScores(evaluate.Metric):
    """Accuracy with its interval, macro-F1, MAE, kappa and log loss.

    Predictions are logits (rows, classes), references labels (rows,). `compute(ordered=False)`
    leaves out what needs an order of the classes.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy with its interval, macro-F1, MAE, kappa and loss of stars.",
            citation="",
            inputs_description="logits and labels",
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float32")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions, references, ordered=True):  # type: ignore[no-untyped-def]
        return scores(np.asarray(predictions, np.float32), np.asarray(references), ordered)
