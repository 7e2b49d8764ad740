"""`stars verify`: is this the model of a version? Its tag's signature, its hashes, a second run."""

import re
from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.commands.release import MODEL, hash_version, tag_of
from yelp_stars.commands.runs.git import ask_git, check_repository, git
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import counted, printable, quoted, shell_word

HASH = re.compile(r"([0-9a-f]{64})  (.+)")  # as sha256sum writes it


def verify(
    version: Annotated[str, typer.Argument(help="Version, such as v1.0.0")],
    folder: Annotated[
        Path | None, typer.Option(help="Model that you received; default: DVC's cache or remote")
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Train and evaluate again here, and compare the results")
    ] = False,
) -> None:
    """Check a version of the model: signature of its tag, hashes.

    \b
    Examples:
      stars verify v1.0.0
      stars verify v1.0.0 --folder received/model
      stars verify v1.0.0 --rerun
    """  # noqa: D301
    check_repository()
    tag = tag_of(version)
    commit = ask_git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if not commit:
        problem = f"no tag {quoted(tag)}"
        raise UserError(problem, advice="run `git fetch --tags`; `git tag` lists the versions")
    print(f"{printable(tag)}, commit {commit[:12]}")
    print(f"signature: {check_signature(tag)}")
    stated = read_hashes(git("tag", "--list", "--format=%(contents)", tag))
    if not stated:
        raise UserError(f"{tag} has no hashes: it was made by an earlier version of `stars`")
    problems = compare(stated, hash_version(commit, folder))
    for name in stated:
        print(f"{printable(name, 200)}: {problems.get(name, 'ok')}")
    if problems:
        names = ", ".join(f"{quoted(name)} {problem}" for name, problem in problems.items())
        raise UserError(f"{tag}: {names}"[:400])
    if rerun:
        train_again(commit, {name: stated[name] for name in stated if name.startswith(MODEL)})


def check_signature(tag: str) -> str:
    """Check the signature of a tag, if it has one, with the keys that git trusts here."""
    if "-----BEGIN" not in git("cat-file", "tag", tag):
        return "none"
    git("verify-tag", tag)
    return f"valid; `git verify-tag {shell_word(tag)}` says whose"


def read_hashes(message: str) -> dict[str, str]:
    """Read the files that a tag's message names, and their SHA-256."""
    found = map(HASH.fullmatch, message.splitlines())
    return {match[2]: match[1] for match in found if match}


def compare(stated: dict[str, str], actual: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with each file that is not as stated."""
    wrong = {name: "differs" for name in stated.keys() & actual if stated[name] != actual[name]}
    missing = dict.fromkeys(stated.keys() - actual, "is missing")
    return missing | wrong | dict.fromkeys(actual.keys() - stated, "is not in the tag")


def train_again(commit: str, stated: dict[str, str]) -> None:
    """Train and evaluate in a clone at a commit; say whether its model has the same bytes."""
    from yelp_stars.commands.runs import experiments, revisions
    from yelp_stars.comparing import paired
    from yelp_stars.evaluation import predictions

    before = revisions.read_revision(commit).predictions
    command = ("repro", "--force", "--no-run-cache", "--no-commit", "--single-item")
    with experiments.cloned(commit, commit) as clone:
        if not clone.dvc(*command, "train", "evaluate"):
            raise UserError("the training failed, see DVC's error above")
        again = hash_version(commit, clone.folder / MODEL)
        after = predictions.read(clone.folder / "data" / "predictions" / "test.parquet")
    differing = [name for name, digest in stated.items() if again.get(name) != digest]
    if not differing:
        print(f"trained again: byte-identical, {counted(len(stated), 'file')}")
        return
    gap = abs(after.logits - before.logits).max()  # of the same rows in the same order
    same = (after.predicted == before.predicted).mean()
    compared = paired.compare_accuracy(before.labels, before.predicted, after.predicted)
    accuracy = compared.scores["accuracy"]
    print(
        f"trained again: {counted(len(differing), 'file')} of {len(stated)} differ, as on another "
        f"processor; on {counted(compared.n, 'test row')}, {100 * same:.1f} % of the predictions "
        f"are the same, the largest difference of a logit is {gap:.2g}, and that of the accuracy "
        f"{100 * accuracy.difference:+.1f} points "
        f"(95 % interval {paired.in_points(accuracy.low, accuracy.high, '+')})"
    )
