"""Score cheap models on the sample: the majority class, TF-IDF, the frozen checkpoint."""

import functools
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """Parameters of the baselines: fixed, so that nothing is chosen by their scores."""

    max_rows: PositiveInt
    """Maximum training rows, the first of the sample; limits memory."""
    max_features: PositiveInt
    """Maximum number of words and word pairs to count, the most frequent ones."""
    c: PositiveFloat
    """Inverse strength of the L2 penalty of the logistic regression."""
    embedded_rows: NonNegativeInt
    """Maximum training rows of the logistic regression on the frozen checkpoint; 0 skips it."""
    folds: Annotated[int, Field(ge=2, le=20)]
    """Cross-validation folds; each is predicted by a model fitted on the others."""
    suspects: NonNegativeInt
    """Training rows with the most doubtful labels to list; 0 skips this."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the folds."""


class Inputs(NamedTuple):
    raw: Path
    sampled: Path
    pretrained: Path


class Outputs(NamedTuple):
    predictions: Path
    suspects: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "baseline")
    # Late: scikit-learn takes a second, and every stage imports this file to check params.yaml.
    from yelp_stars.baseline import label_errors, tfidf
    from yelp_stars.evaluation import predictions, titles
    from yelp_stars.scoring import metrics

    tables = {split: arrow.read(given.sampled / f"{split}.arrow") for split in ("train", "test")}
    tables["train"] = tables["train"][: params.max_rows]
    schema = tables["test"].schema
    names, ordered = arrow.label_names(schema), arrow.ordered(schema)
    rows = {split: table["row"].to_numpy() for split, table in tables.items()}
    labels = {split: table["label"].to_numpy() for split, table in tables.items()}
    texts = {
        split: np.array(predictions.read_texts(given.raw / f"{split}.arrow", numbers), object)
        for split, numbers in rows.items()
    }
    cross_validate = functools.partial(
        label_errors.cross_validate, n_classes=len(names), folds=params.folds, seed=params.seed
    )
    on_words = functools.partial(
        tfidf.fit_predict, n_classes=len(names), max_features=params.max_features, c=params.c
    )
    majority = tfidf.majority(labels["train"], len(rows["test"]), len(names))
    of_words = on_words(texts["train"], labels["train"], texts["test"])
    logits = {"majority": majority, "tfidf": majority if of_words is None else of_words}
    doubts, judged = cross_validate(texts["train"], labels["train"], on_words)
    suspects = label_errors.find(
        doubts, judged, labels["train"], limit=params.suspects, ordered=ordered
    )
    strongest = "tfidf"
    n_embedded = min(params.embedded_rows, len(rows["train"]))
    if n_embedded:
        # Late, and only here: these import torch.
        from yelp_stars.baseline import frozen
        from yelp_stars.baseline.regression import choose_penalty
        from yelp_stars.modeling.batching import ReviewDataset

        samples = [tables["train"].slice(0, n_embedded), tables["test"]]
        features, others = frozen.embed(given.pretrained, *map(ReviewDataset, samples))
        own = labels["train"][:n_embedded]
        penalty = choose_penalty(features, own) if len(np.unique(own)) > 1 else 1.0
        on_features = functools.partial(frozen.fit_predict, n_classes=len(names), penalty=penalty)
        of_frozen = on_features(features, own, others)
        logits["frozen"] = majority if of_frozen is None else of_frozen
        crossed, also_judged = cross_validate(features, own, on_features)
        # By training rows that neither has seen: nothing is chosen on the test rows.
        both = np.flatnonzero(judged[:n_embedded] & also_judged)
        right = [(x[both].argmax(axis=1) == own[both]).sum() for x in (doubts, crossed)]
        if of_words is None or right[1] > right[0]:
            strongest = "frozen"
    scores = {
        name: metrics.rounded(metrics.scores(values, labels["test"], ordered))
        for name, values in logits.items()
    }
    hashes = [predictions.text_hash(text) for text in texts["test"]]
    tested = predictions.Predictions(
        rows["test"], hashes, labels["test"], logits[strongest], names, ordered
    )
    predictions.write(tested, made.predictions)
    doubted = predictions.Predictions(
        rows["train"][suspects], [], labels["train"][suspects], doubts[suspects], names, ordered
    )
    label_errors.write(doubted, made.suspects)
    write_json(made.metrics, {**scores, "strongest": strongest})
    for name, of_test in scores.items():
        nothing = name == "tfidf" and of_words is None
        meaning = titles.BASELINES[name] + " (nothing to fit, so the majority class)" * nothing
        fitted = n_embedded if name == "frozen" else len(rows["train"])
        print(
            f"{meaning}: accuracy {of_test['accuracy']:.3f} [{of_test['accuracy_low']:.3f}, "
            f"{of_test['accuracy_high']:.3f}] on {of_test['n']:,} rows, fitted on {fitted:,}"
        )
    print(f"{len(suspects):,} training rows have a doubtful label")


if __name__ == "__main__":
    run(main)
