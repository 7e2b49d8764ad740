r"""Score the fine-tuned model on the test sample, once.

python -m stages.evaluate data/raw data/sample models/finetuned data/predictions/test.parquet \
    metrics/test.json plots/test
"""

import json
from pathlib import Path

from pydantic import PositiveInt

from yelp_stars.data import arrow
from yelp_stars.malloc import reuse_freed_memory
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import replacing, write_json
from yelp_stars.pipeline.params import Precision, StageParams, load_params


class Params(StageParams):
    """How the test rows are computed."""

    per_device_eval_batch_size: PositiveInt
    """Rows in a batch: on the GPU, or on each core of a CPU."""
    precision: Precision
    """auto (bf16 where the hardware is fast in it), fp32, bf16 or fp16 (CUDA)."""


def main(
    raw: Path, sampled: Path, finetuned: Path, predicted: Path, test_metrics: Path, plots: Path
) -> None:
    params = load_params(Params, "evaluate")
    # Late: these import torch and transformers, and a typo in params.yaml must not wait for them.
    from yelp_stars import evaluation, inference
    from yelp_stars.modeling import batching, compute
    from yelp_stars.scoring import hf_metric, metrics

    resolved = compute.resolve(params.precision, "evaluate")
    if compute.device().type == "cpu":
        reuse_freed_memory()
    table = arrow.read(sampled / "test.arrow")
    names, labels = arrow.label_names(table.schema), arrow.column(table, "label")
    model = inference.load_finetuned(finetuned, resolved)
    print(
        f"{len(table):,} rows in {resolved.precision} ({resolved.reason}) on {model.device}",
        flush=True,
    )
    reviews = batching.ReviewDataset(table)
    logits = inference.predict_logits(model, reviews, params.per_device_eval_batch_size, resolved)
    scores = hf_metric.StarScores(keep_in_memory=True).compute(
        predictions=logits, references=labels, ordered=reviews.ordered
    )
    scores = metrics.rounded(scores)
    with replacing(predicted) as partial, replacing(plots) as pictures:
        evaluation.write_predictions(raw / "test.arrow", table, logits, partial)
        interval = f"[{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}]"
        title = f"accuracy {scores['accuracy']:.3f} {interval} on {scores['n']:,} rows"
        evaluation.write_plots(logits, labels, names, title, pictures)
        write_json(test_metrics, scores)
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    run(main)
