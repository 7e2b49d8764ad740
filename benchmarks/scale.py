"""Time and memory of the data stages on 650,000 and on 7,000,000 reviews.

`python -m benchmarks.scale` runs download, audit, tokenize and sample on synthetic reviews in a
copy of this project, measures what DVC adds, and writes benchmarks/SCALE.md.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.workspace import ROOT, commit, lay_out, measure, stage_command
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

TURNS = 7
STAGES = ("download", "audit", "tokenize", "sample")
OUTS = dict(zip(STAGES, ("raw", "audit.parquet", "tokenized", "sample")))
# Yelp's rows at Yelp's lengths, and Amazon's rows, shortened: rows, test rows, median words.
SIZES = {"Yelp's size": (650_000, 50_000, 97), "Amazon's size": (7_000_000, 50_000, 12)}


def params(rows: int, test_rows: int, words: int) -> dict[str, Any]:
    changed: dict[str, Any] = read_yaml(ROOT / "presets" / "quickstart.yaml")
    changed["download"].update(train_size=rows, test_size=test_rows, median_words=words)
    changed["tokenize"]["max_length"] = 512
    changed["sample"].update(train_size="all", validation_size=10_000, test_size="all")
    return changed


def on_disk(folder: Path) -> int:
    """Bytes on disk, a file with several links counted once."""
    files = {file.stat().st_ino: file.stat().st_size for file in [folder, *folder.rglob("*")]}
    return sum(files.values())


def dvc_cost(folder: Path) -> list[str]:
    """What DVC takes to hash, link and compare the outs of these stages, and its disk."""
    alone = on_disk(folder / "data") + on_disk(folder / "models")
    lines = []
    for title, command in {
        "hash the outs and link them from the cache (`dvc commit`)": ["commit", "-f", *STAGES],
        "`dvc status`": ["status", *STAGES],
        "`dvc status`, once more": ["status", *STAGES],
        "`dvc checkout` of deleted outs": ["checkout", *STAGES],
    }.items():
        if command[0] == "checkout":
            subprocess.run(["rm", "-rf", *OUTS.values()], cwd=folder / "data", check=True)
        took = measure([sys.executable, "-m", "dvc", *command], folder)
        lines.append(f"- {title}: {took.seconds:.1f} s, peak RSS {took.peak / 1e6:,.0f} MB")
    both = on_disk(folder)  # the rest is small: code and plots
    lines.append(
        f"- disk: the outs, checkpoint included, have {alone / 1e6:,.0f} MB, "
        f"outs and cache {both / 1e6:,.0f} MB"
    )
    return lines


def nothing_to_do(folder: Path) -> str:
    """Run the rest on a few rows, and compare `dvc repro` with `dvc status` when all has run."""
    changed = read_yaml(folder / "params.yaml")
    changed["sample"].update(train_size=256, validation_size=256, test_size=256)
    changed["train"]["num_train_epochs"] = 1
    (folder / "params.yaml").write_text(dump_yaml(changed), encoding="utf-8")
    dvc = [sys.executable, "-m", "dvc"]
    measure([*dvc, "repro"], folder)
    commit(folder, "run")
    seconds: dict[str, list[float]] = {"status": [], "repro": []}
    for _ in range(TURNS + 1):
        for command, took in seconds.items():
            took.append(measure([*dvc, command], folder).seconds)
    ratios = [repro / status for status, repro in zip(*seconds.values())][1:]  # one to warm up
    status, repro = (statistics.median(took[1:]) for took in seconds.values())
    return (
        f"- nothing to do, all ten stages: `dvc repro` {repro:.2f} s, `dvc status` {status:.2f} s, "
        f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f}, {TURNS} turns)"
    )


def main() -> None:
    lines = [
        "# The data stages at scale",
        "",
        f"Machine: {describe_machine('pyarrow', 'tokenizers', 'numpy', 'dvc')}.",
        "",
        "Command: `python -m benchmarks.scale`, one run. Synthetic reviews; the packaged "
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
            lay_out(folder, params(rows, test_rows, words))
            commit(folder)
            for name in ("external", "pretrained"):
                measure(stage_command(name), folder)
            for name in STAGES:
                seconds, peak = measure(stage_command(name), folder)
                size = on_disk(folder / "data" / OUTS[name])
                peaks.setdefault(name, {})[title] = peak
                lines.append(
                    f"| {rows:,} + {test_rows:,} | {words} | {name} | {seconds:,.0f} "
                    f"| {peak / 1e6:,.0f} | {size / 1e6:,.0f} |"
                )
                print(lines[-1], flush=True)
            if title == "Yelp's size":
                dvc = [*dvc_cost(folder), nothing_to_do(folder)]
                print("\n".join(dvc), flush=True)
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
