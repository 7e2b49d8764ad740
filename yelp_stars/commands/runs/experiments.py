"""Experiments that `stars seeds`, `search` and `curve` run, named by their content.

Each runs in a clone beside DVC's temporary files. `dvc exp run` itself stashes the workspace while
it prepares a run: killed at that moment, also with --temp, it leaves edits in git's stash and HEAD
detached, and an edit made while many runs are under way would reach the later ones.
"""

import contextlib
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.repo import Repo

from yelp_stars.commands.runs.git import ask_git, check_repository, git
from yelp_stars.commands.runs.pipeline_file import inputs
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import damaged_as, locked
from yelp_stars.pipeline.params import check, stage_models
from yelp_stars.pipeline.text import quoted, shell_word
from yelp_stars.pipeline.yaml_file import parse_yaml, read_yaml

CLONE = Path(".dvc", "tmp", "yelp-stars")
CHECKPOINTS = Path("models", "checkpoints")
SEED = "train.seed"
ROWS = "sample.train_size"
TEXT = re.compile(r"[\w./ -]{0,80}", re.ASCII)  # means nothing else to Hydra, which DVC reads with

Overrides = dict[str, Any]  # "train.learning_rate": 5e-5


class Failed(UserError):
    """A failed experiment."""


class Snapshot(NamedTuple):
    """A snapshot of the project: later edits do not reach the experiments of a command."""

    head: str
    """Commit that the experiments belong to."""
    tree: str
    """Commit with the uncommitted edits of tracked files."""
    overrides: Overrides
    """Parameters that the command sets for all its experiments."""
    params: dict[str, Any]
    """All parameters, with these."""
    code: str
    """Hash of all tracked files that a stage depends on."""


def take_snapshot(settings: Sequence[str] = ()) -> Snapshot:
    """Record what a command's experiments start from, with the parameters of its -S options.

    The workspace stays as it is.
    """
    params, overrides = read_yaml(Path("params.yaml")), parse_overrides(settings)
    check(params, stage_models(), "params.yaml")
    params = change(params, overrides)
    check(params, stage_models(), "params.yaml")
    check_repository()
    head = ask_git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        raise UserError("git has no commit here; run `git add -A && git commit -m start`")
    ask_git("update-index", "-q", "--refresh")  # in a copied folder, `stash` fails without
    tree = git("stash", "create") or head
    listed = git("ls-tree", "-r", tree, "--", "dvc.yaml", *inputs())
    code = hashlib.sha256(listed.encode()).hexdigest()
    return Snapshot(head, tree, overrides, params, code)


def parse_overrides(texts: Sequence[str]) -> Overrides:
    """Parse the parameters of `-S section.key=value`."""
    overrides = {}
    for text in texts:
        key, is_set, value = text.partition("=")
        if not is_set:
            raise UserError(f"{quoted(text)} does not have the form section.key=value")
        try:
            overrides[key] = parse_yaml(value.encode(), key)
        except (UserError, UnicodeEncodeError):
            raise UserError(f"the value of {quoted(text)} is not valid YAML") from None
    return overrides


