r"""Write one page about the run: verdict, data, scores, mistakes, parameters.

python -m stages.report data/raw data/sample data/predictions/baseline.parquet \
    data/predictions/test.parquet data/predictions/errors.parquet dvclive plots/training \
    metrics/data.json metrics/audit.json metrics/baseline.json metrics/validation.json \
    metrics/evaluation.json reports/index.html
"""

from pathlib import Path
from typing import NamedTuple

from yelp_stars.pipeline.entrypoint import run, stage_seconds
from yelp_stars.pipeline.files import finished, read_json
from yelp_stars.pipeline.params import load_all


class Inputs(NamedTuple):
    raw: Path
    sampled: Path
    baseline: Path
    predictions: Path
    errors: Path
    dvclive: Path
    plots: Path
    data_metrics: Path
    audit_metrics: Path
    baseline_metrics: Path
    validation_metrics: Path
    details: Path


class Outputs(NamedTuple):
    page: Path


def main(given: Inputs, made: Outputs) -> None:
    parameters = load_all(skip="report")
    # Late: matplotlib and scikit-learn take seconds, which a typo in params.yaml must not wait for.
    from yelp_stars.data import arrow
    from yelp_stars.evaluation import mistakes, predictions
    from yelp_stars.report import machine_load, page, texts

    errors = mistakes.read(given.errors)
    splits = errors["split"].to_pylist()
    content = page.Run(
        parameters=parameters,
        data=read_json(given.data_metrics),
        audit=read_json(given.audit_metrics),
        baseline=read_json(given.baseline_metrics),
        validation=read_json(given.validation_metrics),
        evaluation=read_json(given.details),
        model=predictions.read(given.predictions),
        tfidf=predictions.read(given.baseline),
        curves={
            file.stem: machine_load.read_curve(file) for file in sorted(given.plots.glob("*.tsv"))
        },
        rows={
            name: len(arrow.read(given.sampled / f"{name}.arrow"))
            for name in ("train", "validation", "test")
        },
        runtime=read_json(given.dvclive / "runtime.json"),
        load=machine_load.read_load(given.dvclive),
        seconds=stage_seconds(),
        examples=texts.examples(given.sampled, given.raw),
        mistakes=texts.listed(errors, "test", given.raw, texts.MISTAKES),
        suspects=texts.listed(errors, "train", given.raw, texts.SUSPECTS),
        n_mistakes=splits.count("test"),
        n_suspects=splits.count("train"),
    )
    made.page.write_text(page.render(content), encoding="utf-8")
    print(f"open {finished(made.page)} in a browser")


if __name__ == "__main__":
    run(main)
