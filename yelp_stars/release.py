"""`stars release`: register the model of a commit as a version, by an annotated git tag of GTO."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import gto.api
from gto.exceptions import GTOException

from yelp_stars.pipeline.errors import UserError, one_line, quoted
from yelp_stars.pipeline.yaml_file import read_yaml

ARTIFACT = "yelp-stars"  # its name in dvc.yaml
VERSION = re.compile(r"v(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
SHOWN = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "loss": "log loss",
}
EVALUATION = Path("metrics", "evaluation.json")


def run(version: str) -> None:
    """Tag the commit that is checked out, with the scores of its model in the tag's message.

    In a subfolder of a git repository the artifact has the folder before its name, as DVC and GTO
    expect it: packages/stars:yelp-stars.

    Raises:
        UserError: if the version is not one, something is not committed, dvc.lock has no model, or
            git refuses the tag.
    """
    if not VERSION.fullmatch(version):
        raise UserError(f"{quoted(version)} is not a version such as v1.0.0")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if changed:
        raise UserError(
            f"{quoted(changed.splitlines()[0][3:])} is not committed, and a version is that of a "
            f"commit; run `git commit -a`"
        )
    message = describe(model_hash(Path("dvc.lock")), _scores(EVALUATION))
    folder = _git("rev-parse", "--show-prefix").strip().rstrip("/")
    name = f"{folder}:{ARTIFACT}" if folder else ARTIFACT
    try:
        tag = gto.api.register(".", name, "HEAD", version=version, message=message).tag
    except GTOException as error:
        raise UserError(f"{version} cannot be registered: {one_line(str(error))[:300]}") from None
    print(f"{tag}\n\n{message}\n\nPublish it:")
    print(f"  dvc push\n  git push origin {tag}")


def describe(model: str, scores: dict[str, Any]) -> str:
    """The message of the tag: scores with their intervals and rows, the hash of the model."""
    lines = [f"{name} {_interval(scores[key])}" for key, name in SHOWN.items() if key in scores]
    return "\n".join([*lines, f"models/finetuned: md5 {model}"])


def model_hash(lock: Path) -> str:
    """The hash of models/finetuned that dvc.lock records.

    Raises:
        UserError: if it records none.
    """
    try:
        outs = read_yaml(lock)["stages"]["train"]["outs"]
        (found,) = [out["md5"] for out in outs if out["path"] == "models/finetuned"]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{str(lock)!r} has no run of the stage 'train'; run `dvc repro`") from None
    return str(found)


def _scores(path: Path) -> dict[str, Any]:
    """The test scores with their intervals."""
    try:
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["scores"]
        _interval(scores["accuracy"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{str(path)!r} has no scores; run `dvc repro evaluate`") from None
    return scores


def _interval(score: dict[str, Any]) -> str:
    return f"{score['value']} [{score['low']}, {score['high']}] on {score['n']} test reviews"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"git {arguments[0]} failed: {one_line(done.stderr)[:200]}")
    return done.stdout
