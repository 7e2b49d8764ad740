"""Faults of processes, disks, clocks and folders: the rerun gives the bytes of an undisturbed run.

docs/interrupting.md has the table. `make soak` takes every stage, and more moments.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import (
    DEADLINE,
    KILLS,
    SOAK,
    STARTING,
    TRAIN,
    TRAIN_OUTS,
    edit,
    fails,
    lay_out,
    outs,
    run,
    soak,
    thorough,
    wait_for_step,
)

from benchmarks.workspace import commit
from yelp_stars.commands.runs.lock import read_lock
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml

ROUNDS = KILLS // 10 if SOAK else 1
SEED = time.time_ns() if SOAK else 0
STAGES = (
    "external", "download", "audit", "pretrained", "tokenize",
    "sample", "baseline", "train", "evaluate", "report",
)  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WHOM = ("stage", "dvc", "both")
DVC_STARTS = 1.5  # seconds, with what it does after the stage
TIMED = ("dvclive", "reports/index.html")  # outs that hold durations
OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?|runs/.*")
LIST = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.dir")  # of a folder, as DVC 2 kept it

LIMIT = 20 * DEADLINE if SOAK else DEADLINE
pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT, func_only=True)]


def result(repo: Path) -> dict[str, Any]:
    """What no disturbance may change: the hash of every out, and the names of all files."""
    files = (path.relative_to(repo).as_posix() for path in repo.rglob("*") if not path.is_dir())
    names = {name for name in files if not re.match(r"\.git($|/)|\.dvc/|.*__pycache__", name)}
    return {**outs(repo), **dict.fromkeys(TIMED), "files": names}


def check_undisturbed(repo: Path, expected: dict[str, Any], context: object = "") -> None:
    """Compare a repository with one in which nothing has happened."""
    assert result(repo) == expected, context
    changed = run("git", "status", "--porcelain", ".", cwd=repo)
    assert re.fullmatch(r"([ M]{2} \S*dvc\.lock\n)?", changed), (context, changed)
    assert json.loads(run("dvc", "status", "--json", cwd=repo)) == {}, context
    assert [name for name in in_cache(repo) if not OBJECT.fullmatch(name)] == [], context


def in_cache(repo: Path) -> list[str]:
    cache = Path(run("dvc", "cache", "dir", cwd=repo).strip())
    return [path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()]


def mend(repo: Path) -> None:
    """As docs/interrupting.md says, remove or restore a file of DVC's that it did not write all of.

    DVC does not start with it.
    """
    lock = repo / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(lock.read_text())
    except ValueError:
        print("DVC did not write all of", lock)
        lock.unlink()
    except FileNotFoundError:
        pass
    with contextlib.chdir(repo):
        try:
            if Path("dvc.lock").exists():
                read_lock()
        except UserError as error:
            print(error)
            restore, delete, _ = re.findall("`([^`]+)`", error.advice)
            subprocess.run(f"{restore} || {delete}", shell=True, check=True)


def forget(repo: Path, stage: str) -> None:
    """Remove a stage's outs from DVC's cache: it would take them, and not run the stage again."""
    cache = Path(run("dvc", "cache", "dir", cwd=repo).strip())
    for out in read_yaml(repo / "dvc.lock")["stages"][stage]["outs"]:
        (cache / "files" / "md5" / out["md5"][:2] / out["md5"][2:]).unlink(missing_ok=True)


def rerun(repo: Path) -> str:
    """Run what is left."""
    mend(repo)
    output = run("dvc", "repro", "--no-run-cache", cwd=repo)
    if any(LIST.fullmatch(name) for name in in_cache(repo)):
        # DVC did not write all of dvc.lock, and then took the part for one of DVC 2.
        run("dvc", "gc", "--all-commits", "--all-experiments", "--force", cwd=repo)
    return output


@pytest.fixture
def expected(finished_repo: Path) -> dict[str, Any]:
    return result(finished_repo)


# --- Killed ---------------------------------------------------------------------------------------


def start(repo: Path, *stages: str) -> subprocess.Popen[bytes]:
    """Start stages again by DVC, or what is left: in a process group, as a shell does."""
    command = ["dvc", "repro", "--no-run-cache"]
    return subprocess.Popen(
        [*command, "--force", "--single-item", *stages] if stages else command,
        cwd=repo,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ended(dvc: subprocess.Popen[bytes]) -> str:
    """Wait until DVC and its stage have ended: none of them holds the pipe; returns the output."""
    output = dvc.communicate(timeout=DEADLINE)[0].decode()
    # Ctrl-C gives Python's own traceback while DVC starts, and in a stage's first milliseconds.
    stage = STARTING.sub("", output.partition("Running stage")[2])
    assert "Traceback" not in stage, output
    return output


def send(dvc: subprocess.Popen[bytes], number: int, whom: str) -> None:
    """Send a signal to DVC, to the stage that it runs, once it does, or to both."""
    while whom == "stage" and dvc.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            for stage in psutil.Process(dvc.pid).children():
                if stage.cmdline()[1:2] == ["-m"]:
                    stage.send_signal(number)
                    return
        time.sleep(0.01)
    if whom == "dvc":
        dvc.send_signal(number)
    elif whom == "both":
        os.killpg(dvc.pid, number)


ALL = [(stage, number, whom) for stage in STAGES for number in SIGNALS for whom in WHOM]
SOME = [("download", signal.SIGKILL, "dvc")]


@pytest.mark.parametrize(("stage", "number", "whom"), ALL if SOAK else SOME)
def test_a_stage_killed_at_a_random_moment_leaves_nothing_that_changes_the_next_run(
    repo, expected, stage, number, whom
):
    rng = random.Random(f"{SEED} {stage} {number} {whom}")
    seconds = json.loads((repo / "reports" / "seconds.json").read_text())[stage]
    for _ in range(ROUNDS):
        forget(repo, stage)
        after = rng.uniform(0.2, 1.2 * (DVC_STARTS + seconds))
        with start(repo, stage) as dvc:
            time.sleep(after)
            send(dvc, number, whom)
            output = ended(dvc)
        output += rerun(repo)
        check_undisturbed(repo, expected, (SEED, stage, number, whom, after, output))


@pytest.mark.parametrize("size", range(0, 24_000, 1000) if SOAK else [0, *thorough(18_000)])
def test_a_lock_file_that_dvc_did_not_write_all_of_changes_nothing(repo, expected, size):
    os.truncate(repo / "dvc.lock", size)
    output = rerun(repo)
    check_undisturbed(repo, expected, output)


@soak
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a stage that DVC died")
def test_a_training_saves_and_stops_when_dvc_alone_is_killed_and_none_starts_beside_it(repo):
    edit(repo, "train", num_train_epochs=200)
    with start(repo, "train") as dvc:
        wait_for_step(repo, dvc, 9)
        message = fails(*TRAIN, *TRAIN_OUTS, cwd=repo)
        dvc.kill()
        output = ended(dvc)
    assert message.startswith("the stage 'train' is running in this folder already")
    assert not (repo / "ft").exists()
    step = re.search("error: stopped by SIGTERM after step ([0-9]+) of 800", output)
    assert step, output
    with start(repo, "train") as dvc:
        wait_for_step(repo, dvc, int(step[1]) + 1)
        send(dvc, signal.SIGTERM, "both")
        output = ended(dvc)
    assert re.search(rf"resuming from models/checkpoints/\w+/checkpoint-{step[1]}\n", output)


@soak
@pytest.mark.parametrize("stage", STAGES)
def test_of_two_runs_at_once_one_is_refused_or_both_are_right(repo, expected, stage):
    with start(repo, stage) as first, start(repo, stage) as second:
        outputs = [ended(dvc) for dvc in (first, second)]
    codes = [first.returncode, second.returncode]
    assert 0 in codes, outputs
    for code, output in zip(codes, outputs, strict=True):
        assert code == 0 or "ERROR: " in output, outputs
    run("dvc", "repro", cwd=repo)
    check_undisturbed(repo, expected, outputs)


@soak
def test_a_pipeline_killed_again_and_again_ends_as_an_undisturbed_one(
    tmp_path, tiny_checkpoint, expected
):
    repo, rng, kills = lay_out(tmp_path / "repo", tiny_checkpoint), random.Random(SEED), 0
    commit(repo)
    for kills in range(30):  # noqa: B007
        mend(repo)
        with start(repo) as dvc:
            time.sleep(rng.uniform(1, 15))
            if dvc.poll() is None:
                send(dvc, rng.choice(SIGNALS), rng.choice(WHOM))
            output = ended(dvc)
        if dvc.returncode == 0:
            break
    output += rerun(repo)
    commit(repo, "first run")
    check_undisturbed(repo, expected, (SEED, kills, output))
    print(f"{kills} kills")


# --- Disks ----------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 100 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes free."""
    usage = shutil.disk_usage(disk)
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, usage.free - free)


