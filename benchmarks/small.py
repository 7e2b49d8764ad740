"""The preset `own` on small data sets, beside what people use for few rows.

`python -m benchmarks.small [--setfit PYTHON] [--rows 100,300] [--seeds 1]` trains each model on the
data sets beside this project, adds a line to benchmarks/small.jsonl for each, and writes
benchmarks/SMALL.md from all lines. PYTHON is that of an environment with setfit: it needs an older
transformers. Runs that have a line are skipped.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.tokenization import SHARED
from benchmarks.workspace import ROOT, commit, lay_out, measure, stage_command
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml
from yelp_stars.scoring.metrics import confusion_matrix, score_counts

SETS = ("banking10", "banking77", "emotion", "sms", "sst2")
TEST_ROWS = 600
LINES = ROOT / "benchmarks" / "small.jsonl"
STAGES = (
    "download", "audit", "pretrained", "tokenize", "sample", "baseline", "train", "evaluate",
)  # fmt: skip
NAMES = {
    "own": "preset `own`",
    "frozen": "frozen checkpoint + logistic regression",
    "setfit": "SetFit",
    "tfidf": "TF-IDF + logistic regression",
    "notebook": "plain Trainer, 3 epochs, 5e-5",
}


def read(name: str, rows: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Draw `rows` training rows, and take the first test rows: dictionaries of text and label."""
    parts = []
    for part in ("train", "test"):
        lines = (SHARED / "small" / f"{name}_{part}.jsonl").read_text("utf-8").splitlines()
        parts.append([json.loads(line) for line in lines])
    order = np.random.default_rng(seed).permutation(len(parts[0]))[:rows]
    return [parts[0][index] for index in order], parts[1][:TEST_ROWS]


# The notebook's recipe: what plain Trainer does with 3 epochs and 5e-5.
PLAIN = {
    "head": "random", "min_steps": 0, "freeze_embeddings": False, "head_learning_rate": 5e-5,
    "learning_rate": 5e-5, "warmup_steps": 0.0, "weight_decay": 0.0, "attention_dropout": 0.1,
    "train_sampling_strategy": "random",
}  # fmt: skip
# Trains as SetFit's paper does, on 20 pairs of each kind for each row, in at most 250 steps: its
# default, all pairs, takes hours on a CPU. Its matrix products are in bf16 where the CPU has it.
SETFIT = """
import json, sys
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
torch.set_float32_matmul_precision("medium")
checkpoint, train, test, seed = sys.argv[1:]
read = lambda path: [json.loads(line) for line in open(path)]
model = SetFitModel.from_pretrained(checkpoint)
rows = read(train)
args = TrainingArguments(
    batch_size=16, num_iterations=20, max_steps=min(250, 40 * len(rows) // 16), seed=int(seed),
    report_to="none", save_strategy="no",
)
Trainer(model=model, args=args, train_dataset=Dataset.from_list(rows)).train()
predicted = [str(label) for label in model.predict([row["text"] for row in read(test)])]
json.dump(predicted, open("predicted.json", "w"))
"""


