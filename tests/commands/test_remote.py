"""`stars remote`: a run on another machine, which is this one behind an SSH server."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import servers
from helpers import DEADLINE, ROOT, dvc_in, edit, run, stars

from benchmarks.workspace import commit
from yelp_stars.commands.runs import experiments
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

pytestmark = pytest.mark.slow

# A launcher that prints its first two arguments, and starts the others as `srun` does; and one that
# copies a script, waits in a queue and starts the copy elsewhere, as `sbatch --wait` does.
SRUN = """#!/bin/sh
printf '<%s>\\n' "$1" "$2"; shift 2
exec "$@"
"""
SBATCH = """#!/bin/sh
shift; cp "$1" "$0.spooled"; shift
sleep 0.2
"$0.spooled" "$@"
"""


@pytest.fixture
def project(toy_project, tmp_path):
    """The toy, with a file that DVC tracks; its stage notes its start and waits for `hold`."""
    started, hold = tmp_path / "started", tmp_path / "hold"
    script = toy_project / "toy.py"
    first = f"import os, time\nopen({str(started)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    wait = f"while os.path.exists({str(hold)!r}):\n    time.sleep(0.05)\n"
    script.write_text(f"{first}{wait}{script.read_text('utf-8')}", encoding="utf-8")
    (toy_project / "data" / "external").mkdir(parents=True, exist_ok=True)
    (toy_project / "data" / "external" / "own.csv").write_text("1,good\n")
    dvc_in(toy_project, "add", "data/external/own.csv")
    pipeline = read_yaml(toy_project / "dvc.yaml")
    pipeline["stages"]["train"]["deps"].append("data/external/own.csv")
    (toy_project / "dvc.yaml").write_text(dump_yaml(pipeline), encoding="utf-8")
    commit(toy_project, "own data")
    return toy_project


@pytest.fixture
def there(project, tmp_path, monkeypatch):
    """The folder on the other machine, whose environment is this one; `box` in ssh's settings."""
    folder = tmp_path / "there"
    with servers.ssh(tmp_path / "ssh") as server:
        settings = {
            "HostName": "127.0.0.1",
            "Port": server.port,
            "User": getpass.getuser(),
            "IdentityFile": tmp_path / "ssh" / "user",
            "UserKnownHostsFile": tmp_path / "known_hosts",
            "StrictHostKeyChecking": "accept-new",
        }
        config = tmp_path / "home" / ".ssh" / "config"
        config.parent.mkdir(parents=True)
        lines = (f"  {name} {value}" for name, value in settings.items())
        config.write_text("\n".join(["Host box", *lines, ""]))
        config.chmod(0o600)
        # DVC reads it below HOME; OpenSSH looks HOME up in the list of users.
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        folder.mkdir()
        (folder / ".venv").symlink_to(sys.prefix)
        yield folder


def starts(tmp_path: Path) -> list[int]:
    """The processes of the stage that have been started there."""
    file = tmp_path / "started"
    return [int(line) for line in file.read_text().split()] if file.is_file() else []


def wait_for_start(tmp_path: Path, number: int) -> int:
    deadline = time.monotonic() + DEADLINE
    while len(starts(tmp_path)) < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return starts(tmp_path)[-1]


