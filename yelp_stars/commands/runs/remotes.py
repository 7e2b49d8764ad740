"""DVC's remotes: whether one can be read."""

import subprocess
import sys
from typing import Any

import aiohttp
from dvc.repo import Repo

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line, quoted, shell_word

# Of a server that answers and then fails: the clients of HTTP and S3 use aiohttp.
READ_ERRORS = (OSError, aiohttp.ClientError)


def check_answers(repo: Repo, name: str) -> None:
    """Ask a remote on a server what it has: it may be down, refuse the key, or need a package.

    Each kind has errors of its own, which the command `dvc` knows. Over HTTP it takes a server that
    is down or refuses for one that has nothing.
    """
    settings: Any = repo.config["remote"][name]
    if "://" not in settings["url"]:
        return
    command = [sys.executable, "-P", "-m", "dvc", "status", "--cloud", "--remote", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Another process of DVC says nothing about the remote.
    if done.returncode > 1 and "Unable to acquire lock" not in done.stderr:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or ["no answer"])[0].removeprefix("ERROR: ")
        raise no_answer(name, reason.removeprefix("unexpected error - "))


def no_answer(name: str, reason: str) -> UserError:
    return UserError(
        f"the remote {quoted(name)} does not answer: {one_line(reason)}; run `dvc status --cloud "
        f"--remote {shell_word(name)}`"
    )
