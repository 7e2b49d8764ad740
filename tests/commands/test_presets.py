"""Presets are copied without losing changes; every parameter is explained."""

import os
import re
import shutil
from pathlib import Path

import pytest
from helpers import FILES, ROOT, edit, replace, run, stars

from benchmarks.workspace import commit
from yelp_stars.commands.parameters import describe
from yelp_stars.commands.presets import find_presets
from yelp_stars.commands.runs.pipeline_file import affected, inputs
from yelp_stars.pipeline.params import stage_models
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

ALL = "download, audit, pretrained, tokenize, sample, baseline, train, evaluate, report"
MODELS = stage_models()
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def quickstart_project(data_project, monkeypatch):
    """A project with the quickstart's parameters: the working folder."""
    monkeypatch.setenv("COLUMNS", "200")  # tables do not wrap
    shutil.copy(ROOT / "presets" / "quickstart.yaml", data_project / "params.yaml")
    return data_project


def test_without_a_name_the_presets_are_listed_with_their_first_line(quickstart_project, capsys):
    before = (quickstart_project / "params.yaml").read_bytes()
    assert list(find_presets()) == [path.stem for path in PRESETS]
    assert stars("use") == 0
    lines = capsys.readouterr().out.splitlines()
    for path in PRESETS:
        first = path.read_text("utf-8").splitlines()[0]
        assert first.startswith("# ")
        assert [line.split(maxsplit=1) for line in lines].count([path.stem, first[2:]]) == 1
    assert lines[-1] == "Run `stars use NAME` to copy one over params.yaml."
    assert (quickstart_project / "params.yaml").read_bytes() == before


def test_a_preset_that_cannot_be_used_changes_nothing(quickstart_project):
    """Nor does one that would replace changes that are not committed."""
    assert stars("use", "nootbook") == (
        "error: no preset 'nootbook'; the presets are base, cpu, full, notebook, own, quickstart"
    )
    edit(quickstart_project, "train", seed=-1)
    shutil.copy("params.yaml", "presets/mine.yaml")
    edit(quickstart_project, "train", seed=7)
    before = (quickstart_project / "params.yaml").read_bytes()
    assert stars("use", "mine").startswith("error: presets/mine.yaml: train.seed is -1: ")
    assert stars("use", "notebook") == (
        "error: params.yaml has changes that are not committed; commit them, or run "
        "`stars use notebook --force` to discard them"
    )
    assert (quickstart_project / "params.yaml").read_bytes() == before


@pytest.mark.slow
def test_changes_are_discarded_on_request_or_after_a_commit(quickstart_project):
    def use(name: str, *options: str) -> None:
        assert stars("use", name, *options) == 0
        expected = (ROOT / "presets" / f"{name}.yaml").read_bytes()
        assert (quickstart_project / "params.yaml").read_bytes() == expected

    commit(quickstart_project)
    (quickstart_project / "params.yaml").write_text("train: [")
    use("notebook", "--force")
    edit(quickstart_project, "train", seed=7)
    commit(quickstart_project, "another seed")
    use("notebook")
    (quickstart_project / "params.yaml").unlink()
    use("full")


def test_without_git_dvcs_reason_is_reported(quickstart_project):
    error = stars("use", "notebook")
    assert error.startswith("error: dvc status: ")
    assert " git " in error


@pytest.mark.slow
def test_using_a_preset_names_the_stages_that_will_run(repo, monkeypatch, capsys):
    monkeypatch.chdir(repo)
    finished = (repo / "params.yaml").read_text()
    # Without the environment of `dvc`, which need not be active.
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if not shutil.which("dvc", path=folder))
    output = run(shutil.which("stars"), "use", "notebook", cwd=repo, PATH=path)
    will_run = f"`dvc repro` will run: external, {ALL}\n"
    assert output == f"params.yaml is now presets/notebook.yaml\n{will_run}"
    notebook = (ROOT / "presets" / "notebook.yaml").read_text()
    assert (repo / "params.yaml").read_text() == notebook
    (repo / "presets" / "mine.yaml").write_text(finished)
    assert stars("use", "mine") == 0
    # Its results are still there.
    assert capsys.readouterr().out.endswith("`dvc repro` will run: nothing\n")
    edit(repo, "sample", train_size=50)
    (repo / "params.yaml").rename(repo / "presets" / "fewer.yaml")
    assert stars("use", "fewer") == 0
    will_run = "`dvc repro` will run: sample, baseline, train, evaluate, report\n"
    assert capsys.readouterr().out.endswith(will_run)