@contextlib.contextmanager
def begun(project: Path, *arguments: str):
    """The command in a process of its own, which is killed when the block ends."""
    command = [sys.executable, "-m", "yelp_stars.cli", "remote", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=project, env=environment, start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def check(project: Path, name: str, seed: int) -> None:
    """The experiment and its files are here."""
    params = run("git", "show", f"{experiments.find(name)}:params.yaml", cwd=project)
    (project / "theirs.yaml").write_text(params)
    assert read_yaml(project / "theirs.yaml")["train"]["seed"] == seed
    assert experiments.read_score(name)[1] == 500
    dvc_in(project, "exp", "apply", name)
    assert (project / "data" / "predictions" / "test.parquet").is_file()


def name_of_last(output: str) -> str:
    return output.splitlines()[-1].split()[0]


@pytest.mark.thorough
def test_a_run_there_is_an_experiment_here_once_with_its_files(project, there, tmp_path, capfd):
    arguments = ("remote", f"box:{there}", "-S", "train.seed=3")
    assert stars(*arguments) == 0
    shown = capfd.readouterr().out
    assert "Running stage 'train'" in shown
    name = name_of_last(shown)
    assert stars(*arguments) == 0
    assert name_of_last(capfd.readouterr().out) == name
    assert len(starts(tmp_path)) == 1
    run("git", "diff", "--exit-code", cwd=project)
    check(project, name, seed=3)


@pytest.mark.thorough
def test_an_amended_commit_and_one_of_a_shallow_clone_run_there(
    project, there, tmp_path, capfd, monkeypatch
):
    arguments = ("remote", f"box:{there}", "-S", "train.seed=3")
    assert stars(*arguments) == 0
    run("git", "commit", "--amend", "-qm", "the same code", cwd=project)
    assert stars(*arguments) == 0
    check(project, name_of_last(capfd.readouterr().out), seed=3)
    run("git", "clone", "-q", "--depth=1", project.as_uri(), tmp_path / "clone", cwd=tmp_path)
    shutil.copytree(project / ".dvc" / "cache", tmp_path / "clone" / ".dvc" / "cache")
    monkeypatch.chdir(tmp_path / "clone")
    dvc_in(tmp_path / "clone", "checkout", "--allow-missing")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".venv").symlink_to(sys.prefix)
    assert stars("remote", f"box:{tmp_path / 'elsewhere'}", "-S", "train.seed=3") == 0
    check(tmp_path / "clone", name_of_last(capfd.readouterr().out), seed=3)


@pytest.mark.thorough
@pytest.mark.parametrize(("script", "words"), [(SRUN, "words; $(id>canary)"), (SBATCH, "--wait")])
def test_a_launcher_starts_it_there_and_its_words_reach_no_shell(
    project, there, tmp_path, capfd, script, words
):
    launcher = tmp_path / "launcher"
    launcher.write_text(script)
    launcher.chmod(0o755)
    options = ("-S", "train.seed=4", "--launcher", f"{launcher} {words}")
    assert stars("remote", f"box:{there}", *options) == 0
    shown = capfd.readouterr().out
    if script is SRUN:
        assert "<words;>\n<$(id>canary)>\n" in shown
    assert not list(tmp_path.rglob("canary"))
    check(project, name_of_last(shown), seed=4)


@pytest.mark.thorough
def test_a_broken_connection_loses_no_run_and_another_one_waits(project, there, tmp_path, capfd):
    (tmp_path / "hold").touch()
    with begun(project, f"box:{there}", "-S", "train.seed=5"):
        wait_for_start(tmp_path, 1)
    other = stars("remote", f"box:{there}", "-S", "train.seed=6")
    assert other.startswith("error: box is busy with another run")
    (tmp_path / "hold").unlink()
    assert stars("remote", f"box:{there}", "-S", "train.seed=5") == 0
    assert len(starts(tmp_path)) == 1
    check(project, name_of_last(capfd.readouterr().out), seed=5)


@pytest.mark.thorough
def test_a_run_killed_there_is_reported_and_the_same_command_runs_it(
    project, there, tmp_path, capfd
):
    (tmp_path / "hold").touch()
    arguments = (f"box:{there}", "-S", "train.seed=7")
    with begun(project, *arguments) as first:
        stage = psutil.Process(wait_for_start(tmp_path, 1))
        for process in [stage, *stage.parents()]:
            if process == stage or process.cmdline()[1].endswith("/dvc"):
                process.kill()
        assert first.wait(DEADLINE) == 1
    (tmp_path / "hold").unlink()
    assert stars("remote", *arguments) == 0
    assert len(starts(tmp_path)) == 2
    check(project, name_of_last(capfd.readouterr().out), seed=7)


@pytest.mark.thorough
def test_a_folder_of_somebody_elses_is_left_alone(project, there, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    message = stars("remote", f"box:{tmp_path / 'theirs'}")
    assert "has a folder of that name that `stars remote` did not make" in message
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=x", "box:-x", "box;x", "a b", "box:~/x", "$(x)", "box:a:b", ""]
)
def test_what_is_no_host_reaches_no_command(toy_project, host):
    message = stars("remote", "--", host)
    assert "does not have the form [USER@]HOST:FOLDER" in message


def test_without_an_ssh_client_it_is_one_line(toy_project, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert stars("remote", "box") == "error: the command `ssh` is not installed; install it"


def test_changes_that_are_not_committed_are_refused(toy_project):
    edit(toy_project, "train", seed=9)
    message = stars("remote", "box")
    assert message.endswith("run `git commit -a`, or set parameters with -S")
