"""Score the fine-tuned model on the test sample, once."""

import os
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt

from yelp_stars.data import arrow
from yelp_stars.data.malloc import reuse_freed_memory
from yelp_stars.evaluation.patterns import Patterns, matches
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import Precision, StageParams, load_params
from yelp_stars.scoring import tracking


class Params(StageParams):
    """Inference on the test rows, and slices to score separately."""

    per_device_eval_batch_size: PositiveInt
    """Rows per batch: on the GPU, or on each CPU core."""
    precision: Precision
    """auto (bf16 where the hardware supports it well), fp32, bf16 or fp16 (CUDA)."""
    slices: Patterns
    """Slices to score separately: a name and a regular expression for the texts."""
    resamples: Annotated[int, Field(ge=200, le=100_000)]
    """Bootstrap resamples for the intervals."""
    seed: NonNegativeInt
    """Seed of the resamples."""


class Inputs(NamedTuple):
    raw: Path
    sampled: Path
    finetuned: Path
    audit: Path


class Outputs(NamedTuple):
    predictions: Path
    errors: Path
    details: Path
    plots: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "evaluate")
    reported_to = tracking.chosen(os.environ)
    # Late: these import torch and transformers, and a typo in params.yaml must not wait for them.
    from yelp_stars.evaluation import estimates, mistakes, outputs, predictions, slices
    from yelp_stars.modeling import batching, compute, inference
    from yelp_stars.scoring import calibration, hf_metric, metrics

    resolved = compute.resolve(params.precision, "evaluate.precision")
    if compute.device().type == "cpu":
        reuse_freed_memory()
    table = arrow.read(given.sampled / "test.arrow")
    names, labels = arrow.label_names(table.schema), table["label"].to_numpy()
    rows, reviews = table["row"].to_numpy(), batching.ReviewDataset(table)
    texts = predictions.read_texts(given.raw / "test.arrow", rows)
    flags = mistakes.read_flags(given.audit, "test", rows)
    parts = [
        *slices.by_length(texts),
        slices.truncated(reviews.lengths, reviews.max_length),
        *slices.by_flag(flags),
        *slices.by_pattern(matches(texts, params.slices)),
    ]
    model = inference.load_finetuned(given.finetuned, resolved)
    fitted = calibration.read(given.finetuned)
    print(
        f"{len(table):,} rows in {resolved.precision} ({resolved.reason}) on {model.device}",
        flush=True,
    )
    size = params.per_device_eval_batch_size
    with compute.enough_memory(f"set evaluate.per_device_eval_batch_size below {size}"):
        logits = inference.predict_logits(model, reviews, size, resolved)
    scores = hf_metric.StarScores(keep_in_memory=True).compute(
        predictions=logits, references=labels, ordered=reviews.ordered
    )
    hashes = [predictions.text_hash(text) for text in texts]
    tested = predictions.Predictions(
        rows, hashes, labels, logits, names, reviews.ordered, fitted.temperature
    )
    found = estimates.details(tested, fitted, resamples=params.resamples, seed=params.seed)
    found["slices"] = slices.score(tested.right, parts)
    predictions.write(tested, made.predictions)
    mistakes.write(tested, flags, made.errors)
    outputs.write_plots(tested, found, made.plots)
    write_json(made.details, found)
    write_json(made.metrics, metrics.rounded(scores))
    if reported_to:
        tracking.report_test(reported_to, given.finetuned, found["scores"])
    print(outputs.summary(found))


if __name__ == "__main__":
    run(main)
