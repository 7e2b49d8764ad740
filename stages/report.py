"""Write one page about the run: verdict, data, scores, mistakes, parameters."""

from pathlib import Path
from typing import NamedTuple

from yelp_stars.pipeline.entrypoint import run, stage_seconds
from yelp_stars.pipeline.files import finished, read_json
from yelp_stars.pipeline.params import load_all


class Inputs(NamedTuple):
    raw: Path
    audit: Path
    sampled: Path
    baseline: Path
    suspects: Path
    predictions: Path
    errors: Path
    dvclive: Path
    training_plots: Path
    test_plots: Path
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
    import numpy as np

    from yelp_stars.data import arrow
    from yelp_stars.evaluation import mistakes, predictions
    from yelp_stars.report import diagnosis, history, page, pictures, texts

    model = predictions.read(given.predictions)
    errors = predictions.read_table(given.errors, mistakes.MISTAKES)
    suspects = predictions.read_table(given.suspects, mistakes.SUSPECTS)
    flags = mistakes.read_flags(given.audit, "train", suspects["row"].to_numpy())
    suspects = mistakes.with_flags(suspects, flags)
    plots = [given.training_plots / "training.svg", *sorted(given.test_plots.glob("*.svg"))]
    metrics = {
        "data": read_json(given.data_metrics),
        "audit": read_json(given.audit_metrics),
        "baseline": read_json(given.baseline_metrics),
        "validation": read_json(given.validation_metrics),
        "evaluation": read_json(given.details),
    }
    drawn = pictures.draw(
        metrics["audit"], metrics["evaluation"], given.training_plots, given.dvclive
    )
    rows = {
        name: arrow.read(given.sampled / f"{name}.arrow")["row"].to_numpy()
        for name in ("train", "validation", "test")
    }
    alike = mistakes.read_alike(given.audit)
    repeats = alike[parameters["sample"]["validation_from"]][rows["validation"]]
    tests, trains = given.raw / "test.arrow", given.raw / "train.arrow"
    content = {
        "parameters": parameters,
        **metrics,
        "model": model,
        "strongest": predictions.read(given.baseline),
        "history": history.read(given.predictions, model),
        "diagnosis": diagnosis.diagnose(
            parameters["train"], given.training_plots, metrics, given.sampled / "train.arrow"
        ),
        "read_texts": lambda indices: predictions.read_texts(tests, model.rows[indices]),
        "pictures": {**{plot.stem: plot.read_bytes() for plot in plots}, **drawn},
        "rows": {name: len(numbers) for name, numbers in rows.items()},
        "repeats": int(np.isin(repeats, alike["train"][rows["train"]]).sum()),
        "runtime": read_json(given.dvclive / "runtime.json"),
        "seconds": stage_seconds(),
        "examples": texts.examples(given.sampled, given.raw),
        "mistakes": texts.listed(errors, alike["test"], tests, texts.MISTAKES),
        "suspects": texts.listed(suspects, alike["train"], trains, texts.SUSPECTS),
        "n_mistakes": len(errors),
        "n_suspects": len(suspects),
    }
    made.page.write_text(page.render(content), encoding="utf-8")
    print(f"open {finished(made.page)} in a browser")


if __name__ == "__main__":
    run(main)
