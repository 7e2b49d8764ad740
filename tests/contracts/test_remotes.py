"""Remotes on real servers: what is pushed is what is pulled, and nothing else is ever used."""

import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import servers
from dvc.repo import Repo
from dvc_data.hashfile.hash import file_md5
from helpers import DEADLINE, ROOT, dvc_in, ran, run, soak, stars
from small import MODEL, add_remote, clone, diagnose, dvc, follow, objects, overwrite

from benchmarks.workspace import commit
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.thorough

UP_TO_DATE = "Data and pipelines are up to date.\n"
NOTHING = (
    "the remote 'store' has no outs of the last run, or does not answer; run `dvc push` where the "
    "outs are"
)


@pytest.fixture(autouse=True)
def aws_keys(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")


@pytest.fixture
def server(request, tmp_path):
    """A remote of each kind."""
    kinds = {
        "folder": contextlib.nullcontext(servers.Server(0, str(tmp_path / "store"), ())),
        "ssh": servers.ssh(tmp_path / "ssh"),
        "s3": servers.s3(),
    }
    with kinds[request.param] as started:
        yield started


def connect(repo: Path, server: servers.Server) -> None:
    """Make it the default remote `store`."""
    url, settings = server.at(server.port)
    add_remote(repo, url, *settings)


def redirect(server: servers.Server, port: int) -> None:
    """Use another port, in this clone only."""
    url, settings = server.at(port)
    for name, value in (("url", url), *settings):
        dvc("remote", "modify", "--local", "store", name, value)


def stored() -> set[str]:
    """The hashes of what the remote has."""
    return set(Repo().cloud.get_remote_odb("store").all())


@pytest.mark.parametrize("server", ["folder", "ssh", "s3"], indirect=True)
def test_a_clone_pulls_what_was_pushed_and_has_nothing_to_run(
    small_repo, tmp_path, monkeypatch, capsys, server
):
    connect(small_repo, server)
    dvc("push")
    assert stored() == objects(small_repo / ".dvc" / "cache").keys()
    assert diagnose(capsys, "--remote") == []
    monkeypatch.chdir(clone(small_repo, tmp_path / "clone"))
    dvc("pull")
    assert MODEL.read_bytes() == (small_repo / MODEL).read_bytes()
    assert diagnose(capsys, "--remote") == []
    dvc("status")
    assert capsys.readouterr().out == UP_TO_DATE
    assert ran(dvc_in(Path.cwd(), "repro")) == []


@soak
@pytest.mark.parametrize("server", ["ssh", "s3"], indirect=True)
def test_what_a_remote_elsewhere_lacks_is_named_with_the_address_of_its_list(
    small_repo, capsys, server
):
    connect(small_repo, server)
    dvc("push")
    odb = Repo().cloud.get_remote_odb("store")
    odb.delete(file_md5(str(MODEL)))
    dvc("push")
    (line,) = diagnose(capsys, "--remote")
    address = line.removeprefix(f"the remote 'store' lacks {str(MODEL)!r}; delete ").split(",")[0]
    (there,) = [p for p in odb.fs.find(odb.path) if odb.fs.unstrip_protocol(p) == address]
    odb.fs.remove(there)
    follow(line)
    assert diagnose(capsys, "--remote") == []


@pytest.mark.parametrize("verify", ["false", "true"])
def test_garbage_of_a_remote_is_refused_if_the_remote_says_verify(
    small_repo, tmp_path, monkeypatch, capsys, verify
):
    add_remote(small_repo, str(tmp_path / "store"), ("verify", verify))
    dvc("push")
    content = MODEL.read_bytes()
    there = objects(tmp_path / "store").values()
    model = next(path for path in there if path.read_bytes() == content)
    overwrite(model, b"garbage" * 700)
    monkeypatch.chdir(clone(small_repo, tmp_path / "clone"))
    dvc("pull", ok=verify == "false")
    dvc("status")
    is_current = capsys.readouterr().out.endswith(UP_TO_DATE)
    (line,) = [line for line in diagnose(capsys) if str(MODEL) in line]
    if verify == "false":  # DVC takes 5 kB of garbage for the model
        assert MODEL.read_bytes() != content
        assert is_current
        assert line.startswith(f"{str(MODEL)!r} is damaged in DVC")
    else:
        assert not MODEL.exists()
        assert not is_current
        assert line.startswith(f"DVC's cache lacks {str(MODEL)!r}")
        overwrite(model, content)
        dvc("pull")
        assert MODEL.read_bytes() == content
        assert diagnose(capsys) == []


@pytest.fixture
def large_repo(small_repo):
    """With a file that takes some time: the working folder."""
    Path("data/external/large.bin").write_bytes(os.urandom(4_000_000))
    dvc("add", "data/external/large.bin")
    commit(small_repo, "a large file")
    return small_repo


def interrupted(line: servers.Line, *command: str) -> str:
    """Run a command until the line stalls, then kill it; if the line was cut, let it end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert line.reached.wait(DEADLINE)
        if not line.cut:
            process.send_signal(signal.SIGKILL)
        output = process.communicate(timeout=DEADLINE)[0].decode()
    assert process.returncode != 0, output
    return output


@pytest.mark.parametrize("server", ["ssh"], indirect=True)
def test_a_push_that_was_killed_is_completed_by_a_second_one(large_repo, capsys, server):
    connect(large_repo, server)
    line = servers.Line(server.port, 2_000_000, cut=False)
    redirect(server, line.port)
    assert "Traceback" not in interrupted(line, "dvc", "push")
    redirect(server, server.port)
    assert diagnose(capsys, "--remote")
    dvc("push")
    assert stored() >= objects(large_repo / ".dvc" / "cache").keys()
    assert diagnose(capsys, "--remote") == []


def test_a_pull_whose_connection_was_cut_is_completed_by_a_second_one(
    large_repo, tmp_path, monkeypatch, capsys
):
    add_remote(large_repo, str(tmp_path / "store"))
    dvc("push")
    with servers.read_only_http(tmp_path / "store") as server:
        monkeypatch.chdir(clone(large_repo, tmp_path / "clone"))
        line = servers.Line(server.port, 2_000_000, cut=True)
        redirect(server, line.port)
        interrupted(line, "dvc", "pull")
        assert not Path("data/external/large.bin").exists()
        redirect(server, server.port)
        dvc("pull")
    assert Path("data/external/large.bin").stat().st_size == 4_000_000
    assert not [text for text in diagnose(capsys) if "unfinished" not in text]
    dvc("status")
    assert capsys.readouterr().out == UP_TO_DATE


def test_a_server_that_is_gone_is_one_line(small_repo, capsys):
    add_remote(small_repo, f"http://127.0.0.1:{servers.free_port()}/store")
    assert diagnose(capsys, "--remote") == [NOTHING]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param(
            "s3://bucket/store",
            "Unable to locate credentials",
            marks=pytest.mark.skipif(find_spec("dvc_s3") is None, reason="needs the extra s3"),
        ),
        ("ssh://127.0.0.1:{port}/store", f"[Errno {errno.ECONNREFUSED}] Connect call failed"),
        pytest.param(
            "gs://bucket/store",
            "gs is supported, but requires 'dvc-gs' to be installed: No module named 'dvc_gs'",
            marks=pytest.mark.skipif(find_spec("dvc_gs") is not None, reason="it is installed"),
        ),
    ],
    ids=["no credentials", "no server", "no package"],
)
def test_a_remote_that_cannot_be_read_is_one_line_of_every_command(
    small_repo, monkeypatch, url, reason
):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        (small_repo.parent / name).touch()
        monkeypatch.setenv(name, str(small_repo.parent / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    port = servers.free_port()
    add_remote(small_repo, url.format(port=port))
    shutil.rmtree(Path(".dvc", "cache", "files"))
    for command in (["doctor", "--remote"], ["predict", "good", "--rev", "HEAD"]):
        error = str(stars(*command))
        assert error.startswith(f"error: the remote 'store' does not answer: {reason}")
        assert error.endswith("; run `dvc status --cloud --remote store`")
        assert "\n" not in error


@pytest.mark.parametrize("fault", [503, 403, "cut"])
def test_a_server_that_has_the_files_and_does_not_give_them_is_one_line(
    small_repo, tmp_path, monkeypatch, fault
):
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    with servers.read_only_http(tmp_path / "store", fault) as server:
        redirect(server, server.port)
        shutil.rmtree(Path(".dvc", "cache", "files"))
        error = str(stars("predict", "good", "--rev", "HEAD"))
        assert "has no models/finetuned in DVC's cache or remote, or the remote does not" in error


def test_a_remote_is_read_beside_another_process_of_dvc(small_repo, tmp_path, capsys):
    with servers.ssh(tmp_path / "ssh") as server:
        connect(small_repo, server)
        dvc("push")
        shutil.rmtree(Path(".dvc", "cache", "files"))
        with Repo().lock:
            error = str(stars("predict", "good", "--rev", "HEAD"))
    assert "does not answer" not in error
    assert MODEL.read_bytes() in [path.read_bytes() for path in objects(Path(".dvc")).values()]


def set_aside(repo: Path, setting: str, *options: str) -> str:
    """Run an experiment `theirs`, and push its files; returns the hash of its model."""
    dvc("exp", "run", "-n", "theirs", "-S", setting, *options)
    dvc("push")
    outs = read_yaml(repo / "dvc.lock")["stages"]["fit"]["outs"]
    run("git", "checkout", "-q", ".", cwd=repo)
    dvc("checkout")
    return next(out["md5"] for out in outs if out["path"] == "models/finetuned")


def test_the_commands_of_the_guide_work(small_repo, tmp_path, monkeypatch, capsys):
    guide = (ROOT / "docs" / "remotes.md").read_text("utf-8")
    guide = guide.replace("/mnt/team", str(tmp_path / "team"))
    blocks = re.findall(r"^```sh\n(.*?)```", guide, re.M | re.S)
    set_up, in_a_clone, verify, over_http, shared, free, doctor = map(str.splitlines, blocks)
    assert set_up.pop() == "git push"
    for command in [*set_up, *verify]:
        follow(f"; `{command}`")
    set_aside(small_repo, "fit.rate=0.7")
    with servers.read_only_http(tmp_path / "team" / "yelp-stars") as server:
        url = server.at(server.port)[0]
        monkeypatch.chdir(clone(small_repo, tmp_path / "consumer"))
        for command in over_http:
            follow(f"; `{command.replace('https://host/yelp-stars', url)}`")
        assert MODEL.read_bytes() == (small_repo / MODEL).read_bytes()
    monkeypatch.chdir(clone(small_repo, tmp_path / "clone"))
    for command in [*shared, *in_a_clone]:
        follow(f"; `{command}`")
    assert not objects(Path(".dvc", "cache"))
    *fetched, freed = free
    for rate in (0.7, 0.8):  # it is pushed again, with the same name
        monkeypatch.chdir(small_repo)
        model = set_aside(small_repo, f"fit.rate={rate}", "--force")
        monkeypatch.chdir(tmp_path / "clone")
        for command in fetched:
            run(*shlex.split(command), cwd=Path())
        dvc(*freed.split()[1:], "--force")  # keeps what an experiment of the other clone names
        kept = objects(tmp_path / "team" / "yelp-stars").keys()
        assert model in kept
    assert kept < objects(small_repo / ".dvc").keys()  # that of before has no name any more
    assert doctor[:2] == ["stars doctor", "stars doctor --remote"]
    (line,) = diagnose(capsys, "--remote")
    assert line.startswith("note: the cache ")


def test_an_experiment_from_before_the_remote_is_pushed_as_the_guide_says(small_repo, tmp_path):
    run("git", "init", "-q", "--bare", str(tmp_path / "git"), cwd=small_repo)
    run("git", "remote", "add", "origin", str(tmp_path / "git"), cwd=small_repo)
    dvc("exp", "run", "-n", "before", "-S", "fit.rate=0.5")
    run("git", "checkout", "dvc.lock", "params.yaml", cwd=small_repo)
    dvc("checkout")
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    dvc("exp", "push", "origin", "before")  # exit code 0, and no file
    assert objects(tmp_path / "store") == {}
    run("git", "checkout", ".dvc/config", cwd=small_repo)
    dvc("remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    dvc("exp", "remove", "--git-remote", "origin", "before")
    dvc("exp", "push", "origin", "before")
    assert len(objects(tmp_path / "store")) > 0


def test_a_commit_of_a_remote_passes_the_hook_that_calls_doctor(small_repo, tmp_path, capsys):
    hook = small_repo / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    run("git", "config", "core.hooksPath", str(hook.parent), cwd=small_repo)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m yelp_stars.cli doctor\n")
    hook.chmod(0o755)
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    (line,) = diagnose(capsys)
    follow(line)
    assert diagnose(capsys) == []
    dvc("remote", "add", "other", "/elsewhere")
    Path("README").write_text("unrelated")
    run("git", "add", "README", cwd=small_repo)
    assert "'other' is in .dvc/config" in run("git", "commit", "-m", "x", cwd=small_repo, ok=False)
