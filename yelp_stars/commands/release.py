"""`stars release`: register the model of a commit as a version, by an annotated git tag of GTO."""

import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from yelp_stars.commands.runs.git import ask_git, check_repository, git, git_bytes
from yelp_stars.evaluation.titles import SCORES
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import one_line, quoted, shell_word

ARTIFACT = "yelp-stars"  # its name in dvc.yaml
VERSION = re.compile(r"v(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
SHOWN = ("accuracy", "macro_f1", "mae", "loss")
SCORE = "{value} [{low}, {high}] on {n} test reviews"
EVALUATION = Path("metrics", "evaluation.json")
MODEL = "models/finetuned"
LOCKS = ("dvc.lock", "requirements.lock")  # of data, code and parameters; of the libraries


def release(
    version: Annotated[str, typer.Argument(help="Version, such as v1.0.0")],
) -> None:
    """Tag this commit as a version of the model, with its scores.

    \b
    Examples:
      stars release v1.0.0
    """  # noqa: D301
    # Late: help must be fast.
    import gto.api
    from gto.exceptions import GTOException
    from scmrepo.exceptions import SCMError

    check_repository()
    tag_of(version)
    if changed := git("status", "--porcelain", "--untracked-files=no", "--", "."):
        problem = "is not committed, but a version is a commit"
        path = changed.splitlines()[0][3:]
        raise UserError(f"{quoted(path)} {problem}", advice="run `git commit -a`")
    model = _scored_model()
    scores = json.loads(EVALUATION.read_text(encoding="utf-8"))["scores"]
    message = describe(model, scores, hash_version("HEAD"))
    # In a subfolder of a git repository, DVC and GTO expect the folder before the name.
    folder = git("rev-parse", "--show-prefix").rstrip("/")
    name = f"{folder}:{ARTIFACT}" if folder else ARTIFACT
    try:
        tag = gto.api.register(".", name, "HEAD", version=version, message=message).tag
    except (GTOException, SCMError) as error:  # also: git has no name of the user
        raise UserError(f"{version} cannot be registered: {one_line(str(error))[:300]}") from None
    try:  # by git once more: its settings may ask for a signature
        git("tag", "--force", f"--message={message}", tag, f"{tag}^{{commit}}")
    except UserError:
        git("tag", "--delete", tag)
        raise
    print(f"{tag}\n\n{message}\n\nPublish it:")
    print(f"  dvc push\n  git push origin {shell_word(tag)}")


def tag_of(version: str) -> str:
    """Return the name of a version's tag, as GTO writes it."""
    if not VERSION.fullmatch(version):
        raise UserError(f"{quoted(version)} is not a version such as v1.0.0")
    folder = git("rev-parse", "--show-prefix").rstrip("/")
    return f"{folder}={ARTIFACT}@{version}" if folder else f"{ARTIFACT}@{version}"


def describe(model: str, scores: dict[str, Any], hashes: dict[str, str]) -> str:
    """Write the message of the tag: scores with their intervals and rows, hashes of all files."""
    lines = [f"{SCORES[name]} {SCORE.format(**scores[name])}" for name in SHOWN if name in scores]
    files = [f"{digest}  {name}" for name, digest in hashes.items()]  # as sha256sum writes it
    return "\n".join([*lines, f"{MODEL}: md5 {model}", "", *files])


def hash_version(commit: str, folder: Path | None = None) -> dict[str, str]:
    """Hash what a version is: its model, in `folder` or DVC's cache or remote, and its locks."""
    from yelp_stars.commands.runs.revisions import open_model

    with contextlib.nullcontext(folder) if folder else open_model(commit) as model:
        if not model.is_dir():
            raise UserError(f"no folder {quoted(str(model))}")
        files = sorted(path for path in model.rglob("*") if path.is_file())
        hashes = {
            f"{MODEL}/{file.relative_to(model).as_posix()}": sha256_of(file) for file in files
        }
    for name in LOCKS:
        if ask_git("ls-tree", commit, "--", name):
            content = git_bytes("show", f"{commit}:./{name}")
            hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def _scored_model() -> str:
    """Return the hash of the scored model: a run may end before its evaluation."""
    from dvc_data.hashfile.hash import file_md5

    from yelp_stars.commands.runs.lock import read_lock, recorded_hash

    lock = read_lock()
    model = recorded_hash(lock, "train", "outs", MODEL)
    if recorded_hash(lock, "evaluate", "deps", MODEL) != model:
        raise UserError(f"the scores belong to another {MODEL}; run `dvc repro`, and commit")
    recorded = recorded_hash(lock, "evaluate", "outs", str(EVALUATION))
    if not EVALUATION.is_file() or recorded != file_md5(str(EVALUATION)):
        raise UserError(
            f"{str(EVALUATION)!r} does not match dvc.lock; run `dvc repro evaluate`, and commit"
        )
    return model
