"""The accuracy of the preset `cpu` on real reviews, for several numbers of rows.

`python -m benchmarks.quality` trains it on parts of the real sample beside this project, with the
stages of dvc.yaml, and adds a line to benchmarks/quality.jsonl for each.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.tokenization import SHARED
from benchmarks.workspace import ROOT, commit, lay_out, measure, stage_command
from yelp_stars.modeling import compute
from yelp_stars.pipeline.yaml_file import read_yaml

SAMPLE = SHARED / "yelp_review_full_sample.jsonl"
RUNS = [(1000, seed) for seed in (1, 2, 3)] + [(rows, 1) for rows in (250, 500, 1500)]


def params(rows: int, seed: int) -> dict[str, Any]:
    """The preset on the sample's rows: half of them to test on, or what is left."""
    changed: dict[str, Any] = read_yaml(ROOT / "presets" / "cpu.yaml")
    test_rows = min(1000, 2000 - rows)
    changed["download"] = {
        "source": "files",
        "train_file": SAMPLE.name,
        "test_file": None,
        "test_size": test_rows,
        "seed": 0,
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
    for rows, seed in RUNS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            lay_out(folder, params(rows, seed))
            commit(folder)
            shutil.copy(SAMPLE, folder / "data" / "external")
            stages = (
                "download", "audit", "pretrained", "tokenize", "sample", "baseline", "train",
                "evaluate",
            )  # fmt: skip
            seconds = {name: measure(stage_command(name), folder).seconds for name in stages}
            scores = json.loads((folder / "metrics" / "test.json").read_text("utf-8"))
        line = {
            "rows": rows,
            "seed": seed,
            "precision": compute.resolve("auto", "train.precision").precision,
            "minutes": sum(seconds.values()) / 60,
            "minutes_train": seconds["train"] / 60,
            **scores,
        }
        with (ROOT / "benchmarks" / "quality.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