@pytest.mark.parametrize("stage", STAGES if SOAK else ["tokenize"])
def test_a_full_disk_is_reported_and_with_space_the_run_is_an_undisturbed_one(
    finished_repo, disk, expected, stage
):
    repo, rng = disk / "repo", random.Random(f"{SEED} {stage}")
    run("cp", "-a", str(finished_repo), str(repo), cwd=disk)
    for number in range(2 * ROUNDS if SOAK else 1):
        free = 4096 * (rng.randint(1, 60) if number else 0)
        fill(disk, free)
        with start(repo, stage) as dvc:
            output = ended(dvc)
        context = (SEED, stage, free, output)
        # DVC does not report that it could not write its lock file, but that it cannot read it;
        # nor that it could not copy an out, but that no type of link works.
        assert dvc.returncode == 0 or re.search(
            "free some space|No space left|RWLock-file|cache-types", output
        ), context
        (disk / "filler").unlink()
        rerun(repo)
        for path in (repo / ".dvc" / "cache").rglob(".*.tmp"):  # `stars doctor` names it
            path.unlink()
        check_undisturbed(repo, expected, context)


@soak
def test_a_disk_that_cannot_be_written_is_reported_and_leaves_the_outs(
    finished_repo, disk, expected
):
    repo = disk / "repo"
    run("cp", "-a", str(finished_repo), str(repo), cwd=disk)
    run("mount", "-o", "remount,ro", str(disk), cwd=disk)
    for stage in STAGES:
        command = read_yaml(repo / "dvc.yaml")["stages"][stage]["cmd"].split()
        message = fails(*command, cwd=repo)
        assert re.match("Read-only file system '[^']+'; move the project to a disk that", message)
    run("mount", "-o", "remount,rw", str(disk), cwd=disk)
    check_undisturbed(repo, expected)


