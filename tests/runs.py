"""Runs in a git and DVC repository, without a training: what `stars compare` reads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from helpers import run

from benchmarks.workspace import commit
from yelp_stars.data.flags import KINDS
from yelp_stars.data.sources import write_reviews
from yelp_stars.evaluation import predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.yaml_file import dump_yaml

NAMES = ("bad", "fair", "good")
PARAMS = {"train": {"learning_rate": 1e-4, "seed": 1}, "sample": {"test_seed": 42}}
CODE = {"stages/train.py": "0" * 32}


def text(row: int, seed: int = 0) -> str:
    """A review, longer for a larger number."""
    return f"review {seed} {row} " + "again " * (row % 40)


def predicted(gain: float, rows: int = 400, seed: int = 0, names=NAMES, noise=0) -> Predictions:
    """A model of 3 classes that knows more for a larger `gain`; `seed` draws the rows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    logits = np.random.default_rng([seed, noise]).normal(size=(rows, 3))
    logits[np.arange(rows), labels] += gain
    texts = [predictions.text_hash(text(row, seed)) for row in range(rows)]
    return Predictions(np.arange(rows), texts, labels, logits.astype(np.float32), list(names), True)


def new_repo(path: Path) -> Path:
    """A repository with a dvc.yaml and no run."""
    (path / "stages").mkdir(parents=True)
    (path / "stages" / "__init__.py").touch()
    (path / ".dvc").mkdir()
    (path / ".dvc" / "config").touch()
    (path / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    (path / ".gitignore").write_text("/data\n")
    (path / "dvc.yaml").write_text("stages: {}\n")
    (path / "params.yaml").write_text(dump_yaml(PARAMS))
    commit(path)
    return path


def add_run(
    repo: Path,
    tag: str,
    found: Predictions,
    *,
    texts: list[str] | None = None,
    flags: dict[str, list[bool]] | None = None,
    baseline: Predictions | None = None,
    code: dict[str, str] | None = None,
    **sections: dict[str, Any],
) -> str:
    """Commit a run as DVC does: its outs in the cache and the workspace, its lock file, a tag."""
    (repo / "data" / "predictions").mkdir(parents=True, exist_ok=True)
    files = ["data/predictions/test.parquet"]
    predictions.write(found, repo / files[0])
    if baseline is not None:
        files.append("data/predictions/baseline.parquet")
        predictions.write(baseline, repo / files[-1])
    if flags is not None:
        columns = {flag: flags.get(flag, [False] * len(found.rows)) for flag in KINDS}
        table = pa.table({"split": ["test"] * len(found.rows), "row": found.rows, **columns})
        files.append("data/audit.parquet")
        pq.write_table(table, repo / files[-1])
    outs = [{"path": name, "hash": "md5", "md5": store(repo, repo / name)} for name in files]
    if texts is not None:
        (repo / "data" / "raw").mkdir(exist_ok=True)
        path = repo / "data" / "raw" / "test.arrow"
        write_reviews(path, zip(found.labels.tolist(), texts, strict=True), found.names, True)
        entries = [{"md5": store(repo, path), "relpath": "test.arrow"}]
        folder = repo / ".dvc" / "folder"
        folder.write_text(json.dumps(entries))
        outs.append({"path": "data/raw", "hash": "md5", "md5": store(repo, folder, ".dir")})
        folder.unlink()
    params = {
        name: {**PARAMS.get(name, {}), **sections.get(name, {})} for name in PARAMS | sections
    }
    deps = [{"path": path, "hash": "md5", "md5": md5} for path, md5 in (code or CODE).items()]
    stage = {"cmd": "true", "deps": deps, "params": {"params.yaml": params}, "outs": outs}
    pipeline = {
        "cmd": "true",
        "deps": [dep["path"] for dep in deps],
        "params": [*params],
        "outs": [out["path"] for out in outs],
    }
    (repo / "dvc.yaml").write_text(dump_yaml({"stages": {"evaluate": pipeline}}))
    (repo / "dvc.lock").write_text(dump_yaml({"schema": "2.0", "stages": {"evaluate": stage}}))
    (repo / "params.yaml").write_text(dump_yaml(params))
    (repo / "message.txt").write_text(tag)
    commit(repo, tag)
    run("git", "tag", tag, cwd=repo)
    return run("git", "rev-parse", tag, cwd=repo).strip()


def store(repo: Path, path: Path, suffix: str = "") -> str:
    """Put a file into DVC's cache; returns its hash."""
    content = path.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    cached = repo / ".dvc" / "cache" / "files" / "md5" / md5[:2] / f"{md5[2:]}{suffix}"
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(content)
    return md5 + suffix