def change(params: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Return the parameters with other values, each of which DVC can be given."""
    changed = copy.deepcopy(params)
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        if name not in changed.get(section, {}):
            raise UserError(f"{quoted(key)} is not in params.yaml; run `stars params`")
        for part in value if isinstance(value, list) else [value]:
            plain = part is None or isinstance(part, bool | int | float)
            if not plain and not (isinstance(part, str) and TEXT.fullmatch(part)):
                raise UserError(f"{quoted(key)} cannot be set to {quoted(value)} here")
        changed[section][name] = value
    return changed


def training_rows(snapshot: Snapshot) -> int:
    """Return the number of training rows that the parameters ask for; "all" is none."""
    rows = snapshot.params["sample"]["train_size"]
    if not isinstance(rows, int):
        raise UserError(
            f"{ROWS} is {quoted(rows)}; set a number, at most the rows that the "
            f"validation sample leaves, such as -S {ROWS}=10000"
        )
    return rows


def name_of(snapshot: Snapshot, prefix: str, overrides: Overrides) -> str:
    """Return PREFIX-HASH-SEED, with the hash of the code and of all other parameters."""
    params = change(snapshot.params, overrides)
    seed = params["train"].pop("seed")
    content = json.dumps([params, snapshot.code], sort_keys=True, default=str)
    return f"{prefix}-{hashlib.sha256(content.encode()).hexdigest()[:8]}-{seed}"


def find(name: str, folder: Path = Path()) -> str:
    """Return the reference of the experiment with a name; nothing if there is none."""
    options = ("--count=1", "--format=%(refname)")
    return git("for-each-ref", *options, f"refs/exps/??/*/{name}", folder=folder)


def run(snapshot: Snapshot, prefix: str, overrides: Overrides) -> str:
    """Run an experiment with DVC, with further parameters, unless it exists; return its name."""
    name = name_of(snapshot, prefix, overrides)
    if find(name):
        return name
    changes = snapshot.overrides | overrides
    options = [f"--set-param={key}={json.dumps(value)}" for key, value in changes.items()]
    with cloned(snapshot.head, snapshot.tree) as clone:
        print(f"\n{name}, in a copy of the project", flush=True)
        is_done = clone.dvc("exp", "run", "--name", name, *options)
        reference = find(name, clone.folder)
        if not is_done or not reference:
            problem = f"the experiment {name} failed, see DVC's error above"
            raise Failed(problem, advice="run the same command to resume")
        git("fetch", "--quiet", str(CLONE.resolve()), f"{reference}:{reference}")
    return name


def read_score(name: str) -> tuple[float, int]:
    """Return the validation accuracy of an experiment, and its number of rows."""
    file = "metrics/validation.json"
    content = git("show", f"{find(name)}:./{file}")
    advice = f"run `dvc exp remove {shell_word(name)}`, and the same command again"
    with damaged_as(Path(f"{name}:{file}"), advice=advice):
        scores = json.loads(content)
        return float(scores["accuracy"]), int(scores["n"])


class Clone(NamedTuple):
    """A copy of the project, which shares git's objects and DVC's cache."""

    folder: Path
    lock: int
    """Descriptor that DVC inherits: it may survive this process."""

    def dvc(self, *arguments: str) -> bool:
        """Run DVC there; return whether it succeeds."""
        # The stages run `python`: this one, also where the environment is not active.
        known = os.environ.get("PATH", os.defpath)
        path = os.pathsep.join([str(Path(sys.executable).parent), known])
        command = [sys.executable, "-P", "-m", "dvc", *arguments]
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, cwd=self.folder, env=environment, pass_fds=[self.lock])
        return not done.returncode


@contextlib.contextmanager
def cloned(head: str, tree: str) -> Iterator[Clone]:
    """Yield a clone at the commit `head`, with the files of the commit `tree`."""
    problem = "an experiment of another `stars` command is running here; wait until it ends"
    CLONE.parent.mkdir(parents=True, exist_ok=True)
    with locked(CLONE.with_suffix(".lock"), problem) as lock, _cloned(head, tree) as folder:
        yield Clone(folder, lock)


@contextlib.contextmanager
def _cloned(head: str, tree: str) -> Iterator[Path]:
    shutil.rmtree(CLONE, ignore_errors=True)  # of a command that was killed
    try:
        git("init", "--quiet", str(CLONE))
        git("config", "core.hooksPath", os.devnull, folder=CLONE)  # they are for people's commits
        hidden = CLONE / ".git"
        objects = Path(git("rev-parse", "--git-path", "objects")).resolve()
        (hidden / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):  # in most clones
            shutil.copy(git("rev-parse", "--git-path", "shallow"), hidden)
        for key in ("user.name", "user.email"):
            if value := ask_git("config", key):
                git("config", key, value, folder=CLONE)
        git("checkout", "--quiet", "--detach", head, folder=CLONE)
        git("restore", f"--source={tree}", "--worktree", ".", folder=CLONE)
        folder = CLONE / git("rev-parse", "--show-prefix")
        local = Path(".dvc", "config.local")  # addresses and passwords of remotes
        if local.is_file():
            shutil.copy(local, folder / local)
        # An interrupted training resumes from its checkpoint.
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        (folder / CHECKPOINTS).symlink_to(CHECKPOINTS.resolve())
        with Config(str(folder / ".dvc")).edit("local") as config:
            config["cache"]["dir"] = Repo().cache.local_cache_dir
        Repo(str(folder)).checkout(force=True, allow_missing=True)
        yield folder
    except DvcException as error:
        raise UserError(f"DVC cannot prepare the experiment: {error}") from None
    finally:
        shutil.rmtree(CLONE, ignore_errors=True)
