"""A copy of this project in another folder, to run its stages with other parameters."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from stars.params import read_yaml

ROOT = Path(__file__).parents[1]


class Cost(NamedTuple):
    """What one command took; `peak` is its peak resident memory, in bytes."""

    seconds: float
    peak: int


def lay_out(folder: Path, params: dict[str, Any]) -> None:
    """Copy what git tracks, less the state of its runs, and write params.yaml."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "dvc.yaml"], cwd=folder, check=True)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", *identity, "commit", "-qm", "start"], cwd=folder, check=True)
    YAML().dump(params, folder / "params.yaml")


def stage(name: str) -> list[str]:
    """What dvc.yaml runs for a stage, on one process."""
    command: str = read_yaml(ROOT / "dvc.yaml")["stages"][name]["cmd"]
    words = command.split()
    return [sys.executable, *words[words.index("-m") :]]


def cost(command: list[str], folder: Path) -> Cost:
    """Run a command in `folder`; what it says is shown only if it fails."""
    started = time.perf_counter()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "said.txt").read_text()[-2000:])
    return Cost(time.perf_counter() - started, usage.ru_maxrss * 1024)
