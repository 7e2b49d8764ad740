"""`stars verify`: is this the model of a version? Its tag's signature, its hashes, a second run."""

from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.commands import release
from yelp_stars.commands.runs.git import check_repository, git
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.text import counted, printable, quoted, shell_word


def verify(
    version: Annotated[str, typer.Argument(help="Version, such as v1.0.0")],
    folder: Annotated[
        Path | None, typer.Option(help="Model that you received; default: DVC's cache or remote")
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Train and evaluate again here, and compare the results")
    ] = False,
    statement: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the version as an in-toto statement")
    ] = None,
) -> None:
    """Check a version of the model: signature of its tag, hashes.

    \b
    Examples:
      stars verify v1.0.0
      stars verify v1.0.0 --folder received/model
      stars verify v1.0.0 --rerun
      stars verify v1.0.0 --statement release.json
    """  # noqa: D301
    check_repository()
    if statement and statement.exists() and not statement.is_file():
        raise UserError(f"{quoted(str(statement))} is not a file; name a file to write")
    tag = release.tag_of(version)
    commit = release.commit_of(tag)
    if not commit:
        problem = f"no tag {quoted(tag)}"
        raise UserError(problem, advice="run `git fetch --tags`; `git tag` lists the versions")
    release.read_tag(tag)
    print(f"{printable(tag)}, commit {commit[:12]}")
    print(f"signature: {check_signature(tag)}")
    stated = release.check_files(tag, folder)
    if statement:
        write_json(statement, release.state(tag))
    if rerun:
        model = {name: stated[name] for name in stated if name.startswith(release.MODEL)}
        train_again(commit, model)


def check_signature(tag: str) -> str:
    """Check the signature of a tag, if it has one, with the keys that git trusts here."""
    if "-----BEGIN" not in git("cat-file", "tag", tag):
        return "none"
    git("verify-tag", tag)
    return f"valid; `git verify-tag {shell_word(tag)}` says whose"


def train_again(commit: str, stated: dict[str, str]) -> None:
    """Train and evaluate in a clone at a commit; say whether its model has the same bytes."""
    from yelp_stars.commands.runs import experiments, lock, revisions
    from yelp_stars.comparing import paired
    from yelp_stars.evaluation import predictions

    before = revisions.read_revision(commit).predictions
    command = ("repro", "--force", "--no-run-cache", "--no-commit", "--single-item")
    stages, recorded = ("train", "evaluate"), lock.read_lock_at(commit, commit)
    made = {out.path for name in recorded.keys() - {*stages} for out in recorded[name].outs}
    needed = sorted(made & {dep.path for name in stages for dep in recorded[name].deps})
    with experiments.cloned(commit, commit) as clone:
        revisions.pull(
            clone.folder, [name for name in needed if not (clone.folder / name).exists()]
        )
        if not clone.dvc(*command, *stages):
            raise UserError("the training failed, see DVC's error above")
        again = release.hash_version(commit, clone.folder / release.MODEL)
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
