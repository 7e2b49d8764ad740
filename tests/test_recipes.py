"""The recipes of CONTRIBUTING.md, applied to a copy of the project, leave nothing to guess."""

import re
import sys
from pathlib import Path

import pytest
from helpers import ROOT, copy_files, run

from benchmarks.workspace import commit
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

STAGE = '''\
"""Count the rows of the sample."""

from pathlib import Path
from typing import NamedTuple

from pydantic import PositiveInt

from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """How to count."""

    step: PositiveInt
    """Rows to count as one."""


class Inputs(NamedTuple):
    sampled: Path


class Outputs(NamedTuple):
    count: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "count")
    made.count.write_text(f"{len(list(given.sampled.iterdir())) // params.step}\\n")


if __name__ == "__main__":
    run(main)
'''
SOURCE = '''

class Pigeons(StageParams):
    """Pigeons that carry reviews."""

    source: Literal["pigeons"]
    """Where the reviews come from."""
    pigeons: PositiveInt
    """Pigeons, each with one review."""

    def open(self, sentences: Path, files: Path, keep: Keep) -> ReviewSource:
        """Read what each pigeon has brought."""
        rows = [(pigeon % 2, f"{pigeon} coos") for pigeon in range(self.pigeons)]
        return ReviewSource(["bad", "good"], False, iter(rows), iter(rows), no_counts(), {})
'''


def insert(path: Path, before: str, text: str) -> None:
    """Insert `text` before each occurrence of `before` in a file that has it."""
    content = path.read_text("utf-8")
    assert before in content, (path, before)
    path.write_text(content.replace(before, text + before), encoding="utf-8")


def add_stage(project: Path) -> None:
    (project / "stages" / "count.py").write_text(STAGE)
    recipe = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    block = re.search(r"```yaml\n   stages:\n(.*?)   ```", recipe, re.DOTALL)[1]
    entry = re.sub("^   ", "", block, flags=re.MULTILINE).replace("NAME", "count")
    entry = re.sub(r"desc: .*", "desc: Count the rows of the sample", entry)
    insert(project / "dvc.yaml", "\n  baseline:\n", "\n" + entry)
    insert(project / "dvc.yaml", "    - baseline\n    - train\n", "    - count\n")
    for params in (project / "params.yaml", *(project / "presets").glob("*.yaml")):
        insert(params, "baseline:\n", "count:\n  step: 1\n\n")
    for name in ("README.md", "README.zh-CN.md"):
        insert(project / name, "  baseline.py  ", "  count.py               count the rows\n")
        insert(project / name, " → baseline", " → count")
    guide = project / "docs" / "how-it-is-built.md"
    insert(guide, "baseline    Score", "count       Count the rows of the sample\n")
    insert(guide, "| `baseline` | `data", "| `count` | `data/sample/` | `data/count` |\n")


def add_source(project: Path) -> None:
    sources = project / "yelp_stars" / "data" / "sources.py"
    sources.write_text(sources.read_text("utf-8") + SOURCE, encoding="utf-8")
    stage = project / "stages" / "download.py"
    content = stage.read_text("utf-8").replace("sources.Hub", "sources.Hub | sources.Pigeons")
    stage.write_text(content, encoding="utf-8")


def add_preset(project: Path) -> None:
    params = read_yaml(project / "presets" / "quickstart.yaml")
    params["download"] = {"source": "pigeons", "pigeons": 9}
    preset = "# Reviews that pigeons bring\n" + dump_yaml(params)
    (project / "presets" / "pigeons.yaml").write_text(preset)
    row = "| `pigeons` | 9 reviews of pigeons | all-MiniLM-L6-v2 | CPU |\n"
    insert(project / "docs" / "experiments.md", "| `full` |", row)


def add_metric(project: Path) -> None:
    metrics = project / "yelp_stars" / "scoring" / "metrics.py"
    error = '        "error": 1 - np.trace(counts, axis1=-2, axis2=-1) / n,\n'
    insert(metrics, '        "macro_f1": ', error)
    titles = project / "yelp_stars" / "evaluation" / "titles.py"
    insert(titles, '    "macro_f1": ', '    "error": "error",\n')


def test_each_recipe_is_complete(tmp_path):
    project = tmp_path / "project"
    names = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    copy_files([name for name in names if (ROOT / name).is_file()], project)
    add_stage(project)
    add_source(project)
    add_preset(project)
    add_metric(project)
    commit(project)
    run(
        sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider",
        "-m", "not slow and not thorough",
        # The new scores are committed after the next run.
        "--deselect", "tests/test_docs.py::test_the_output_in_the_readme_is_that_of_stars_show",
        "tests/test_structure.py", "tests/test_docs.py",
        "tests/scoring/test_metrics.py",
        "tests/evaluation/test_estimates.py::test_every_score_that_is_committed_has_its_interval",
        cwd=project,
    )  # fmt: skip
    run("stars", "use", "pigeons", cwd=project, PYTHONPATH=str(project))
    command = (
        "data/synthetic/sentences.tsv", "data/external", "data/raw", "data/unlabelled.parquet",
        "metrics/data.json",
    )  # fmt: skip
    output = run(sys.executable, "-m", "stages.download", *command, cwd=project)
    assert "train: 9 reviews" in output
