"""A copy of this project in another folder, to run its stages with other parameters."""

import configparser
import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import peak_memory
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

ROOT = Path(__file__).parents[1]
# What the pipeline needs of the project.
FOLDERS = ("stages", "yelp_stars", "presets", "data/synthetic", ".dvc")
FILES = (
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    ".gitattributes",
    "data/.gitignore",
    "data/external/.gitignore",
    "data/predictions/.gitignore",
    "models/.gitignore",
    "models/external/.gitignore",
    "reports/.gitignore",
)


class Cost(NamedTuple):
    """What one command took; `peak` is its peak resident memory, in bytes."""

    seconds: float
    peak: int


def lay_out(folder: Path, params: dict[str, Any]) -> None:
    """Copy the project's own files, without the state of its runs, and write params.yaml."""
    ignore = shutil.ignore_patterns("__pycache__", "cache", "tmp", "*.local")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / ".dvc" / "config").write_text(config_without_remotes())
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")


def config_without_remotes(path: Path = ROOT / ".dvc" / "config") -> str:
    """DVC's settings of this project, but not where its team keeps data."""
    config = configparser.ConfigParser()
    config.read(path, encoding="utf-8")
    for section in config.sections():
        if "remote" in section:  # ['remote "store"']
            config.remove_section(section)
    config.remove_option("core", "remote")
    written = io.StringIO()
    config.write(written)
    return written.getvalue()


def commit(folder: Path, message: str = "start") -> None:
    """Commit everything in `folder`, and make it a git repository first if it is not one."""
    identity = ["-c", "user.name=yelp-stars", "-c", "user.email=yelp-stars@example.org"]
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", message], cwd=folder, check=True)


def stage_command(name: str) -> list[str]:
    """What dvc.yaml runs for a stage, on one process."""
    command: str = read_yaml(ROOT / "dvc.yaml")["stages"][name]["cmd"]
    words = command.split()
    return [sys.executable, *words[words.index("-m") :]]


def measure(command: list[str], folder: Path) -> Cost:
    """Run a command in `folder`; its output is shown only if it fails."""
    started = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "output.txt").read_text()[-2000:])
    return Cost(time.perf_counter() - started, peak_memory(usage))
