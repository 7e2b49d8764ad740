"""Files that nothing versions, and settings of DVC that lose data."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath

from yelp_stars.commands.runs.git import ask_git, check_repository
from yelp_stars.pipeline.text import quoted, shell_word

YOURS = (Path("data/external"), Path("models/external"))


def check_git() -> None:
    """Refuse a repository that git refuses to read, as one of another user."""
    folder = Path.cwd()
    if any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        check_repository()


def check_your_files(outs: Iterable[str]) -> Iterator[str]:
    """Find files in data/external and models/external that neither git nor DVC tracks."""
    names = ask_git("ls-files", "-z", *map(str, YOURS)).split("\0")
    tracked = {Path(name) for name in [*names, *outs]}
    for folder in YOURS:
        for path in sorted(folder.glob("[!.]*")):
            yield from (
                f"neither git nor DVC tracks {quoted(str(lost))}: another clone, and `dvc exp run "
                f"--queue`, lack it; run `dvc add {shell_word(lost)}`"
                for lost in _untracked(path, tracked)
            )


def _untracked(path: Path, tracked: set[Path]) -> list[Path]:
    """Return what is not tracked of a file or folder: itself, if nothing in it is."""
    if path in tracked:
        return []
    if not path.is_dir():
        return [path]
    inside = [lost for child in sorted(path.iterdir()) for lost in _untracked(child, tracked)]
    return inside if any(path in name.parents for name in tracked) else [path]


def check_remotes(remotes: Mapping[str, Any]) -> Iterator[str]:
    """Find remotes to which `dvc exp push` uploads nothing, or to another place.

    As `dvc push --all-commits`, it reads .dvc/config as it is in a commit, and takes a relative
    path there from the root of the file system.
    """
    if not ask_git("rev-parse", "--verify", "HEAD"):
        return  # before the first commit, or without git
    staged = ask_git("show", ":./.dvc/config")  # in a hook, what is about to be committed
    for name, settings in remotes.items():
        if f'remote "{name}"' not in staged:
            yield (
                f"the remote {quoted(name)} is in .dvc/config, but not in the last commit: `dvc "
                f"exp push` would upload no file; run `git commit -m remote .dvc/config`"
            )
        url = settings.get("url")
        if isinstance(url, RelPath):
            yield (
                f"the remote {quoted(name)} is a relative path, which `dvc exp push` and `dvc push "
                f"--all-commits` resolve from the disk's root; run `dvc remote modify "
                f"{shell_word(name)} url {shell_word(Path(url).resolve())}`, and commit"
            )


def note_shared_cache(cache: Path) -> None:
    """Note a cache outside this repository: `dvc gc` deletes files that others need."""
    if not cache.resolve().is_relative_to(Path.cwd()):
        print(
            f"note: the cache {quoted(str(cache))} is outside this project: `dvc gc` deletes files "
            f"that only other projects use, unless `--projects` names them"
        )
