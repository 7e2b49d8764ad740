"""A git and DVC repository of two quick stages, and what `stars doctor` says of it."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from dvc import cli
from helpers import ROOT, run, stars

from benchmarks.workspace import commit, config_without_remotes
from yelp_stars.pipeline.yaml_file import dump_yaml

MODEL = Path("models/finetuned/model.safetensors")
STAGES = {
    "prepare": {
        "cmd": "mkdir -p data/raw && tr a-z A-Z < data/external/own.csv > data/raw/rows.csv && "
        "cp params.yaml data/raw",
        "deps": ["data/external/own.csv"],
        "params": ["prepare"],
        "outs": ["data/raw"],
    },
    "fit": {
        "cmd": "mkdir -p models/finetuned && cp dvc.yaml models/finetuned/config.json && "
        "cat data/raw/* > models/finetuned/model.safetensors && wc -l data/raw/* > data/count.txt",
        "deps": ["data/raw"],
        "params": ["fit"],
        "outs": ["models/finetuned", "data/count.txt"],
    },
}


def make_small(folder: Path) -> None:
    """A repository in which both stages have run, with a file of the user's that DVC tracks."""
    for name in ("stages", "data/external", "models", ".dvc"):
        (folder / name).mkdir(parents=True)
    (folder / "stages" / "__init__.py").touch()
    (folder / ".dvc" / "config").write_text(config_without_remotes())
    for name in (".dvc/.gitignore", ".gitattributes"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "params.yaml").write_text(dump_yaml({"prepare": {"n": 1}, "fit": {"rate": 0.1}}))
    (folder / "dvc.yaml").write_text(dump_yaml({"stages": STAGES}))
    commit(folder)
    (folder / "data" / "external" / "own.csv").write_text("label,text\n1,good\n0,bad\n")
    dvc("--cd", str(folder), "add", "data/external/own.csv")
    dvc("--cd", str(folder), "repro")
    commit(folder, "first run")


def clone(repo: Path, target: Path) -> Path:
    run("git", "clone", "-q", str(repo), str(target), cwd=repo)
    return target


def add_remote(repo: Path, url: str, *settings: tuple[str, str]) -> None:
    """Add a default remote `store`, and commit it."""
    dvc("--cd", str(repo), "remote", "add", "-d", "store", url)
    for name, value in settings:
        dvc("--cd", str(repo), "remote", "modify", "store", name, value)
    commit(repo, "a remote")


def objects(folder: Path) -> dict[str, Path]:
    """Every object below a cache or a remote, by its hash; temporary files are not objects."""
    files = [path for path in folder.rglob("files/md5/??/*") if path.is_file()]
    return {
        path.parent.name + path.name: path
        for path in files
        if re.fullmatch(r"[0-9a-f]{30}(\.dir)?", path.name)
    }


def overwrite(path: Path, content: bytes) -> None:
    """Damage a read-only file of DVC's in its place, as a failing disk does."""
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def diagnose(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines of `stars doctor` in the working folder; its exit code says if there is one."""
    capsys.readouterr()
    code = stars("doctor", *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert code == int("no problems found" not in lines), (code, lines)
    assert all(len(line) <= 500 for line in lines)
    return [line for line in lines if line != "no problems found"]


def dvc(*arguments: str, ok: bool = True) -> None:
    """Run a command of DVC in this process and the working folder, which is ten times as fast."""
    with contextlib.chdir("."):  # `--cd` would stay
        assert (cli.main([*arguments]) == 0) == ok, arguments


def follow(line: str) -> None:
    """Run the commands that a line ends with, in the working folder."""
    commands = re.findall(r"`([^`]+)`", line.rpartition("; ")[2])
    assert commands, line
    for command in commands:
        if command.startswith("dvc "):
            dvc(*shlex.split(command)[1:])
        else:
            run("bash", "-c", command, cwd=Path.cwd())
