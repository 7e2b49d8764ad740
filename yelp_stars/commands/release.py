"""`stars release`: register the model of a commit as a version, by an annotated git tag of GTO."""

import contextlib
import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from yelp_stars.commands.runs.git import ask_git, check_repository, git, git_bytes
from yelp_stars.evaluation.titles import SCORES
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import read_object, sha256_of
from yelp_stars.pipeline.text import one_line, printable, quoted, shell_word

ARTIFACT = "yelp-stars"  # its name in dvc.yaml
VERSION = re.compile(r"v(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)
SHOWN = ("accuracy", "macro_f1", "mae", "loss")
SCORE = "{value} [{low}, {high}] on {n} test rows"
EVALUATION = Path("metrics", "evaluation.json")
MODEL = "models/finetuned"
LOCKS = ("dvc.lock", "requirements.lock")  # of data, code and parameters; of the libraries
HASH = re.compile(r"([0-9a-f]{64})  (.+)")  # as sha256sum writes it
NOT_PULLED = {"deleted", "not in cache"}  # of what `dvc status` says: no change
STATEMENT = "release.json"
# What a model that comes from the Hub may have beside its files: the Hub's, and its client's.
BESIDE, CACHE = {STATEMENT, ".gitattributes"}, ".cache/huggingface/"


def release(
    version: Annotated[str, typer.Argument(help="Version, such as v1.0.0")],
    push: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Upload it to the Hugging Face Hub as well")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Release a model that is worse than its baseline")
    ] = False,
) -> None:
    """Tag this commit as a version of the model, with its scores.

    With --push, a version that exists is uploaded as it is.

    \b
    Examples:
      stars release v1.0.0
      stars release v1.0.0 --push owner/name
    """  # noqa: D301
    check_repository()
    tag = tag_of(version)
    if not push:
        register(version, force)
        return
    # Late: help must be fast.
    from yelp_stars.commands import hub

    client = hub.log_in(push)
    if not commit_of(tag):
        register(version, force)
    hub.push(client, push, version)


def register(version: str, force: bool) -> None:
    """Tag the commit that is checked out, if it has a run whose model may be released."""
    # Late: help must be fast.
    import gto.api
    from gto.exceptions import GTOException
    from scmrepo.exceptions import SCMError

    if changed := git("status", "--porcelain", "--untracked-files=no", "--", "."):
        problem = "is not committed, but a version is a commit"
        path = changed.splitlines()[0][3:]
        raise UserError(f"{quoted(path)} {problem}", advice="run `git commit -a`")
    model = _scored_model()
    _check_current()
    if not force:
        _check_baseline()
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


def commit_of(tag: str) -> str:
    """Return the commit of a tag; nothing if there is no such tag."""
    return ask_git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")


def describe(model: str, scores: dict[str, Any], hashes: dict[str, str]) -> str:
    """Write the message of the tag: scores with their intervals and rows, hashes of all files."""
    lines = [f"{SCORES[name]} {SCORE.format(**scores[name])}" for name in SHOWN if name in scores]
    files = [f"{digest}  {name}" for name, digest in hashes.items()]  # as sha256sum writes it
    return "\n".join([*lines, f"{MODEL}: md5 {model}", "", *files])


def read_tag(tag: str) -> tuple[list[str], dict[str, str]]:
    """Read the scores in a tag's message, and the files that it names with their SHA-256."""
    fields = "--format=%(tag)%0a%(contents)"
    name, *lines = git("for-each-ref", fields, f"refs/tags/{tag}").split("\n")
    if name != tag:  # a signature is of the object, which has its own name
        problem = f"is {quoted(name)} under another name" if name else "is not an annotated tag"
        advice = "get it from who released it: `git fetch --tags --force`"
        raise UserError(f"the tag {quoted(tag)} {problem}", advice=advice)
    hashes = {match[2]: match[1] for match in map(HASH.fullmatch, lines) if match}
    if not hashes:
        raise UserError(f"{tag} has no hashes: it was made by an earlier version of `stars`")
    return [*itertools.takewhile(lambda line: not line.startswith(MODEL), lines)], hashes


