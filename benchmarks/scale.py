"""How long and how much memory do the data stages take on 650,000 and on 7,000,000 reviews?

`python -m benchmarks.scale` runs download, tokenize and sample on built-in reviews in a copy of
this project, measures what DVC adds, and writes benchmarks/SCALE.md. About half an hour.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from benchmarks.machine import described
from stars.params import read_yaml

ROOT = Path(__file__).parents[1]
STAGES = ("download", "tokenize", "sample")
# Yelp's rows at Yelp's lengths, and Amazon's rows, shortened: rows, test rows, median words.
SIZES = {"Yelp's size": (650_000, 50_000, 97), "Amazon's size": (7_000_000, 50_000, 12)}


class Cost(NamedTuple):
    """What one command took; `peak` is its peak resident memory, in bytes."""

    seconds: float
    peak: int


def cost(command: list[str], folder: Path) -> Cost:
    started = time.perf_counter()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "said.txt").read_text()[-2000:])
    return Cost(time.perf_counter() - started, usage.ru_maxrss * 1024)


def lay_out(folder: Path, rows: int, test_rows: int, words: int) -> None:
    """A copy of what git tracks, with its own DVC cache, and params of that size."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    params = read_yaml(ROOT / "presets" / "quickstart.yaml")
    params["download"].update(train_size=rows, test_size=test_rows, median_words=words)
    params["tokenize"]["max_length"] = 512
    params["sample"].update(train_size="all", validation_size=10_000, test_size="all")
    YAML().dump(params, folder / "params.yaml")


def commands() -> dict[str, list[str]]:
    """What dvc.yaml runs for each stage."""
    stages: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]
    return {
        name: [sys.executable, *stages[name]["cmd"].split()[1:]] for name in ("pretrained", *STAGES)
    }


def on_disk(folder: Path) -> int:
    """Bytes on disk, a file with several links counted once."""
    files = {file.stat().st_ino: file.stat().st_size for file in folder.rglob("*")}
    return sum(files.values())


def dvc_cost(folder: Path) -> list[str]:
    """What DVC takes to hash, link and compare the outs of the three stages, and its disk."""
    alone = on_disk(folder / "data") + on_disk(folder / "models")
    told = []
    for title, command in {
        "hash the outs and link them from the cache (`dvc commit`)": ["commit", "-f", *STAGES],
        "`dvc status`": ["status", *STAGES],
        "`dvc status`, once more": ["status", *STAGES],
        "`dvc checkout` of deleted outs": ["checkout", *STAGES],
    }.items():
        if command[0] == "checkout":
            shutil.rmtree(folder / "data")
        took = cost([sys.executable, "-m", "dvc", *command], folder)
        told.append(f"- {title}: {took.seconds:.1f} s, peak RSS {took.peak / 1e6:,.0f} MB")
    both = on_disk(folder)  # what is no out is small: code and plots
    told.append(
        f"- disk: the outs, checkpoint included, have {alone / 1e6:,.0f} MB, "
        f"outs and cache {both / 1e6:,.0f} MB"
    )
    return told


def main() -> None:
    lines = [
        "# The data stages at scale",
        "",
        f"Machine: {described('pyarrow', 'tokenizers', 'numpy', 'dvc')}.",
        "",
        "Command: `python -m benchmarks.scale`, one run. Built-in reviews; the packaged "
        "checkpoint's tokenizer, at most 512 tokens; sample: all rows, shuffled.",
        "",
        "| rows | median words | stage | seconds | peak RSS, MB | MB on disk |",
        "|---|---|---|---|---|---|",
    ]
    peaks: dict[str, dict[str, int]] = {}
    dvc: list[str] = []
    for title, (rows, test_rows, words) in SIZES.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            lay_out(folder, rows, test_rows, words)
            todo = commands()
            cost(todo.pop("pretrained"), folder)
            for name, command in todo.items():
                seconds, peak = cost(command, folder)
                out = {"download": "raw", "tokenize": "tokenized", "sample": "sample"}[name]
                size = on_disk(folder / "data" / out)
                peaks.setdefault(name, {})[title] = peak
                lines.append(
                    f"| {rows:,} + {test_rows:,} | {words} | {name} | {seconds:,.0f} "
                    f"| {peak / 1e6:,.0f} | {size / 1e6:,.0f} |"
                )
                print(lines[-1], flush=True)
            if title == "Yelp's size":
                dvc = dvc_cost(folder)
    lines += ["", "Peak memory of the second size, as a share of the first's:", ""]
    for name, peak_of in peaks.items():
        first, second = (peak_of[title] for title in SIZES)
        lines.append(f"- {name}: {second / first:.2f}")
    lines += ["", "What DVC adds at the first size:", ""]
    lines += dvc
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "SCALE.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
