"""`stars show`: the scores of the last run, what it made, what to run next."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yelp_stars.commands.runs.git import ask_git
from yelp_stars.evaluation.titles import BASELINES, ORDERED, score_titles
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import DAMAGE, damaged_as, read_object
from yelp_stars.pipeline.text import counted, printable
from yelp_stars.pipeline.yaml_file import read_yaml

MADE = {
    "reports/index.html": "the report: open it in a browser",
    "models/finetuned": "the model",
    "data/predictions/test.parquet": "labels and logits of all test rows",
    "data/predictions/errors.parquet": "mistakes of the model",
    "data/predictions/suspects.parquet": "training labels in doubt",
    "plots/training/training.svg": "picture: loss and validation accuracy",
    "plots/test/confusion.svg": "picture: confusion matrix",
}
COMMIT = {'git add -A && git commit -m "my run"': "keep this run: its scores, curves and dvc.lock"}
NEXT = {
    'stars predict "The soup was cold."': "use the model; stars serve tries it in a browser",
    "dvc exp run -S train.learning_rate=5e-5": "try a change as an experiment",
    "stars compare workspace:baseline workspace": "is the model better than its baseline?",
    "stars params": "what every parameter means",
}


def show() -> None:
    """Show the scores of the last run.

    Also list its outputs and what to run next.
    """
    path = Path("metrics/test.json")
    if not path.is_file():
        raise UserError(f"no {str(path)!r} yet; run `make repro`")
    print("\n".join([*_scores(path), *_baselines(Path("metrics/baseline.json")), *_diagnosis()]))
    if not Path("models/finetuned").exists():
        print(
            "\nThese are committed scores of an earlier run: models/finetuned has no model.\n"
            "Run `make repro` to train one, or `dvc pull` if a remote is set up."
        )
        return
    print("\nMade")
    for made, meaning in MADE.items():
        print(f"  {made:<44}{meaning}")
    print("\nNext (first: source .venv/bin/activate)")
    changed = ask_git("status", "--porcelain", "--", "dvc.lock", "params.yaml", "metrics", "plots")
    for command, meaning in ((COMMIT if changed else {}) | NEXT).items():
        if command.startswith("stars predict") and _noun() != "review":
            command = "stars predict new.csv"
        if command.endswith("=5e-5") and _param("train", "learning_rate") == 5e-5:
            command = command.replace("5e-5", "3e-5")
        print(f"  {command:<44}{meaning}")


def _scores(path: Path) -> Iterator[str]:
    """Yield a line for each score; those of ordered labels may be missing."""
    with damaged_as(path, advice="run `dvc repro evaluate`"):
        scores = json.loads(path.read_text(encoding="utf-8"))
        details = read_object(path.with_name("evaluation.json"))
        rows = {row["label"]: row["recall"]["n"] for row in details.get("per_class", [])}
        estimates = details.get("scores", {})
        yield f"\nTest scores, {counted(scores['n'], _noun())}"
        for key, name in score_titles(rows).items():
            if key in scores or key not in ORDERED:
                known = {} if scores[key] is None else estimates.get(key, {})
                yield _line(name, scores[key], known.get("low"), known.get("high"), scores["n"])


def _baselines(path: Path) -> Iterator[str]:
    """Yield the accuracy of the baselines on the same rows, if they have been scored."""
    if path.is_file():
        with damaged_as(path, advice="run `dvc repro baseline`"):
            baselines = json.loads(path.read_text(encoding="utf-8"))
            yield f"\nAccuracy of baselines, the same {_noun()}s"
            for key, name in BASELINES.items():
                if scores := baselines.get(key):
                    low, high = scores["accuracy_low"], scores["accuracy_high"]
                    yield _line(name, scores["accuracy"], low, high, scores["n"])


def _diagnosis() -> Iterator[str]:
    """Yield the problems of the run, each with the change to try; none without all its metrics."""
    from yelp_stars.report.diagnosis import diagnose  # scipy takes a second

    with contextlib.suppress(UserError, *DAMAGE):
        metrics = {
            name: json.loads(Path(f"metrics/{name}.json").read_text("utf-8"))
            for name in ("evaluation", "baseline")
        }
        params = read_yaml(Path("params.yaml"))["train"]
        sample = Path("data/sample/train.arrow")
        problems = diagnose(params, Path("plots/training"), metrics, sample)
        yield from ["\nDiagnosis"] * bool(problems)
        yield from (f"  {problem.title}: {problem.text} {problem.advice}" for problem in problems)


def _noun() -> str:
    """Return what params.yaml calls a text."""
    return printable(_param("download", "noun") or "review")


def _param(section: str, name: str) -> Any:
    """Return a parameter; None if params.yaml lacks it, or cannot be read."""
    with contextlib.suppress(UserError, LookupError, TypeError):
        return read_yaml(Path("params.yaml"))[section][name]
    return None


def _line(name: str, value: float | None, low: Any, high: Any, n: int) -> str:
    """Write a score of `n` rows with its interval, in the decimals that they support."""
    from yelp_stars.scoring.metrics import decimals  # scipy takes a second

    digits = decimals(n)
    line = f"  {name:<22}{'undefined' if value is None else f'{value:.{digits}f}':>8}"
    if low is None or high is None:
        return line
    return f"{line}  95 % interval {low:.{digits}f} to {high:.{digits}f}"
