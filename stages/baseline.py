r"""Score the majority class and TF-IDF with logistic regression on the sample.

python -m stages.baseline data/raw data/sample data/predictions/baseline.parquet \
    data/predictions/suspects.parquet metrics/baseline.json
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """Parameters of the baseline: fixed, so that nothing is chosen by its scores."""

    max_rows: PositiveInt
    """Maximum training rows, the first of the sample; limits memory."""
    max_features: PositiveInt
    """Maximum number of words and word pairs to count, the most frequent ones."""
    c: PositiveFloat
    """Inverse strength of the L2 penalty of the logistic regression."""
    folds: Annotated[int, Field(ge=2, le=20)]
    """Cross-validation folds; each is predicted by a model fitted on the others."""
    suspects: NonNegativeInt
    """Training rows with the most doubtful labels to list; 0 skips this."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the folds."""


class Inputs(NamedTuple):
    raw: Path
    sampled: Path


class Outputs(NamedTuple):
    predictions: Path
    suspects: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "baseline")
    # Late: scikit-learn takes a second, and every stage imports this file to check params.yaml.
    from yelp_stars.baseline import label_errors, tfidf
    from yelp_stars.evaluation import predictions
    from yelp_stars.scoring import metrics

    tables = {split: arrow.read(given.sampled / f"{split}.arrow") for split in ("train", "test")}
    schema = tables["test"].schema
    names, ordered = arrow.label_names(schema), arrow.ordered(schema)
    tables["train"] = tables["train"].slice(0, params.max_rows)
    rows = {split: arrow.column(table, "row") for split, table in tables.items()}
    labels = {split: arrow.column(table, "label") for split, table in tables.items()}
    texts = {
        split: predictions.read_texts(given.raw / f"{split}.arrow", rows[split]) for split in tables
    }

    def fit_predict(
        train: list[str], train_labels: np.ndarray, others: list[str]
    ) -> np.ndarray | None:
        model = tfidf.fit(train, train_labels, params.max_features, params.c)
        return None if model is None else tfidf.predict(model, others, len(names))

    majority = tfidf.majority(labels["train"], len(rows["test"]), len(names))
    predicted = fit_predict(texts["train"], labels["train"], texts["test"])
    logits = {"majority": majority, "tfidf": majority if predicted is None else predicted}
    scores = {
        name: metrics.rounded(metrics.scores(values, labels["test"], ordered))
        for name, values in logits.items()
    }
    suspects, doubts = label_errors.find(
        texts["train"],
        labels["train"],
        len(names),
        fit_predict,
        folds=params.folds,
        seed=params.seed,
        limit=params.suspects,
        ordered=ordered,
    )
    hashes = [predictions.text_hash(text) for text in texts["test"]]
    tested = predictions.Predictions(
        rows["test"], hashes, labels["test"], logits["tfidf"], names, ordered
    )
    predictions.write(tested, made.predictions)
    doubted = predictions.Predictions(
        rows["train"][suspects], [], labels["train"][suspects], doubts, names, ordered
    )
    label_errors.write(doubted, made.suspects)
    write_json(made.metrics, scores)
    meanings = {"majority": "majority class", "tfidf": "TF-IDF and regression"}
    if predicted is None:
        meanings["tfidf"] += " (nothing to fit, so the majority class)"
    for name, meaning in meanings.items():
        low, high = scores[name]["accuracy_low"], scores[name]["accuracy_high"]
        print(
            f"{meaning}: accuracy {scores[name]['accuracy']:.3f} [{low:.3f}, {high:.3f}] on "
            f"{scores[name]['n']:,} rows, fitted on {len(rows['train']):,}"
        )
    print(f"{len(suspects):,} training rows have a doubtful label")


if __name__ == "__main__":
    run(main)
