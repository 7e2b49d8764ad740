"""The accuracy of a preset on real reviews.

`python -m benchmarks.quality --preset base --checkpoint FOLDER --set train.learning_rate=3e-5`
trains it on parts of the real sample beside this project, with the stages of dvc.yaml, and adds a
line to benchmarks/quality.jsonl for each seed. A seed draws the rows to test on, and trains.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.tokenization import SHARED
from benchmarks.workspace import ROOT, commit, lay_out, measure, stage_command
from yelp_stars.modeling import compute
from yelp_stars.pipeline.yaml_file import read_yaml

SAMPLE = SHARED / "yelp_review_full_sample.jsonl"
SENTENCES = ROOT / "data" / "synthetic" / "sentences.tsv"
STAGES = (
    "external", "download", "audit", "pretrained", "tokenize", "sample", "baseline", "train",
    "evaluate",
)  # fmt: skip


def params(preset: str, rows: int, seed: int) -> dict[str, Any]:
    """The preset on the sample's rows: half of them to test on, or what is left."""
    changed: dict[str, Any] = read_yaml(ROOT / "presets" / f"{preset}.yaml")
    changed["download"] = {
        "source": "files",
        "train_file": SAMPLE.name,
        "test_file": None,
        "test_size": min(1000, 2000 - rows),
        "seed": seed,
        "text_column": "text",
        "label_column": "label",
        "labels": {label: f"{label + 1} star{'s' * (label > 0)}" for label in range(5)},
        "unescape": True,
        "drop_empty": False,
    }
    # The rows are too few to set some aside: a few test rows draw the validation curve, and
    # nothing is chosen by them.
    changed["sample"].update(
        train_size=rows, validation_size=100, validation_from="test", test_size="all",
        allow_overlap=True,
    )  # fmt: skip
    changed["train"]["seed"] = seed
    return changed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--checkpoint", type=Path, help="a copy of the preset's checkpoint")
    parser.add_argument("--rows", default="1000")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE")
    options = parser.parse_args()
    for rows in map(int, options.rows.split(",")):
        for seed in map(int, options.seeds.split(",")):
            changed = params(options.preset, rows, seed)
            for change in options.set:
                name, _, value = change.partition("=")
                section, _, key = name.partition(".")
                changed[section][key] = yaml.safe_load(value)
            print(run_one(changed, options.preset, rows, seed, options.checkpoint, options.set))


def run_one(
    changed: dict[str, Any],
    preset: str,
    rows: int,
    seed: int,
    checkpoint: Path | None,
    changes: list[str],
) -> str:
    """Run the stages, and add a line."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if checkpoint is not None:
            changed["pretrained"] = {"source": "folder", "folder": checkpoint.name}
        lay_out(folder, changed)
        commit(folder)
        shutil.copy(SAMPLE, folder / "data" / "external")
        if checkpoint is not None:
            shutil.copytree(checkpoint, folder / "models" / "external" / checkpoint.name)
        seconds = {name: measure(stage_command(name), folder).seconds for name in STAGES}
        scores = json.loads((folder / "metrics" / "test.json").read_text("utf-8"))
    line = {
        "preset": preset,
        "set": changes,
        "sentences": len(SENTENCES.read_text("utf-8").splitlines()),
        "rows": rows,
        "seed": seed,
        "precision": compute.resolve("auto", "train.precision").precision,
        "minutes": sum(seconds.values()) / 60,
        "minutes_train": seconds["train"] / 60,
        **scores,
    }
    text = json.dumps(line)
    with (ROOT / "benchmarks" / "quality.jsonl").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    return text


if __name__ == "__main__":
    main()
