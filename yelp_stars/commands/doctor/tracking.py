"""Files that nothing versions, and settings that lose data: of the cache, and of remotes."""

import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath

from yelp_stars.pipeline.text import one_line, quoted

YOURS = (Path("data/external"), Path("models/external"))


def check_git() -> Iterator[str]:
    """A repository that git refuses to read, as one of another user: other checks see nothing."""
    done = _run_git("rev-parse", "--git-dir")
    reason = one_line(done.stderr.decode("utf-8", "replace").strip())
    if reason.startswith("fatal: not a git repository: "):
        folder = Path.cwd()
        root = next(path for path in (folder, *folder.parents) if (path / ".git").exists())
        yield (
            f"git cannot read this project: {reason}; if it is a worktree of a repository that was "
            f"moved, run `git worktree repair {shlex.quote(str(root))}` in that repository"
        )
    elif done.returncode and "not a git repository (or any" not in reason:
        yield f"git cannot read this project: {reason}"


def check_your_files(outs: Iterable[str]) -> Iterator[str]:
    """Files in data/external and models/external that neither git nor DVC tracks."""
    tracked = {Path(name) for name in [*git("ls-files", "-z", *map(str, YOURS)).split("\0"), *outs]}
    for folder in YOURS:
        for path in sorted(folder.glob("[!.]*")):
            yield from (
                f"neither git nor DVC tracks {quoted(str(lost))}: another clone, and `dvc exp run "
                f"--queue`, lack it; run `dvc add {shlex.quote(str(lost))}`"
                for lost in _untracked(path, tracked)
            )


def _untracked(path: Path, tracked: set[Path]) -> list[Path]:
    """What is not tracked of a file or folder: itself, if nothing in it is."""
    if path in tracked:
        return []
    if not path.is_dir():
        return [path]
    inside = [lost for child in sorted(path.iterdir()) for lost in _untracked(child, tracked)]
    return inside if any(path in one.parents for one in tracked) else [path]


def check_config(config: Path) -> Iterator[str]:
    """An empty .dvc/config, where the last commit has one: DVC fails to write some paths."""
    if git("show", "HEAD:./.dvc/config").strip() and not config.read_text("utf-8").strip():
        yield (
            "'.dvc/config' is empty, because a command of DVC failed while it wrote the file; run "
            "`git checkout HEAD -- .dvc/config`"
        )


def check_remotes(remotes: Mapping[str, Any]) -> Iterator[str]:
    """Remotes of .dvc/config to which `dvc exp push` uploads nothing, or to another place.

    As `dvc push --all-commits`, it reads .dvc/config as it is in a commit, and takes a relative
    path there from the root of the file system.
    """
    # In a hook of git, what is about to be committed counts.
    commit = "" if "GIT_INDEX_FILE" in os.environ else "HEAD"
    committed = git("show", f"{commit}:./.dvc/config")
    if not git("rev-parse", "--verify", "HEAD"):
        return  # before the first commit, or without git
    for name, settings in remotes.items():
        if f'remote "{name}"' not in committed:
            yield (
                f"the remote {quoted(name)} is in .dvc/config, but not in the last commit: `dvc "
                f"exp push` would upload no file; run `git commit -m remote .dvc/config`"
            )
        url = settings.get("url")
        if isinstance(url, RelPath):
            path = shlex.quote(str(Path(url).resolve()))
            yield (
                f"the remote {quoted(name)} is a relative path, which `dvc exp push` and `dvc push "
                f"--all-commits` take from the root of the disk; run `dvc remote modify {name} url "
                f"{path}`, and commit"
            )


def shared_cache(cache: Path) -> Iterator[str]:
    """A cache outside of this repository: `dvc gc` would delete what others need of it."""
    if not cache.resolve().is_relative_to(Path.cwd()):
        yield (
            f"the cache {quoted(str(cache))} is outside of this project: `dvc gc` deletes what "
            f"only other projects use, unless `--projects` names them"
        )


def git(*arguments: str) -> str:
    """The output of a command of git; nothing if it fails."""
    done = _run_git(*arguments)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _run_git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    # A hook of a worktree sets GIT_DIR, and git then takes a subfolder of it for its root.
    others = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
    return subprocess.run(
        ["git", *arguments], capture_output=True, check=False, env={**others, "LC_ALL": "C"}
    )
