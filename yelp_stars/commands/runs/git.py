"""Run git: all commands ask it here."""

import subprocess
from pathlib import Path

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line, shell_word

WORKSPACE = "workspace"  # what DVC calls the files that are checked out, beside a revision


def git(*arguments: str, folder: Path = Path()) -> str:
    """Return the output of a command of git, without the line break at its end."""
    return git_bytes(*arguments, folder=folder).decode("utf-8", "replace").rstrip("\n")


def git_bytes(*arguments: str, folder: Path = Path()) -> bytes:
    """Return the output of a command of git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True)
    except FileNotFoundError:
        raise UserError("the command `git` is not installed; install it") from None
    if done.returncode:
        reason = one_line(done.stderr.decode("utf-8", "replace"))
        raise UserError(f"git {' '.join(arguments)[:200]} failed: {reason}")
    return done.stdout


def check_repository() -> None:
    """Open the repository with git and, as DVC does, with libgit2, which may refuse its owner."""
    # Late: other commands need git alone.
    import pygit2
    from scmrepo.git import Git

    git("rev-parse", "--git-dir")
    try:
        Git(search_parent_directories=True).pygit2  # noqa: B018
    except pygit2.GitError as error:
        folder = git("rev-parse", "--show-toplevel")
        raise UserError(
            f"DVC cannot read this repository: {one_line(str(error))}",
            # It reads no file that GIT_CONFIG_GLOBAL names.
            advice=f"run `git config --file ~/.gitconfig --add safe.directory "
            f"{shell_word(folder)}`",
        ) from None


def ask_git(*arguments: str) -> str:
    """Return the output of a command of git; nothing if it fails."""
    try:
        return git(*arguments)
    except UserError:
        return ""
