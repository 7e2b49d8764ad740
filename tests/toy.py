"""A git and DVC project whose only stage takes a second, to run many experiments in tests.

Its accuracy is a known function of the learning rate, of the training rows and of the seed.
"""

from pathlib import Path

from helpers import ROOT, run

from benchmarks.workspace import commit, config_without_remotes
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

PIPELINE = {
    "stages": {
        "train": {
            "cmd": "python toy.py",
            "deps": ["toy.py"],
            "params": ["train", "sample"],
            "outs": ["data/predictions/test.parquet"],
            "metrics": [{"metrics/validation.json": {"cache": False}}],
        }
    }
}
BEST = 3e-5  # the learning rate of the highest accuracy
SCRIPT = f"""
import json, math, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
rate, seed = float(params["train"]["learning_rate"]), params["train"]["seed"]
rows = params["sample"]["train_size"]
if rate > 0.5:
    sys.exit("error: the loss is not finite")
chance = 0.9 - 0.2 * math.log10(rate / {BEST}) ** 2 - 4 * rows**-0.6
rng = np.random.default_rng([seed, rows, round(1e7 * rate)])
chance = min(0.99, max(0.01, chance + 0.005 * rng.normal()))
right = np.random.default_rng(1).random(400) + 0.1 * rng.random(400) < chance + 0.05
Path("metrics").mkdir(exist_ok=True)
found = {{"accuracy": round(chance, 4), "n": 500}}
Path("metrics/validation.json").write_text(json.dumps(found))
logits = np.where(right[:, None], [0.0, 1.0], [1.0, 0.0]).astype(np.float32)
table = pa.table({{
    "row": np.arange(400),
    "text_hash": [f"{{row:016x}}" for row in range(400)],
    "label": ["good"] * 400,
    "predicted": np.where(right, "good", "bad"),
    "probability": np.full(400, 0.7, np.float32),
    "logit_bad": logits[:, 0],
    "logit_good": logits[:, 1],
}})
metadata = {{"yelp_stars": json.dumps({{"label_names": ["bad", "good"], "ordered": True}})}}
Path("data/predictions").mkdir(parents=True, exist_ok=True)
pq.write_table(table.replace_schema_metadata(metadata), "data/predictions/test.parquet")
"""


def lay_out(folder: Path) -> None:
    """Make the project in a new folder and commit it; nothing has run yet."""
    (folder / "stages").mkdir(parents=True)
    (folder / "stages" / "README").touch()  # `stars` looks for the folder
    (folder / "toy.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "dvc.yaml").write_text(dump_yaml(PIPELINE), encoding="utf-8")
    params = read_yaml(ROOT / "presets" / "quickstart.yaml")
    (folder / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    (folder / ".dvc" / "config").write_text(config_without_remotes())
    (folder / ".gitignore").write_text("/data/predictions\n")
    (folder / "models").mkdir()
    (folder / "models" / ".gitignore").write_text("/checkpoints\n")
    commit(folder)
