"""DVC's experiments as docs/experiments.md has them: its own commands, on a real repository."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers import DEADLINE, ROOT, documented, dvc_in, edit, follow, run, soak, would_run
from small import objects

from benchmarks.workspace import commit
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.thorough


# The stage `audit` alone, in place of a training and of the stages after it.
GRID = (
    "'train.learning_rate=2e-5,5e-5' -S train.seed=1",
    "audit.min_words=4,5 -S audit.seed=1 audit",
)
TABLE = re.compile(r"^\| `(dvc [\w -]+)` \|(.*)\|$", re.M)


@pytest.fixture(scope="module")
def pushed(finished_repo, tmp_path_factory):
    """A repository with a git server, a remote, all files tracked, and the experiment `slow`."""
    folder = tmp_path_factory.mktemp("experiments")
    repo = folder / "repo"
    shutil.copytree(finished_repo, repo, symlinks=True)
    run("git", "init", "-q", "--bare", "-b", "main", str(folder / "server"), cwd=folder)
    run("git", "remote", "add", "origin", (folder / "server").as_uri(), cwd=repo)
    dvc_in(repo, "remote", "add", "-d", "store", str(folder / "store"))
    dvc_in(repo, "add", "models/external/tiny")
    dvc_in(repo, "repro")
    commit(repo, "a remote")
    dvc_in(repo, "push")
    dvc_in(repo, "exp", "run", "-n", "slow", "-S", "audit.min_words=7", "audit")
    run("git", "reset", "-q", "--hard", cwd=repo)
    dvc_in(repo, "checkout", "--force")
    follow(documented("experiments.md", "Share them")[0], repo)
    return repo


@pytest.fixture
def here(pushed, tmp_path):
    """A copy of it, to change at will."""
    shutil.copytree(pushed, tmp_path / "here", symlinks=True)
    return tmp_path / "here"


def names(repo: Path) -> set[str]:
    refs = run("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=repo).splitlines()
    return {ref.rpartition("/")[2] for ref in refs if re.match("refs/exps/[0-9a-f]{2}/", ref)}


def test_stars_runs_has_experiments_and_those_of_the_queue(here):
    for name, words in (("later", 8), ("last", 9)):
        dvc_in(here, "exp", "run", "--queue", "-n", name, "-S", f"audit.min_words={words}", "audit")
    table, queue = run("stars", "runs", cwd=here, COLUMNS="80").split("\n\n")
    (slow,) = [line for line in table.splitlines() if line.startswith("slow ")]
    assert slow.endswith("  audit.min_words 7")
    assert queue == "Waiting or running: 'last', 'later'; see `dvc queue status`\n"


def test_an_experiment_reaches_another_clone_with_its_files(pushed, tmp_path):
    server = run("git", "remote", "get-url", "origin", cwd=pushed).strip()
    run("git", "clone", "-q", server, "clone", cwd=tmp_path)
    assert "slow" in follow(documented("experiments.md", "Share them")[1], tmp_path / "clone")
    assert read_yaml(tmp_path / "clone" / "params.yaml")["audit"]["min_words"] == 7
    assert (tmp_path / "clone" / "data" / "audit.parquet").is_file()


def test_a_clone_of_depth_1_is_broken_by_a_pull_and_mended_or_completed_first(pushed, tmp_path):
    server = run("git", "remote", "get-url", "origin", cwd=pushed).strip()
    for name in ("broken", "completed"):
        run("git", "clone", "-q", "--depth", "1", server, name, cwd=tmp_path)
    run("git", "fetch", "-q", "--unshallow", cwd=tmp_path / "completed")
    for name in ("broken", "completed"):
        dvc_in(tmp_path / name, "exp", "pull", "origin", "slow")
    run("git", "log", cwd=tmp_path / "broken", ok=False)
    run("git", "fetch", "-q", "--refetch", cwd=tmp_path / "broken")
    logs = [run("git", "log", "--oneline", cwd=tmp_path / n) for n in ("broken", "completed")]
    assert logs == [run("git", "log", "--oneline", cwd=pushed)] * 2


def test_removing_an_experiment_frees_its_files_and_keeps_those_of_earlier_commits(here):
    assert names(here) == {"slow"}
    cache = here / ".dvc" / "cache"
    files = objects(cache).keys()
    models = set((here / "models" / "finetuned").iterdir())
    edit(here, "audit", min_words=12)
    dvc_in(here, "repro", "audit")
    commit(here, "another audit")
    follow(documented("experiments.md", "Remove them")[0], here)
    assert names(here) == set()
    assert dvc_in(here, "exp", "list", "-A", "origin").strip() == ""
    assert len(files - objects(cache).keys()) == 1  # what the audit of `slow` wrote
    shutil.rmtree(here / "models" / "finetuned")
    run("git", "switch", "-q", "--detach", "HEAD~1", cwd=here)
    dvc_in(here, "checkout", "--force")
    assert set((here / "models" / "finetuned").iterdir()) == models
    assert would_run(here) == set()


@pytest.fixture
def queueing(here):
    """A copy of it, whose worker ends with the test."""
    yield here
    run("dvc", "queue", "stop", "--kill", cwd=here)


@soak
def test_a_queue_runs_a_grid_and_keeps_the_log_of_a_failed_run(queueing):
    queue, _, remove = documented("experiments.md", "Run several")
    before = run("git", "status", "--porcelain", cwd=queueing)
    assert GRID[0] in queue
    follow(queue.replace(*GRID), queueing)
    dvc_in(queueing, "exp", "run", "--queue", "-n", "bad", "-S", "audit.similarity=2", "audit")
    run("dvc", "queue", "start", "-j", "1", cwd=queueing)
    wait_for_the_queue(queueing)
    assert names(queueing) == {"slow", "rate-1", "rate-2"}
    assert run("git", "status", "--porcelain", cwd=queueing) == before
    assert re.search("bad .*Failed", run("dvc", "queue", "status", cwd=queueing))
    assert "\n\nFailed: 'bad'; see `dvc queue status`\n" in run("stars", "runs", cwd=queueing)
    log = run("dvc", "queue", "logs", "bad", cwd=queueing)
    assert "error: params.yaml: audit.similarity is 2" in log
    files = list((queueing / ".dvc" / "tmp" / "exps" / "run").glob("*/*.out"))
    assert any("audit.similarity is 2" in path.read_text() for path in files)
    follow(remove, queueing)
    assert "bad" not in run("dvc", "queue", "status", cwd=queueing)


def wait_for_the_queue(repo: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while re.search(" (Queued|Running)", run("dvc", "queue", "status", cwd=repo)):
        assert time.monotonic() < deadline
        time.sleep(1)


# --- What each command writes ---------------------------------------------------------------------


def snapshot(repo: Path) -> list[object]:
    """The four columns of the table: workspace, refs, cache, .dvc/tmp/exps."""
    tracked = run("git", "ls-files", cwd=repo).splitlines()
    refs = run("git", "for-each-ref", "refs/exps", "refs/heads", cwd=repo)
    folders = (repo / ".dvc" / "cache", repo / ".dvc" / "tmp" / "exps")
    below = [
        {path for path in folder.rglob("*") if path.is_file() and "lock" not in path.name}
        for folder in folders
    ]
    return [{name: (repo / name).read_bytes() for name in tracked}, refs, *below]


@soak
def test_each_command_writes_what_the_table_says(here):
    table = dict(TABLE.findall((ROOT / "docs" / "experiments.md").read_text("utf-8")))
    expected = {c: [cell.strip() == "yes" for cell in r.split("|")] for c, r in table.items()}
    arguments = {
        "dvc exp run": "-n first -S audit.min_words=9 audit",
        "dvc exp run --queue": "-n later -S audit.seed=6 audit",
        "dvc exp run --temp": "-n aside -S audit.min_words=14 audit",
        "dvc exp diff": "main first",
        "dvc exp apply": "aside",
        "dvc exp branch": "first try-first",
        "dvc exp push": "origin first",
        "dvc exp remove": "first aside",
        "dvc gc": "--all-commits --all-experiments --force",
    }
    found = {}
    for command in expected:
        before = snapshot(here)
        follow(f"{command} {arguments.get(command, '')}", here)
        found[command] = [old != new for old, new in zip(before, snapshot(here))]
    assert found == expected, json.dumps(found, indent=1)