def run_ours(
    train: list[Any], test: list[Any], names: list[str], seed: int
) -> dict[str, dict[str, float]]:
    """Run the stages of the preset, of which 15 % of the rows validate; then the peers on all."""
    params = read_yaml(ROOT / "presets" / "own.yaml")
    params["download"].update(
        train_file="train.jsonl", test_file="test.jsonl", test_size=None, delimiter=None,
        labels={name: name for name in names},
    )  # fmt: skip
    params["train"]["seed"] = params["sample"]["validation_seed"] = seed
    scores = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lay_out(folder, params)
        commit(folder)
        for name, rows in (("train", train), ("test", test)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "data" / "external" / f"{name}.jsonl").write_text(text)
        seconds = {name: measure(stage_command(name), folder).seconds for name in STAGES}
        scores["own"] = score(folder, "test", seconds["train"])
        params["sample"]["validation_size"] = 1  # of all rows, for the peers
        params["train"].update(PLAIN)
        (folder / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
        again = ("sample", "baseline", "train", "evaluate")
        seconds = {name: measure(stage_command(name), folder).seconds for name in again}
        scores["notebook"] = score(folder, "test", seconds["train"])
        for name in ("frozen", "tfidf"):
            scores[name] = score(folder, "baseline", seconds["baseline"], name)
    return scores


def score(folder: Path, file: str, seconds: float, name: str = "") -> dict[str, float]:
    """Read the scores of a file of metrics/."""
    scores = json.loads((folder / "metrics" / f"{file}.json").read_text("utf-8"))
    scores = scores[name] if name else scores
    return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"], "seconds": seconds}


def run_setfit(
    python: str, train: list[Any], test: list[Any], names: list[str], seed: int
) -> dict[str, float]:
    """Train SetFit in its own environment, on the same checkpoint."""
    pretrained = read_yaml(ROOT / "presets" / "own.yaml")["pretrained"]
    checkpoint = find_in_package(pretrained["package"], pretrained["sha256"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, rows in (("train", train), ("test", test)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [python, "-c", SETFIT, str(checkpoint), "train.jsonl", "test.jsonl", str(seed)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = used.ru_utime - before.ru_utime + used.ru_stime - before.ru_stime
        predicted = json.loads((folder / "predicted.json").read_text("utf-8"))
    labels = np.array([names.index(row["label"]) for row in test])
    guesses = np.array([names.index(name) for name in predicted])
    of_counts = score_counts(confusion_matrix(labels, guesses, len(names)), ordered=False)
    return {**{name: float(value) for name, value in of_counts.items()}, "seconds": seconds}


def markdown(lines: list[dict[str, Any]]) -> list[str]:
    """Write a table of mean accuracies, and the differences of the preset to each peer."""
    table: dict[tuple[int, str], dict[tuple[str, int], dict[str, Any]]] = defaultdict(dict)
    for line in lines:
        table[line["rows"], line["model"]][line["set"], line["seed"]] = line
    text = []
    for rows in sorted({line["rows"] for line in lines}):
        text += [
            f"## {rows:,} rows",
            "",
            f"| model | runs | {' | '.join(SETS)} | mean (macro-F1) | seconds | lead |",
            f"|---|---|{'---|' * len(SETS)}---|---|---|",
        ]
        own = table[rows, "own"]
        for model, name in NAMES.items():
            runs = table[rows, model]
            if not runs:
                continue
            cells = [
                mean([line["accuracy"] for (of, _), line in runs.items() if of == each])
                for each in SETS
            ]
            both = sorted(runs.keys() & own.keys())
            leads = np.array([own[key]["accuracy"] - runs[key]["accuracy"] for key in both])
            low, high = interval(leads)
            text.append(
                f"| {name} | {len(runs)} | {' | '.join(cells)} | "
                f"{mean([line['accuracy'] for line in runs.values()])} "
                f"({mean([line['macro_f1'] for line in runs.values()])}) | "
                f"{np.median([line['seconds'] for line in runs.values()]):.0f} | "
                + ("" if model == "own" else f"{leads.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
                + " |"
            )
        text.append("")
    return text


def mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else ""


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of paired differences."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (4000, len(differences))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    if not (SHARED / "small").is_dir():
        sys.exit("skipped: the data sets are not beside this project")
    parser = argparse.ArgumentParser()
    parser.add_argument("--setfit")
    parser.add_argument("--rows", default="100,300,1000")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--sets", default=",".join(SETS))
    options = parser.parse_args()
    LINES.touch()
    for seed in map(int, options.seeds.split(",")):
        for rows in map(int, options.rows.split(",")):
            for name in options.sets.split(","):
                run_one(name, rows, seed, options.setfit)
    lines = [json.loads(line) for line in LINES.read_text("utf-8").splitlines()]
    head = [
        "# Small data sets",
        "",
        f"Machine: {describe_machine('torch', 'transformers', 'scikit-learn')}.",
        "",
        "Command: `python -m benchmarks.small`. Accuracy on the first 600 test rows or fewer; the "
        "preset validates on 15 % of the rows, the others train on all; SetFit in 250 steps, with "
        "the matrix products of its first 12 runs in fp32. With 100 rows and the seeds 1 and 2, "
        "the preset made 144 steps; since then its `min_steps` is a minimum, and it made 162 with "
        "the seed 3. Seconds of training, median, most of them on one core beside another "
        "training; of SetFit, CPU seconds. Lead: mean difference of paired runs (same rows, same "
        "seed), 95 % bootstrap interval over runs.",
        "",
    ]
    (ROOT / "benchmarks" / "SMALL.md").write_text("\n".join(head + markdown(lines)), "utf-8")


def run_one(name: str, rows: int, seed: int, setfit: str | None) -> None:
    """Add the lines of the models that have none for these rows."""
    done = {
        line["model"]
        for line in map(json.loads, LINES.read_text("utf-8").splitlines())
        if (line["set"], line["rows"], line["seed"]) == (name, rows, seed)
    }
    train, test = read(name, rows, seed)
    names = sorted({row["label"] for row in [*read(name, 10**6, 0)[0], *test]})
    scores = {} if "own" in done else run_ours(train, test, names, seed)
    if setfit is not None and "setfit" not in done:
        scores["setfit"] = run_setfit(setfit, train, test, names, seed)
    with LINES.open("a", encoding="utf-8") as file:
        for model, values in scores.items():
            line = {"set": name, "rows": rows, "seed": seed, "model": model, **values}
            file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
