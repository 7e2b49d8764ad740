"""Write the report of a run as one self-contained HTML page."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from yelp_stars.evaluation import titles
from yelp_stars.evaluation.intervals import written
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import counted, visible
from yelp_stars.pipeline.yaml_file import dump_yaml
from yelp_stars.report import findings
from yelp_stars.report.diagnosis import OF_CLASSES
from yelp_stars.report.texts import CLASSES, LONGEST
from yelp_stars.scoring import metrics

FOLDER = Path(__file__).parent
LENGTHS = {"median": "median words", "p95": "95 % have at most, words"}
FLAGS = {
    "leak": "also in the other split, exactly or nearly",
    "duplicate": "the text of an earlier row",
    "near_duplicate": "nearly the text of an earlier row",
    "conflict": "the same text has two labels",
    "short": "fewer words than audit.min_words",
}
PROVENANCE = {"sha256": "SHA-256", "repo": "repository", "revision": "revision"}
CONFUSIONS = 10  # of the most frequent mistakes
# What a score says, by its name in yelp_stars/evaluation/titles.py.
MEANINGS = {
    "accuracy": "the share of right predictions",
    "macro_f1": "the mean of F1 over the classes: a rare class counts as much as a frequent one",
    "mae": "how far a prediction is from the label, on average",
    "within_one": "the share of predictions that are right or next to the label",
    "quadratic_kappa": "agreement beyond chance, where large errors count more: 1 is the best",
    "loss": "how unlikely the model finds the labels: 0 is the best",
    "calibration_error": "how far probabilities are from the share of right predictions",
}


def render(run: dict[str, Any]) -> str:
    """Return the page of a run: what the stage `report` reads, by its name in page.html.

    Every text in it is bounded, shown with its hidden characters, and escaped, but for our own
    style and script, and the addresses of pictures.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        finalize=lambda value: visible(value, LONGEST) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = visible
    environment.filters["marked"] = _marked
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    model: Predictions = run["model"]
    data, audit, baseline = run["data"], run["audit"], run["baseline"]
    evaluation, parameters = run["evaluation"], run["parameters"]
    n, slices = len(model.rows), _slices(evaluation)
    shown = titles.score_titles(
        {row["label"]: row["recall"]["n"] for row in evaluation["per_class"]}
    )
    shown = {key: title for key, title in shown.items() if key in evaluation["scores"]}
    tiles = [next(iter(shown)), "accuracy", "within_one", "macro_f1"]
    noun = parameters["download"].get("noun", "review")
    points = evaluation["risk_coverage"]["points"]
    name_of_strongest = titles.BASELINES[baseline["strongest"]]
    of_classes = [problem for problem in run["diagnosis"] if problem.title in OF_CLASSES]
    others = [
        *findings.synthetic(data["source"]),
        *(problem for problem in run["diagnosis"] if problem not in of_classes),
        findings.leaks(
            audit,
            slices,
            noun=noun,
            near=parameters["audit"]["near_duplicates"],
            excluded="leaks" in parameters["sample"]["exclude"],
        ),
        findings.classes(evaluation["per_class"], model, of_classes, run["read_texts"], noun),
        findings.worst_slice(slices, noun),
        findings.least_sure(model, points, noun),
        findings.calibration(evaluation["calibration"], evaluation["ranges"], noun),
        *findings.repeated(run["repeats"], run["rows"]["validation"], noun),
    ]
    others.sort(key=lambda finding: findings.ORDER.index(finding.status), reverse=True)
    found = [findings.against_baseline(model, run["strongest"], name_of_strongest), *others]
    content = {
        **run,
        "n": n,
        "slices": slices,
        "findings": found,
        "verdict": findings.decide(found),
        "tiles": [key for key in dict.fromkeys(tiles) if key in shown][:2],
        "meanings": MEANINGS,
        "avoided": lambda share: findings.avoided(model, share),
        "confusions": findings.confusions(model, CONFUSIONS),
        "checkpoint": _checkpoint(parameters["pretrained"]),
        "provenance": "; ".join(_provenance(data)),
        "pictures": {name: _embedded(svg) for name, svg in run["pictures"].items()},
        "titles": shown,
        "noun": noun,
        "baselines": {key: name for key, name in titles.BASELINES.items() if key in baseline},
        "lengths": LENGTHS,
        "flags": FLAGS,
        "classes": CLASSES,
        "stages": ["external", *parameters, "report"],
        "counted": counted,
        "written": written,
        "number": _number,
        "percent": lambda share: f"{100 * share:.{max(0, metrics.decimals(n) - 2)}f}\u00a0%",
        "texts": lambda count: _texts(count, noun, data),
        "yaml": lambda value: dump_yaml(value).strip().removesuffix("\n..."),
        "style": Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "script_hash": f"sha256-{digest}",
    }
    return environment.get_template("page.html").render(content)


def _marked(text: str) -> Markup:
    """Show what is between backticks as code, and keep a number beside its percent sign."""
    safe = str(escape(visible(text, LONGEST))).replace(" %", "\u00a0%")
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", safe))  # noqa: S704


def _embedded(svg: bytes) -> Markup:
    """Return the address of an image: no script in it runs, and its ids are its own."""
    return Markup("data:image/svg+xml;base64," + base64.b64encode(svg).decode())  # noqa: S704


def _number(scores: dict[str, Any], key: str) -> str:
    """Write a score in the decimals that its rows support, with its interval if there is one."""
    numbers = [scores.get(name) for name in (key, f"{key}_low", f"{key}_high")]
    value, low, high = (
        "–" if number is None else f"{number:.{metrics.decimals(scores['n'])}f}"
        for number in numbers
    )
    return value if None in numbers else f"{value} [{low}, {high}]"


def _slices(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the slices; those of the audit are named as its flags are."""
    return [
        part | {"name": part["name"].replace("_", "-")} if part["kind"] == "audit" else part
        for part in evaluation["slices"]
    ]


def _checkpoint(pretrained: dict[str, Any]) -> str:
    if pretrained["source"] == "random":  # the folder holds an architecture only
        return "random weights"
    names = (pretrained[key] for key in ("package", "repo", "folder") if key in pretrained)
    return visible(next(names, pretrained["source"]), 80)


def _texts(count: int, noun: str, data: dict[str, Any]) -> str:
    """Write a number of texts with their source: "2,000 synthetic reviews"."""
    if data["source"] == "synthetic":
        return counted(count, "synthetic review")
    origin = "your own files" if data["source"] == "files" else data.get("repo", data["source"])
    return f"{counted(count, noun)} of {visible(origin, 80)}"


def _provenance(data: dict[str, Any]) -> list[str]:
    """Return what identifies the data: the hashes of files, or a revision of a repository."""
    hashes = [
        f"SHA-256 of {visible(name, 80)}: {digest}"
        for name, digest in data.get("files", {}).items()
    ]
    facts = [f"{name}: {data[key]}" for key, name in PROVENANCE.items() if key in data]
    return [f"Source of the data: {data['source']}", *hashes, *facts]
