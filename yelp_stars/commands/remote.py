"""`stars remote`: run an experiment on another machine over SSH, and fetch it by its name."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.commands.search.command import Settings
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line, quoted, shell_word

HOST = re.compile(r"(\w[\w.@-]*):([\w./][\w./-]*)", re.ASCII)
# Scripts for `sh` there. Nothing is put into them: they get arguments.
PREPARE = """
set -e
if [ ! -d "$1/.git/stars" ] && ls -A "$1" 2> /dev/null | grep -qvx .venv; then exit 3; fi
mkdir -p "$1/.git/stars" && cd "$1" && git init -q
git config user.name "$2" && git config user.email "$3"
git config receive.shallowUpdate true
pwd -P
"""
# The run inherits the lock; `make setup` updates an environment, unless .venv is a link to one.
RUN = """
set -e
cd "$1"; log=$1/.git/stars/log lock=$1/.git/stars/lock folder=$2 commit=$3 reference=$4; shift 4
if git rev-parse -q --verify "$reference" > /dev/null; then exit 0; fi
exec 9>> "$lock"
if flock -n 9; then
  git checkout -q --force --detach "$commit"
  echo "$reference" > "$log"
  (cd "./$folder" && exec nohup sh -ec '
    [ -L .venv ] || make setup
    export PATH="$PWD/.venv/bin:$PATH"
    dvc checkout --quiet --force --allow-missing
    exec "$@"' run "$@" >> "$log" 2>&1 < /dev/null) &
elif [ "$(head -n 1 "$log")" != "$reference" ]; then
  exit 4
fi
exec 9>&-
tail --pid=$$ -n +2 -f "$log" &
flock -s "$lock" true
git rev-parse -q --verify "$reference" > /dev/null || exit 5
"""
PROBLEMS = {
    3: "has a folder of that name that `stars remote` did not make; name another, HOST:FOLDER",
    4: "is busy with another run in this folder; wait until it ends, or name another, HOST:FOLDER",
    5: "failed to run it, see above; run the same command again to resume",
    255: "cannot be reached, or the connection broke; run the same command again: a run goes on",
}


def remote(
    host: Annotated[str, typer.Argument(help="[USER@]HOST[:FOLDER], with HOST as ssh knows it")],
    set_param: Settings = None,
    launcher: Annotated[str, typer.Option(help="Command that starts the run there")] = "",
) -> None:
    """Run this commit on another machine over SSH.

    The result is fetched as an experiment. A broken connection or Ctrl-C leaves the run alone: the
    same command follows it again.

    \b
    Examples:
      stars remote gpu
      stars remote me@cluster:work/stars -S train.seed=2 --launcher "srun --gpus 1"
    """  # noqa: D301
    # Late: help must be fast.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from yelp_stars.commands.runs import experiments
    from yelp_stars.commands.runs.git import git

    there = host if ":" in host else f"{host}:{Path(git('rev-parse', '--show-toplevel')).name}"
    if not (parts := HOST.fullmatch(there)):
        raise UserError(f"{quoted(there)} does not have the form [USER@]HOST:FOLDER")
    snapshot = experiments.take_snapshot(set_param or [])
    head, machine = snapshot.head, parts[1]
    if snapshot.tree != head:
        advice = "run `git commit -a`, or set parameters with -S"
        raise UserError("there are changes that are not committed", advice=advice)
    name = experiments.name_of(snapshot, "remote", {})
    reference = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    settings = [f"--set-param={key}={json.dumps(v)}" for key, v in snapshot.overrides.items()]
    user = git("var", "GIT_COMMITTER_IDENT").rpartition(" <")
    folder = _ssh(machine, PREPARE, parts[2], user[0], user[2].partition(">")[0])
    inside = git("rev-parse", "--show-prefix")
    there, cache = f"{machine}:{folder}", f"ssh://{machine}{folder}/{inside}.dvc/cache"
    repo = Repo(config={"remote": {"there": {"url": cache}}})
    # Forced: `git commit --amend` leaves the name as it is.
    git("push", "--quiet", there, f"+{head}:refs/stars/{name}")
    dvc = [f"{folder}/{inside}.venv/bin/dvc", "exp", "run", f"--name={name}", *settings]
    try:
        repo.push(remote="there")
        print(f"{name} on {machine}", flush=True)
        _ssh(machine, RUN, folder, inside, head, reference, *launcher.split(), *dvc)
        git("fetch", "--quiet", there, f"{reference}:{reference}")
        repo.fetch(remote="there", revs=[name], workspace=False)
    except (DvcException, OSError) as error:
        problem = f"DVC cannot copy files to or from {machine}: {one_line(str(error))[:300]}"
        raise UserError(problem, advice="run the same command again") from None
    print(f"{name} is here; run `stars compare HEAD {shell_word(name)}`")


def _ssh(machine: str, script: str, *arguments: str) -> str:
    """Run a script there; return the last line of `PREPARE`, show what `RUN` prints."""
    # ssh makes one line for a shell of its words.
    command = ["ssh", machine, shlex.join(["sh", "-s", *arguments])]
    output = subprocess.PIPE if script is PREPARE else None
    try:
        done = subprocess.run(command, input=script, stdout=output, text=True, check=False)
    except FileNotFoundError:
        raise UserError("the command `ssh` is not installed; install it") from None
    if done.returncode:
        raise UserError(f"{machine} {PROBLEMS.get(done.returncode, 'has a problem, see above')}")
    return (done.stdout or "").rstrip("\n").rpartition("\n")[2]