@pytest.mark.parametrize(
    ("changed", "rerun"),
    [
        ({"train"}, ["train", "evaluate"]),
        ({"sample"}, ["sample", "baseline", "train", "evaluate"]),
        ({"pretrained"}, ["pretrained", "tokenize", "sample", "baseline", "train", "evaluate"]),
        ({"evaluate", "tokenize"}, ["tokenize", "sample", "baseline", "train", "evaluate"]),
        (set(), []),
    ],
)
def test_a_change_affects_its_stage_and_those_after_it(changed, rerun, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert affected(changed) == ([*rerun, "report"] if rerun else [])


def test_stages_may_have_metrics_alone_or_no_deps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = {
        "seed": {"cmd": "x", "outs": ["a"]},
        "score": {"cmd": "x", "deps": ["a"], "metrics": [{"scores.json": {"cache": False}}]},
        "draw": {"cmd": "x", "deps": ["scores.json"], "plots": ["p.csv"]},
    }
    Path("dvc.yaml").write_text(dump_yaml({"stages": stages}))
    assert affected({"score"}) == ["score", "draw"]
    assert affected({"seed"}) == [*stages]
    assert inputs() == []


def rows(shown: str) -> list[tuple[bool, str, str]]:
    """(is marked, first column, other columns) of each row of the printed tables."""
    found = [re.fullmatch(r"(\*|) {2,3}(\w+) +(.*)", line) for line in shown.splitlines()]
    return [(bool(row[1]), row[2], row[3]) for row in found if row]


def marked(shown: str) -> list[str]:
    return [key for is_marked, key, _ in rows(shown) if is_marked]


def test_a_section_is_shown_with_value_allowed_and_meaning_of_every_field(
    quickstart_project, capsys
):
    assert stars("params", "train") == 0
    shown = capsys.readouterr().out
    _, *table = rows(shown)
    section = read_yaml(quickstart_project / "params.yaml")["train"]
    for (_, key, line), described in zip(table, describe(MODELS["train"], section), strict=True):
        name, _, meaning, allowed = described
        assert key == name
        assert meaning in line
        assert line.rstrip().endswith(f"({allowed})")
    lines = {key: line for _, key, line in table}
    assert lines["learning_rate"].startswith("0.0001 ")
    assert lines["tf32"].startswith("false ")
    assert lines["padding"].startswith("longest ")
    assert marked(shown) == []
    assert "no section 'trian'; the sections are download, " in stars("params", "trian")
    assert "* differs from presets/quickstart.yaml, the closest preset" in shown


def test_all_sections_are_shown_in_the_order_of_the_file(quickstart_project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert stars("params") == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    tree = read_yaml(quickstart_project / "params.yaml")
    expected = [key for section, values in tree.items() for key in (section, *values)]
    keys = [key for _, key, _ in rows(shown)]
    assert [key for key in keys if key in expected] == expected
    edit(quickstart_project, "train", seed=-1)
    assert stars("params").startswith("error: params.yaml: train.seed is -1: ")
    assert capsys.readouterr().out == ""


def test_a_change_is_marked_against_the_closest_preset(quickstart_project, capsys):
    shutil.copy("presets/notebook.yaml", "params.yaml")
    edit(quickstart_project, "train", seed=7)
    assert stars("params", "train") == 0
    shown = capsys.readouterr().out
    assert marked(shown) == ["seed"]
    assert "* differs from presets/notebook.yaml, the closest preset" in shown


def test_a_source_of_no_preset_is_shown_and_marked(quickstart_project, capsys):
    labels = {str(number): f"class {number}" for number in range(50)}
    source = {**FILES, "labels": labels}
    replace(quickstart_project, "download", source)
    assert stars("params", "download") == 0
    shown = capsys.readouterr().out
    left_out = [
        "noun", "ordered", "unlabelled", "encoding", "delimiter", "quoted", "longest_line_mb",
    ]  # fmt: skip
    assert [key for _, key, _ in rows(shown)] == ["download", *source, *left_out]
    assert not set(left_out) & set(marked(shown))
    assert {"source", "train_file", "text_column", "labels"} <= set(marked(shown))
    lines = {key: line for _, key, line in rows(shown)}
    assert lines["source"].startswith("files ")
    assert "(synthetic | files | hub)" in lines["source"]
    assert "(integer, > 0 | number, > 0, < 1 | null)" in lines["test_size"]
    assert "class 1" in shown
    assert "…" in shown  # a long value is cut
    assert "class 9" not in shown


def test_escapes_in_presets_and_parameters_are_shown_not_obeyed(quickstart_project, capsys):
    evil = "\x1b]0;title\x07\x1b\u202e"
    preset = Path("presets", f"m{evil}.yaml")
    preset.write_text(f"# {evil}\n")
    assert stars("use") == 0
    edit(quickstart_project, "evaluate", slices={"price": evil})
    shutil.copy("params.yaml", preset)
    assert stars("params") == 0
    shown = capsys.readouterr().out
    assert shown.count("\\x1b") >= 4
    assert all(line.isprintable() for line in shown.splitlines())
    message = stars("use", "no\x1b[31m")
    assert message.startswith("error: no preset 'no\\x1b[31m'; the presets are base")
    assert message.isprintable()


@pytest.mark.parametrize("columns", ["0", "20", "x", "40", "200"])
def test_parameters_have_their_names_and_values_at_any_width(data_project, columns):
    lines = run("stars", "params", "sample", cwd=data_project, COLUMNS=columns).splitlines()
    for name, value in read_yaml(data_project / "params.yaml")["sample"].items():
        plain = str(value).lower() if isinstance(value, bool) else str(value)
        assert [line for line in lines if re.search(rf"\b{name} +{re.escape(plain)}", line)]
