"""The page of a report: what a run left behind, as one HTML file that requests nothing."""

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from yelp_stars.evaluation import titles
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import visible
from yelp_stars.pipeline.yaml_file import dump_yaml
from yelp_stars.report import findings, pictures
from yelp_stars.report.machine_load import Load
from yelp_stars.report.texts import CLASSES
from yelp_stars.scoring import metrics

FOLDER = Path(__file__).parent
LENGTHS = (("median words", "median"), ("95 % of the reviews have at most, words", "p95"))
FLAGS = {
    "leak": "also in the other split, exactly or nearly",
    "duplicate": "the text of an earlier row",
    "near_duplicate": "nearly the text of an earlier row",
    "conflict": "the same text has two labels",
    "short": "fewer words than audit.min_words",
}
CONFUSIONS = 10  # of the most frequent mistakes
LONGEST_VALUE = 120  # characters of a parameter


class Run(NamedTuple):
    """What a run left behind."""

    parameters: dict[str, dict[str, Any]]
    data: dict[str, Any]
    """The contents of the files of metrics/, by their names."""
    audit: dict[str, Any]
    baseline: dict[str, Any]
    validation: dict[str, Any]
    evaluation: dict[str, Any]
    model: Predictions
    tfidf: Predictions
    curves: dict[str, list[tuple[float, float]]]
    """Of plots/training, by the names of its files."""
    rows: dict[str, int]
    """Of the sample: train, validation, test."""
    runtime: dict[str, Any]
    """Of dvclive/runtime.json."""
    load: Load
    seconds: dict[str, float]
    examples: dict[str, list[dict[str, Any]]]
    mistakes: list[dict[str, Any]]
    suspects: list[dict[str, Any]]
    n_mistakes: int
    """All of them, beside those that are shown."""
    n_suspects: int


def render(run: Run) -> str:
    """The page. Everything of a user is escaped by Jinja2; only our own SVG is not."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        written=findings.written,
        number=_number,
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=f"sha256-{digest}",
        pictures=_pictures(run),
        **_verdict(run),
        **_content(run),
    )


def _verdict(run: Run) -> dict[str, Any]:
    """The first screen: what was trained on what, how good it is, and what matters."""
    scores, n, slices = run.evaluation["scores"], len(run.model.rows), _slices(run)
    tfidf, majority = (
        _percent(run.baseline[name]["accuracy"], n) for name in ("tfidf", "majority")
    )
    accuracy, checkpoint = scores["accuracy"], _checkpoint(run.parameters["pretrained"])
    tiles = [
        {
            "name": titles.SCORES[key],
            "value": _number(found, "value"),
            "note": f"95 % interval {_number(found, 'low')} to {_number(found, 'high')}",
        }
        for key, found in scores.items()
    ]
    return {
        "title": f"Report: accuracy {findings.written(accuracy)}",
        "kicker": f"{checkpoint}, fine-tuned on {run.rows['train']:,} {_reviews(run.parameters)}",
        "headline": (
            f"The model labels {_percent(accuracy['value'], n)} % of the test reviews correctly, "
            f"TF-IDF {tfidf} %"
        ),
        "lead": (
            f"95 % interval {_percent(accuracy['low'], n)} to {_percent(accuracy['high'], n)} %, "
            f"on {n:,} reviews that were used for nothing else. The most frequent class alone: "
            f"{majority} %."
        ),
        "tiles": tiles,
        "findings": [
            findings.against_baseline(run.model, run.tfidf),
            findings.leaks(
                run.audit,
                slices,
                near=run.parameters["audit"]["near_duplicates"],
                excluded="leaks" in run.parameters["sample"]["exclude"],
            ),
            findings.worst_slice(slices),
            findings.calibration(run.evaluation["calibration"], run.evaluation["ranges"]),
        ],
    }


def _content(run: Run) -> dict[str, Any]:
    """What the sections below it show."""
    names = [visible(name, 60) for name in run.model.names]
    rates = run.runtime
    device = f" on {rates['device']}" if "device" in rates else ""
    order = ["external", *run.parameters, "report"]
    shared = run.data["texts_in_train_and_test"]
    return {
        "names": names[:CLASSES],
        "ordered": run.model.ordered,
        "n": len(run.model.rows),
        "audit": run.audit,
        "splits": ("train", "test"),
        "lengths": LENGTHS,
        "flags": FLAGS.items(),
        "data_line": (
            f"{run.rows['train']:,} reviews to train on, {run.rows['validation']:,} to validate "
            f"and {run.rows['test']:,} to test, drawn from {run.audit['train']['rows']:,} and "
            f"{run.audit['test']['rows']:,} {_reviews(run.parameters)}. "
            f"{f'{shared:,} texts are' if shared else 'No text is'} in both splits, word for word."
        ),
        "examples": run.examples,
        "training_line": (
            f"{rates['seconds']:,.0f} s{device}, {rates['tokens_per_second']:,.0f} tokens/s, "
            f"{rates['steps_per_second']:.1f} steps/s."
        ),
        "seconds": {stage: run.seconds[stage] for stage in order if stage in run.seconds},
        "score_names": [(key, titles.SCORES[key]) for key in run.evaluation["scores"]],
        "evaluation": run.evaluation,
        "baseline": run.baseline,
        "validation": run.validation,
        "confusion": _confusion(run.model, names),
        "confusions": [
            (visible(label, 60), visible(guess, 60), rows)
            for label, guess, rows in findings.confusions(run.model, CONFUSIONS)
        ],
        "per_class": [
            {**row, "label": visible(row["label"], 60)}
            for row in run.evaluation["per_class"][:CLASSES]
        ],
        "classes_left_out": max(0, len(names) - CLASSES),
        "slices": _slices(run),
        "mistakes": run.mistakes,
        "suspects": run.suspects,
        "n_mistakes": run.n_mistakes,
        "n_suspects": run.n_suspects,
        "parameters": {
            section: {
                key: visible(dump_yaml(value).strip().removesuffix("\n..."), LONGEST_VALUE)
                for key, value in values.items()
            }
            for section, values in run.parameters.items()
        },
        "footer": (
            f"Source of the reviews: {visible(run.data['source'], 80)}; their SHA-256: "
            f"{visible(str(run.data.get('sha256', 'unknown')), 64)}. All scores with intervals: "
            f"metrics/evaluation.json. This page has texts of reviews: share it as you may share "
            f"them."
        ),
    }


def _confusion(model: Predictions, names: list[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rows of the confusion matrix; none if there are too many classes for a page."""
    if len(names) > CLASSES:
        return []
    counts = metrics.confusion_matrix(model.logits, model.labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        (name, [{"rows": int(rows), "share": share} for rows, share in zip(*cells)])
        for name, cells in zip(names, zip(counts, shares))
    ]