# Root may write everywhere, unless it gives that up.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if not os.getuid() else []


@soak
@pytest.mark.skipif(not all(map(shutil.which, AS_A_USER[:1])), reason="root without setpriv")
@pytest.mark.parametrize("stage", ["download", "tokenize", "sample", "train"])
def test_an_out_that_cannot_be_replaced_is_named_and_kept_until_it_can(repo, expected, stage):
    described = read_yaml(repo / "dvc.yaml")["stages"][stage]
    out = repo / described["outs"][0]
    run("chmod", "-R", "a-w", str(out), cwd=repo)
    for command in (described["cmd"].split(), ["dvc", "repro", "--force", "-s", stage]):
        output = run(*AS_A_USER, *command, cwd=repo, ok=False)
        assert "Permission denied" in output
        assert "Traceback" not in output
        assert not list(repo.rglob("*.partial"))
    run("chmod", "-R", "u+w", str(out), cwd=repo)
    run(*AS_A_USER, "dvc", "repro", "--force", "-s", stage, cwd=repo)
    run("dvc", "repro", cwd=repo)
    check_undisturbed(repo, expected)


# --- Folders and clocks ---------------------------------------------------------------------------


def with_spaces_umlauts_and_links(repo: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "Größe & 'Ort' $HOME" / "ein Projekt"
    folder.parent.mkdir()
    repo.rename(folder)
    (tmp_path / "link").symlink_to(folder)
    return tmp_path / "link"


def with_files_of_the_past_and_the_future(repo: Path, tmp_path: Path) -> Path:
    rng = random.Random(SEED)
    for path in repo.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (rng.choice([10**6, 2 * 10**9]),) * 2, follow_symlinks=False)
    assert json.loads(run("dvc", "status", "--json", cwd=repo)) == {}
    return repo


@soak
@pytest.mark.parametrize(
    "move",
    [with_spaces_umlauts_and_links, with_files_of_the_past_and_the_future],
    ids=lambda move: move.__name__,
)
def test_a_project_gives_the_same_bytes(repo, tmp_path, expected, move):
    check_runs(move(repo, tmp_path), expected)


def check_runs(project: Path, expected: dict[str, Any]) -> None:
    """Kill every stage at a random moment, and run it again."""
    for stage in STAGES:
        forget(project, stage)
        with start(project, stage) as dvc:
            time.sleep(random.Random(f"{SEED} {stage}").uniform(0.2, 4))
            send(dvc, signal.SIGKILL, "both")
            ended(dvc)
        output = rerun(project)
        check_undisturbed(project, expected, (SEED, stage, output))


@soak
def test_a_cache_on_another_file_system_gives_the_same_bytes(repo, expected):
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == repo.stat().st_dev:
        pytest.skip("no other file system here")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        cache = shutil.move(repo / ".dvc" / "cache", folder)
        run("dvc", "cache", "dir", "--local", str(cache), cwd=repo)
        check_runs(repo, expected)


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@soak
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime here")
@pytest.mark.parametrize("stage", STAGES)
def test_a_clock_that_jumps_between_and_during_runs_changes_nothing(
    repo, tmp_path, expected, stage
):
    clock = tmp_path / "clock"
    jumping = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",  # no clock of a machine makes that one jump
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in jumping.items():
            patch.setenv(name, value)
        for offset in ("-3000d", "+3000d", "-1d"):
            clock.write_text(offset)
            with start(repo, stage) as dvc:
                time.sleep(1)
                clock.write_text("+100d")
                output = ended(dvc)
            assert dvc.returncode == 0, output
    run("dvc", "repro", cwd=repo)
    check_undisturbed(repo, expected, output)
