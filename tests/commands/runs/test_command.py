"""`stars runs`: the runs that git knows in one table, whatever others have committed."""

import json
import shutil
import time
from pathlib import Path

import pytest
import runs
from helpers import dvc_in, run, stars, thorough

from benchmarks.workspace import commit
from yelp_stars.commands.runs import command
from yelp_stars.commands.runs.command import MAX_BYTES, PARAMS, TEST, VALIDATION
from yelp_stars.pipeline.yaml_file import dump_yaml

YEAR = time.strftime("%Y")


def write_run(accuracy, n=500, data="a", **train):
    """Write what `stars runs` reads of a run into the working folder."""
    Path("metrics").mkdir(exist_ok=True)
    for path, value in ((VALIDATION, accuracy), (TEST, 1 - accuracy)):
        ends = {"accuracy_low": value - 0.04, "accuracy_high": value + 0.04}
        Path(path).write_text(json.dumps({"accuracy": value, **ends, "n": n, "loss": 1.0}))
    Path("metrics/data.json").write_text(json.dumps({"source": data}))
    Path(PARAMS).write_text(dump_yaml({**runs.PARAMS, "train": runs.PARAMS["train"] | train}))


def commit_at(day, message):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", f"{YEAR}-01-{day:02} 10:00:00")
        commit(Path(), message)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs on `main`, one on a branch, an experiment, and one that is not committed."""
    repo = runs.new_repo(tmp_path_factory.mktemp("runs") / "repo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repo)
        write_run(0.60)
        commit_at(1, "The first run")
        run("git", "switch", "-qc", "other", cwd=repo)
        write_run(0.90, data="b", learning_rate=3e-5)
        commit_at(2, "Easier reviews")
        run("git", "switch", "-q", "main", cwd=repo)
        write_run(0.62, seed=2)
        commit_at(3, "Another seed")
        (repo / "words.txt").touch()
        commit_at(4, "Words")
        run("git", "tag", "-am", "version", "v1.0.0", cwd=repo)
        write_run(0.66, learning_rate=5e-5, seed=2)
        dvc_in(repo, "exp", "save", "--name", "slow")
        write_run(0.61, learning_rate=3e-4, seed=2)
    return repo


@pytest.fixture
def repo(made, tmp_path, monkeypatch):
    """A copy of it: the working folder."""
    shutil.copytree(made, tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def here(made, monkeypatch):
    """The repository itself, to read only: the working folder."""
    monkeypatch.chdir(made)
    return made


def shown(capsys, *options):
    assert stars("runs", *options) == 0
    return capsys.readouterr().out


def lines(printed):
    """The cells of each line of a table, by the spaces between its columns."""
    return [[cell for cell in line.split("  ") if cell] for line in printed.splitlines()]


def abbreviated(repo, revision):
    return run("git", "rev-parse", "--short", revision, cwd=repo).strip()


def test_all_runs_are_in_one_table_best_first_each_with_what_changed(here, capsys):
    table, others = shown(capsys).split("\n\n")
    first, second = (abbreviated(here, name) for name in ("HEAD~2", "HEAD~1"))
    header, *rows = ([cell.strip() for cell in line] for line in lines(table))
    assert header == ["run", "validation, 500 rows", "when", "changed"]
    assert [[name, score, changed] for name, score, _, changed in rows] == [
        ["slow", "0.660 [0.620, 0.700]", "learning_rate 5e-05"],
        [f"{second} main, v1.0.0", "0.620 [0.580, 0.660]", "seed 2"],
        ["workspace", "0.610 [0.570, 0.650]", "learning_rate 0.0003"],
        [first, "0.600 [0.560, 0.640]", "The first run"],
    ]
    assert [when for _, _, when, _ in rows[1::2]] == ["01-03 10:00", "01-01 10:00"]
    title, _, other = lines(others)
    assert title == ["Other reviews or rows: not comparable with those above"]
    assert other[0].startswith(f"{abbreviated(here, 'other')} other")


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("options", [[], ["--test"]])
def test_a_line_is_as_long_as_the_terminal_is_wide(repo, capsys, monkeypatch, columns, options):
    write_run(0.7, learning_rate="long" * 99)
    commit(repo, "A long message. " * 30)
    run("git", "tag", "a-long-name-" * 9, cwd=repo)
    monkeypatch.setenv("COLUMNS", str(columns))
    table = shown(capsys, *options).split("\n\n")[0].splitlines()
    assert len(table) == 5
    assert max(map(len, table)) == columns
    assert table[1].endswith("…")
    assert "0.700 [0." in table[1]


def test_test_accuracy_is_shown_only_if_it_is_asked_for(here, capsys):
    assert "0.340" not in shown(capsys)
    header, slow, *_ = lines(shown(capsys, "--test"))
    assert [cell.strip() for cell in header][1:3] == ["validation, 500 rows", "test, 500 rows"]
    assert slow[2].strip() == "0.340 [0.300, 0.380]"


@pytest.mark.parametrize("changed", [{"n": 400}, {"data": "c"}, {"validation_seed": 7}])
def test_runs_on_other_rows_are_not_ranked_with_the_last_ones(repo, capsys, changed):
    seed = changed.pop("validation_seed", None)
    write_run(0.63, **changed)
    if seed:
        Path(PARAMS).write_text(dump_yaml({**runs.PARAMS, "sample": {"validation_seed": seed}}))
    commit(repo, "Other rows")
    tables = shown(capsys).split("\n\n")
    assert sorted(len(table.splitlines()) - ("Other" in table) for table in tables) == [2, 2, 4]
    assert [table.count("[0.") for table in tables if "0.630" in table] == [1]


def test_other_training_or_test_rows_are_a_change_like_others(repo, capsys, monkeypatch):
    write_run(0.63)
    sample = {"train_size": 100, "test_seed": 43}
    Path(PARAMS).write_text(dump_yaml({**runs.PARAMS, "sample": sample}))
    commit(repo, "Other rows")
    monkeypatch.setenv("COLUMNS", "120")
    tables = shown(capsys).split("\n\n")
    (table,) = [table.splitlines() for table in tables if "slow" in table]
    (row,) = [line for line in table if "0.630" in line]
    assert row.endswith("seed 1, sample.test_seed 43")


SCORES = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "n": 50}


@pytest.mark.parametrize(
    "content",
    [
        "<<<<<<< HEAD\n{}", json.dumps({**SCORES, "n": 0}), json.dumps(SCORES) + " " * MAX_BYTES,
        json.dumps({**SCORES, "accuracy": float("nan")}),
        *thorough(
            "", "[]", "[" * 9000, "9" * 9000, json.dumps({**SCORES, "accuracy": "0.5"}),
            json.dumps({**SCORES, "accuracy_low": None}), json.dumps({**SCORES, "accuracy": 2}),
            json.dumps(SCORES).replace("50", "1e999"),
        ),
    ],
)  # fmt: skip
def test_damaged_scores_are_named_and_the_other_runs_are_shown(repo, capsys, content):
    Path(VALIDATION).write_text(content)
    *tables, note = shown(capsys).split("\n\n")
    assert note == "metrics/validation.json is damaged in 'workspace'\n"
    assert "workspace" not in "".join(tables)
    commit(repo, "damaged")
    Path(VALIDATION).write_text(json.dumps(SCORES))
    *tables, note = shown(capsys).split("\n\n")
    assert note == f"metrics/validation.json is damaged in '{abbreviated(repo, 'HEAD')} main'\n"
    assert "slow" in "".join(tables)


def test_a_folder_in_place_of_scores_is_no_run(repo, capsys):
    Path(VALIDATION).unlink()
    Path(VALIDATION).mkdir()
    Path(VALIDATION, "file").touch()
    commit(repo, "a folder")
    assert "slow" in shown(capsys)


BOMB = "".join(
    f"a{number}: &a{number} {{x: {before}, y: {before}}}\n"
    for number, before in enumerate(["{z: 1}", *(f"*a{number}" for number in range(60))])
)


ESCAPES = 'train: {"\\e[2J\\u202e": 1, seed: "\\e]0;x"}'


@pytest.mark.parametrize(
    "params",
    [
        "train: [", "train: 1", BOMB, ESCAPES,
        *thorough("- 1", "", "a: &a {b: *a}", "a" * MAX_BYTES + ": {}"),
    ],
)  # fmt: skip
def test_parameters_of_others_are_bounded_and_printed_safely(repo, capsys, params):
    Path(VALIDATION).write_text(json.dumps(SCORES))
    Path(PARAMS).write_text(params)
    commit(repo, "damaged")
    (row,) = [line for line in shown(capsys).splitlines() if "0.50 [0.40, 0.60]" in line]
    assert row.endswith("  seed '\\x1b]0;x'" if params == ESCAPES else "  damaged")


def test_names_and_messages_of_others_are_printed_safely(repo, capsys):
    write_run(0.63, seed=2)
    commit(repo, "\x1b[2J\u202e [red]x[/red]")
    head = run("git", "rev-parse", "HEAD", cwd=repo).strip()
    name = "a\u202e-b{red}\N{BELL}"
    run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head, cwd=repo)
    printed = shown(capsys)
    assert "\\x1b[2J\\u202e [red]x[/red]" in printed
    assert "a\\u202e-b{red}" in printed
    assert all(line.isprintable() for line in printed.splitlines())


def test_no_run_or_no_repository_is_one_line(tmp_path, monkeypatch):
    repo = runs.new_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    assert stars("runs") == "error: no run yet; run `make repro`"
    shutil.rmtree(repo / ".git")
    assert "not a git repository" in stars("runs")
    run("git", "init", "-q", cwd=repo)
    assert stars("runs").startswith("error: git has no commit here; run `git add")


def test_a_run_that_is_not_committed_is_shown_without_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(runs.new_repo(tmp_path / "repo"))
    write_run(0.6, seed=3)
    (row,) = lines(shown(capsys))[1:]
    assert (row[0], row[-1].strip()) == ("workspace", "seed 3")


def test_a_detached_head_is_named_and_an_older_run_has_no_name(repo, capsys):
    run("git", "reset", "-q", "--hard", cwd=repo)
    run("git", "switch", "-q", "--detach", "HEAD~2", cwd=repo)
    printed = shown(capsys)
    assert f"{abbreviated(repo, 'HEAD')} HEAD  " in printed
    assert f"{abbreviated(repo, 'main~1')} main, v1.0.0  " in printed


def test_the_newest_runs_are_shown_and_the_bound_is_said(repo, capsys, monkeypatch):
    monkeypatch.setattr(command, "MAX_RUNS", 2)
    printed = shown(capsys)
    assert printed.endswith("\nOnly the newest 2 commits and experiments are shown\n")
    assert "The first run" not in printed
    assert "slow" in printed


def test_a_project_in_a_folder_of_a_repository_has_its_own_runs(repo, capsys, monkeypatch):
    (repo / "a project").mkdir()
    for name in ("metrics", "stages", PARAMS, "dvc.yaml"):
        (repo / name).rename(repo / "a project" / name)
    monkeypatch.chdir("a project")
    write_run(0.64, seed=4)
    commit(repo, "a project")
    write_run(0.65, seed=5)
    _, *rows = lines(shown(capsys))
    assert [row[0].split()[0] for row in rows] == ["workspace", abbreviated(repo, "HEAD")]


def test_reading_changes_nothing(here, capsys):
    before = run("git", "status", "--porcelain", "--ignored", cwd=here)
    objects = run("git", "count-objects", "-v", cwd=here)
    shown(capsys)
    assert run("git", "status", "--porcelain", "--ignored", cwd=here) == before
    assert run("git", "count-objects", "-v", cwd=here) == objects
