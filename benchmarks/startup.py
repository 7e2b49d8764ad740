"""What does a data stage cost before its first row? The whole command, on 100 reviews."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.workspace import ROOT, Cost, commit, lay_out, measure, stage_command
from yelp_stars.pipeline.yaml_file import read_yaml

ROWS = 100
RUNS = 5
STAGES = ("download", "audit", "tokenize", "sample")


def params() -> dict[str, Any]:
    changed: dict[str, Any] = read_yaml(ROOT / "presets" / "quickstart.yaml")
    changed["download"].update(train_size=ROWS, test_size=ROWS)
    changed["sample"].update(train_size="all", validation_size=20, test_size="all")
    return changed


def markdown() -> list[str]:
    """Run the benchmark and return lines of Markdown."""
    costs: dict[str, list[Cost]] = {name: [] for name in STAGES}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lay_out(folder, params())
        commit(folder)
        measure(stage_command("pretrained"), folder)
        for run in tqdm(range(RUNS + 1), "stages on 100 reviews", unit="run"):
            for name in STAGES:
                took = measure(stage_command(name), folder)
                if run:  # the first one warms up
                    costs[name].append(took)
    lines = [
        "",
        f"## Fixed cost: each data stage on {ROWS} + {ROWS} synthetic reviews",
        "",
        f"The whole command that dvc.yaml runs, {RUNS} runs after one to warm up.",
        "",
        "| | seconds | peak RSS, MB |",
        "|---|---|---|",
    ]
    for name, runs in costs.items():
        seconds = [run.seconds for run in runs]
        lines.append(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to "
            f"{max(seconds):.2f}) | {statistics.median(run.peak for run in runs) / 1e6:,.0f} |"
        )
    return lines
