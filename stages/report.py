r"""Write one page about the run: verdict, data, scores, mistakes, parameters.

python -m stages.report data/raw data/sample data/predictions/baseline.parquet \
    data/predictions/test.parquet data/predictions/errors.parquet dvclive plots/training \
    metrics/data.json metrics/audit.json metrics/baseline.json metrics/validation.json \
    metrics/evaluation.json reports/index.html
"""

from pathlib import Path

from yelp_stars.pipeline.entrypoint import run, stage_seconds
from yelp_stars.pipeline.files import read_json, replacing
from yelp_stars.pipeline.params import load_all


def main(
    raw: Path,
    sampled: Path,
    baseline: Path,
    predicted: Path,
    mistaken: Path,
    dvclive: Path,
    training: Path,
    data_metrics: Path,
    audit_metrics: Path,
    baseline_metrics: Path,
    validation_metrics: Path,
    details: Path,
    report: Path,
) -> None:
    parameters = load_all(skip="report")
    # Late: matplotlib and scikit-learn take seconds, which a typo in params.yaml must not wait for.
    from yelp_stars.data import arrow
    from yelp_stars.evaluation import mistakes, predictions
    from yelp_stars.report import machine_load, page, texts

    errors = mistakes.read(mistaken)
    splits = errors["split"].to_pylist()
    made = page.Run(
        parameters=parameters,
        data=read_json(data_metrics),
        audit=read_json(audit_metrics),
        baseline=read_json(baseline_metrics),
        validation=read_json(validation_metrics),
        evaluation=read_json(details),
        model=predictions.read(predicted),
        tfidf=predictions.read(baseline),
        curves={
            file.stem: machine_load.read_curve(file) for file in sorted(training.glob("*.tsv"))
        },
        rows={
            name: len(arrow.read(sampled / f"{name}.arrow"))
            for name in ("train", "validation", "test")
        },
        runtime=read_json(dvclive / "runtime.json"),
        load=machine_load.read_load(dvclive),
        seconds=stage_seconds(),
        examples=texts.examples(sampled, raw),
        mistakes=texts.listed(errors, "test", raw, texts.MISTAKES),
        suspects=texts.listed(errors, "train", raw, texts.SUSPECTS),
        n_mistakes=splits.count("test"),
        n_suspects=splits.count("train"),
    )
    with replacing(report) as partial:
        partial.write_text(page.render(made), encoding="utf-8")
    print(f"open {report} in a browser")


if __name__ == "__main__":
    run(main)