def state(tag: str) -> dict[str, Any]:
    """Return a version as an in-toto statement: which files a run made, and of what.

    Of type Link, which claims no more than a tag knows: SLSA's provenance also says who ran it.
    https://github.com/in-toto/attestation/blob/main/spec/predicates/link.md
    """
    scores, hashes = read_tag(tag)
    files = {name.removeprefix(f"{MODEL}/"): {"sha256": hashes[name]} for name in hashes}
    materials = {"git": {"gitCommit": commit_of(tag)}}
    materials |= {name: files.pop(name) for name in LOCKS if name in files}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": digest} for name, digest in files.items()],
        "predicateType": "https://in-toto.io/attestation/link/v0.3",
        "predicate": {
            "name": ARTIFACT,
            "command": ["dvc", "repro"],
            "materials": [{"name": name, "digest": digest} for name, digest in materials.items()],
            "byproducts": {"tag": tag, "scores": scores},
        },
    }


def check_files(tag: str, folder: Path | None) -> dict[str, str]:
    """Print of each file of a version whether it is as its tag says; return what it says."""
    _, stated = read_tag(tag)
    problems = compare(stated, hash_version(commit_of(tag), folder))
    if folder and (folder / STATEMENT).exists() and read_object(folder / STATEMENT) != state(tag):
        problems[STATEMENT] = "differs"
    for name in stated:
        print(f"{printable(name, 200)}: {problems.get(name, 'ok')}")
    if problems:
        names = ", ".join(f"{quoted(name)} {problem}" for name, problem in problems.items())
        raise UserError(f"{tag}: {names}"[:400])
    return stated


def compare(stated: dict[str, str], actual: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with each file that is not as stated."""
    wrong = {name: "differs" for name in stated.keys() & actual if stated[name] != actual[name]}
    missing = dict.fromkeys(stated.keys() - actual, "is missing")
    return missing | wrong | dict.fromkeys(actual.keys() - stated, "is not in the tag")


def hash_version(commit: str, folder: Path | None = None) -> dict[str, str]:
    """Hash what a version is: its model, in `folder` or DVC's cache or remote, and its locks."""
    from yelp_stars.commands.runs.revisions import open_model

    with contextlib.nullcontext(folder) if folder else open_model(commit) as model:
        if not model.is_dir():
            raise UserError(f"no folder {quoted(str(model))}")
        files = sorted(path for path in model.rglob("*") if path.is_file())
        names = {file.relative_to(model).as_posix(): file for file in files}
        hashes = {
            f"{MODEL}/{name}": sha256_of(file)
            for name, file in names.items()
            if name not in BESIDE and not name.startswith(CACHE)
        }
    for name in LOCKS:
        if ask_git("ls-tree", commit, "--", name):
            content = git_bytes("show", f"{commit}:./{name}")
            hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def _check_baseline() -> None:
    """Refuse a model that its strongest baseline beats, by the verdict of the report."""
    from yelp_stars.commands.runs.revisions import read_revision
    from yelp_stars.comparing.paired import compare_accuracy, outcome, verdict
    from yelp_stars.report.findings import MARGIN

    model, baseline = (read_revision(name).predictions for name in ("HEAD", "HEAD:baseline"))
    compared = compare_accuracy(model.labels, baseline.predicted, model.predicted)
    if outcome(compared, MARGIN) == "worse":
        problem = verdict(compared, "the baseline", "the model", MARGIN)
        raise UserError(problem, advice="improve the model, or release it with --force")


def _check_current() -> None:
    """Refuse the model of a run that `dvc repro` would repeat, by its code, data or parameters."""
    from yelp_stars.commands.runs.lock import flat
    from yelp_stars.commands.runs.pipeline_file import changed

    found = changed("evaluate")
    if not Path("data", "external.json").is_file():
        found.pop("external", None)  # nor need your own files be here, which it hashes
    for stage, changes in found.items():
        if any({*flat(change).values()} - NOT_PULLED for change in changes):
            problem = f"the stage {stage!r} has changed since its run, see `dvc status`"
            raise UserError(problem, advice="run `dvc repro`, and commit")


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