def _pictures(run: Run) -> dict[str, Any]:
    """The pictures of each section, by name."""
    evaluation, curves = run.evaluation, run.curves
    loss = {"training": curves["train_loss"], "validation": curves["validation_loss"]}
    found: dict[str, Any] = {
        "labels": pictures.bars(
            "Labels",
            {
                split: dict(list(run.audit[split]["labels"].items())[:CLASSES])
                for split in ("train", "test")
            },
        ),
        "training": [
            pictures.lines("Loss", loss, "step"),
            pictures.lines(
                "Validation accuracy", {"accuracy": curves["validation_accuracy"]}, "step", top=1
            ),
            pictures.lines("Learning rate", {"rate": curves["train_learning_rate"]}, "step"),
        ],
        "classes": pictures.dots(
            "F1 of each class",
            [(row["label"], row["f1"] | {"n": row["recall"]["n"]}) for row in _classes(evaluation)],
            "F1",
            evaluation["scores"]["macro_f1"],
        ),
        "slices": pictures.dots(
            "Accuracy of each slice",
            [(part["name"], part["accuracy"]) for part in _slices(run) if part["accuracy"]["n"]],
            "accuracy",
            evaluation["scores"]["accuracy"],
        ),
        "before": pictures.reliability(
            "Without the temperature", evaluation["calibration"]["bins"]["before"]
        ),
        "after": pictures.reliability(
            "With the temperature", evaluation["calibration"]["bins"]["after"]
        ),
        "risk": pictures.risk_coverage(
            "If a person checks the least sure", evaluation["risk_coverage"]["points"]
        ),
        "load": [],
    }
    for unit, load, top in (("% busy", run.load.busy, 105), ("GB", run.load.memory, None)):
        if load:
            title = f"{' and '.join(load)}, {unit}"
            found["load"].append(pictures.lines(title, load, "minutes", top=top))
    return {name: _markup(picture) for name, picture in found.items()}


def _number(scores: dict[str, Any], key: str) -> str:
    """A score in the decimals that its rows support, with its interval if there is one."""
    found = [scores.get(name) for name in (key, f"{key}_low", f"{key}_high")]
    value, low, high = (
        "–" if one is None else f"{one:.{metrics.decimals(scores['n'])}f}" for one in found
    )
    return value if None in found else f"{value} [{low}, {high}]"


def _percent(share: float, n: int) -> str:
    """A share of `n` rows in percent, in the decimals that they support."""
    return f"{100 * share:.{max(0, metrics.decimals(n) - 2)}f}"


def _slices(run: Run) -> list[dict[str, Any]]:
    """The slices; those of the audit are named as its flags are."""
    return [
        part | {"name": part["name"].replace("_", "-")} if part["kind"] == "audit" else part
        for part in run.evaluation["slices"]
    ]


def _classes(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    scored = (row for row in evaluation["per_class"] if row["f1"]["value"] is not None)
    return list(scored)[:CLASSES]


def _markup(picture: str | list[str]) -> Markup | list[Markup]:
    """Our own SVG: matplotlib has escaped the names in it."""
    if isinstance(picture, list):
        return [Markup(one) for one in picture]  # noqa: S704
    return Markup(picture)  # noqa: S704


def _checkpoint(pretrained: dict[str, Any]) -> str:
    named = (pretrained.get(key) for key in ("package", "repo", "folder", "architecture"))
    return visible(next((str(name) for name in named if name), "random weights"), 80)


def _reviews(parameters: dict[str, Any]) -> str:
    download = parameters["download"]
    kinds = {"synthetic": "synthetic reviews", "hub": f"reviews of {download.get('repo')}"}
    return visible(kinds.get(download["source"], "reviews of your own files"), 100)
