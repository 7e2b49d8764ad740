"""`stars release`: register the model of a commit as a version, by an annotated git tag of GTO."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import gto.api
from dvc_data.hashfile.hash import file_md5
from gto.exceptions import GTOException
from scmrepo.exceptions import SCMError

from yelp_stars.commands.runs.git import git
from yelp_stars.commands.runs.lock import Entry, Stages, read_lock
from yelp_stars.evaluation.titles import SCORES
from yelp_stars.pipeline.errors import Missing, UserError
from yelp_stars.pipeline.text import one_line, quoted

ARTIFACT = "yelp-stars"  # its name in dvc.yaml
VERSION = re.compile(r"v(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
SHOWN = ("accuracy", "macro_f1", "mae", "loss")
EVALUATION = Path("metrics", "evaluation.json")
MODEL = "models/finetuned"


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
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if changed:
        raise UserError(
            f"{quoted(changed.splitlines()[0][3:])} is not committed, and a version is that of a "
            f"commit; run `git commit -a`"
        )
    message = describe(_scored_model(), _scores(EVALUATION))
    folder = git("rev-parse", "--show-prefix").strip().rstrip("/")
    name = f"{folder}:{ARTIFACT}" if folder else ARTIFACT
    try:
        tag = gto.api.register(".", name, "HEAD", version=version, message=message).tag
    except (GTOException, SCMError) as error:  # also: git has no name of the user
        raise UserError(f"{version} cannot be registered: {one_line(str(error))[:300]}") from None
    print(f"{tag}\n\n{message}\n\nPublish it:")
    print(f"  dvc push\n  git push origin {tag}")


def describe(model: str, scores: dict[str, Any]) -> str:
    """The message of the tag: scores with their intervals and rows, the hash of the model."""
    lines = [f"{SCORES[name]} {_interval(scores[name])}" for name in SHOWN if name in scores]
    return "\n".join([*lines, f"{MODEL}: md5 {model}"])


def _scored_model() -> str:
    """Return the hash of the model that the scores are of: a run may end before its evaluation.

    Raises:
        UserError: if they are those of another one.
    """
    lock = read_lock()
    model = _recorded(lock, "train", "outs", MODEL)
    if _recorded(lock, "evaluate", "deps", MODEL) != model:
        raise UserError(f"the scores are those of another {MODEL}; run `dvc repro`, and commit")
    recorded = _recorded(lock, "evaluate", "outs", str(EVALUATION))
    if not EVALUATION.is_file() or recorded != file_md5(str(EVALUATION)):
        raise UserError(
            f"{str(EVALUATION)!r} does not match dvc.lock; run `dvc repro evaluate`, and commit"
        )
    return model


def _recorded(lock: Stages, stage: str, kind: Literal["deps", "outs"], path: str) -> str:
    """Return the hash that dvc.lock records of a dep or an out of a stage."""
    entries: list[Entry] = getattr(lock[stage], kind) if stage in lock else []
    for entry in entries:
        if entry.path == path:
            return entry.md5
    raise Missing(f"dvc.lock has no run of the stage {stage!r}", advice="run `dvc repro`")


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
