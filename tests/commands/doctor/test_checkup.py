"""`stars doctor`: each problem is one line, and the command in it fixes the problem."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc_data.hashfile.hash import file_md5
from helpers import run, stars
from small import MODEL, add_remote, clone, diagnose, dvc, follow, objects, overwrite

from benchmarks.workspace import commit


@pytest.fixture
def store(small_repo: Path) -> Path:
    """The folder of a remote, to which all was pushed."""
    folder = small_repo.parent / "store"
    add_remote(small_repo, str(folder))
    dvc("push")
    return folder


def fixed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The problems, until following the advice leaves none."""
    first = diagnose(capsys, *arguments)
    assert first
    for _ in range(5):
        lines = diagnose(capsys, *arguments)
        if not lines:
            return first
        follow(lines[0])
    raise AssertionError(lines)


@pytest.mark.slow
def test_the_finished_pipeline_has_no_problem_but_a_checkpoint_that_nothing_tracks(
    repo, monkeypatch, capsys
):
    monkeypatch.chdir(repo)
    lines = diagnose(capsys)
    assert len(lines) == 1
    assert lines[0].startswith("neither git nor DVC tracks 'models/external/tiny'")
    assert lines[0].endswith("run `dvc add models/external/tiny`")


def test_a_repository_in_which_nothing_has_run_says_so(small_repo, capsys):
    Path("dvc.lock").unlink()
    assert diagnose(capsys) == ["no 'dvc.lock': nothing has run; run `dvc repro`"]
    follow("; run `dvc repro`")
    assert diagnose(capsys) == []


@pytest.mark.parametrize(
    "damaged",
    # DVC was killed while it wrote the file.
    [lambda lock: f"<<<<<<< HEAD\n{lock}", lambda lock: lock[: lock.index("md5: ") + 8]],
    ids=["conflict", "partial"],
)
def test_a_damaged_lock_is_fixed(small_repo, capsys, damaged):
    before = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(damaged(before))
    (line,) = fixed(capsys)
    assert line.startswith("dvc.lock is not ")
    assert Path("dvc.lock").read_text() == before


def test_code_that_is_not_python_is_fixed(small_repo, capsys):
    pipeline = Path("dvc.yaml").read_text()
    Path("stages/fit.py").touch()
    Path("dvc.yaml").write_text(pipeline.replace("- data/raw\n    p", "- stages/fit.py\n    p"))
    dvc("repro")
    commit(small_repo, "a script")
    Path("stages/fit.py").write_text("<<<<<<< HEAD\n")
    (line,) = fixed(capsys)
    assert line.startswith("'stages/fit.py' is not valid Python: invalid syntax (fit.py, line 1)")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    deps:\n    - data/raw\n", "    deps:\n"),
        ("fit:\n    cmd", "fit:\n  other:\n    cmd"),
        ("stages:", "stages: [\n"),
        ("stages:", "<<<<<<< HEAD\nstages:"),
    ],
    ids=["no deps", "an empty stage", "not YAML", "conflict"],
)
def test_a_pipeline_that_dvc_refuses_is_one_line(small_repo, old, new):
    Path("stages/fit.py").touch()
    pipeline = Path("dvc.yaml").read_text()
    assert old in pipeline
    Path("dvc.yaml").write_text(pipeline.replace(old, new))
    message = str(stars("doctor"))
    assert message.startswith("error: ")
    assert "dvc.yaml" in message
    assert "\n" not in message


def test_dvcs_other_forms_of_parameters_and_commands_are_no_problem(small_repo, capsys):
    """Single parameters, and commands with a parameter in them."""
    pipeline = Path("dvc.yaml").read_text()
    changed = pipeline.replace("    - fit\n", "    - fit.rate\n").replace(
        "wc -l", "echo ${fit.rate}; wc -l"
    )
    assert changed.count("fit.rate") == 2
    Path("dvc.yaml").write_text(changed)
    dvc("repro")
    assert diagnose(capsys) == []
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("0.1", "0.2"))
    assert "params.yaml differs from dvc.lock in 'fit.rate'; run `dvc repro`" in diagnose(capsys)


def test_a_lock_that_was_merged_by_hand_is_fixed(small_repo, capsys):
    """The outs of one branch with the deps of another."""
    lock = Path("dvc.lock").read_text()
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("n: 1", "n: 2"))
    dvc("repro")
    theirs = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(theirs[: theirs.index("  fit:")] + lock[lock.index("  fit:") :])
    (line,) = fixed(capsys)
    assert line.startswith("dvc.lock has more than one hash of 'data/raw'")


def stored(name: str) -> Path:
    """The object of DVC's cache for a file, or the list of a folder's files."""
    out = next(out for out in Repo().index.outs if str(out) == name or name.startswith(f"{out}/"))
    md5 = out.hash_info.value if str(out) == name else file_md5(name)
    return Path(Repo().cache.local.oid_to_path(md5))


@pytest.mark.parametrize("name", [str(MODEL), "models/finetuned", "data/external/own.csv"])
def test_what_the_cache_lacks_and_the_workspace_has_is_stored_again(small_repo, capsys, name):
    path = stored(name)
    path.unlink()
    (line,) = diagnose(capsys)
    out = "data/external/own.csv" if name.endswith("csv") else "models/finetuned"
    assert line.startswith(f"DVC's cache lacks '{name}")
    assert line.endswith(f"; run `dvc commit {out}`")
    follow(line)
    assert path.is_file()
    assert diagnose(capsys) == []


def test_what_cache_and_workspace_lack_is_fetched_and_no_edit_is_lost(store, capsys):
    yours = Path("data/external/own.csv")
    lost, model = stored(str(yours)), stored(str(MODEL))
    for path in (lost, model):
        path.unlink()
    yours.unlink()
    yours.write_bytes(b"label,text\n0,edited\n")
    MODEL.unlink()
    lines = diagnose(capsys)
    assert {line.rpartition("; ")[2] for line in lines} == {
        "run `dvc fetch data/external/own.csv`",
        "run `dvc fetch models/finetuned`",
    }
    for line in lines:
        follow(line)
    assert lost.is_file()
    assert model.is_file()
    assert diagnose(capsys) == []
    assert yours.read_bytes() == b"label,text\n0,edited\n"


def test_what_nothing_has_is_made_again_by_its_stage_or_by_its_user(small_repo, capsys):
    content = MODEL.read_bytes()
    stored("data/external/own.csv").unlink()
    Path("data/external/own.csv").unlink()
    stored(str(MODEL)).unlink()
    MODEL.unlink()
    yours, model = sorted(diagnose(capsys))
    assert yours.endswith("; restore it, then run `dvc add data/external/own.csv`")
    Path("data/external/own.csv").write_text("label,text\n1,good\n0,bad\n")
    follow(yours)
    assert model.endswith("; run `dvc repro`")
    follow(model)
    assert diagnose(capsys) == []
    assert MODEL.read_bytes() == content


@pytest.mark.parametrize(("name", "remote"), [(str(MODEL), True), ("data/raw", False)])
def test_what_is_damaged_in_the_cache_is_replaced(small_repo, tmp_path, capsys, name, remote):
    if remote:
        add_remote(small_repo, str(tmp_path / "store"))
        dvc("push")
    dvc("checkout", "--relink")  # the out is the same file
    path, content = stored(name), MODEL.read_bytes()
    overwrite(path, b"[]")
    (line,) = [line for line in diagnose(capsys) if " is damaged in DVC's cache; run `rm" in line]
    follow(line)
    dvc("checkout")
    assert diagnose(capsys) == []
    assert MODEL.read_bytes() == content
    capsys.readouterr()
    dvc("status")
    assert capsys.readouterr().out == "Data and pipelines are up to date.\n"


def test_a_new_clone_without_the_outs_has_no_problem_but_a_note(
    small_repo, store, monkeypatch, capsys
):
    monkeypatch.chdir(clone(small_repo, store.with_name("clone")))
    (line,) = diagnose(capsys)
    assert line == (
        "note: DVC's cache has no outs of the last run, as in a new clone; run `dvc pull`"
    )
    follow(line)
    assert diagnose(capsys) == []


@pytest.mark.parametrize("name", [str(MODEL), "models/finetuned"])
def test_what_a_remote_lacks_is_pushed_again(store, capsys, name):
    path = objects(store)[stored(name).parent.name + stored(name).name]
    path.unlink()
    assert diagnose(capsys) == []
    (line,) = diagnose(capsys, "--remote")
    assert line.startswith(f"the remote 'store' lacks '{name}")
    if name == str(MODEL):  # DVC trusts the list of the folder's files
        dvc("push")
        assert not path.exists()
        Path(line.split("; delete ")[1].split(", then")[0]).unlink()
    follow(line)
    assert path.is_file()
    assert diagnose(capsys, "--remote") == []


def test_what_a_remote_should_not_have_is_no_problem(small_repo, tmp_path, capsys):
    pointer = Path("data/external/own.csv.dvc")
    pointer.write_text(pointer.read_text() + "  push: false\n")
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    assert diagnose(capsys, "--remote") == []


def test_a_named_remote_is_checked_and_an_unknown_one_is_one_line(small_repo, tmp_path, capsys):
    assert stars("doctor", "store") == (
        "error: 'store' needs --remote; run `stars doctor --remote store`"
    )
    error = stars("doctor", "--remote")
    assert error == (
        "error: no default remote in DVC's settings; run `dvc remote list`, see docs/remotes.md"
    )
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    assert diagnose(capsys, "--remote", "store") == []
    error = stars("doctor", "--remote", "stroe")
    assert error.startswith("error: no remote 'stroe' in DVC's settings; run `dvc remote list`")


def test_doctor_changes_nothing(small_repo, store, capsys):
    garbage = next(iter(objects(store).values()))
    garbage.chmod(0o644)  # one that DVC would hash, and delete
    garbage.write_bytes(b"garbage")
    diagnose(capsys, "--remote")
    assert garbage.read_bytes() == b"garbage"
    assert run("git", "status", "--short", cwd=small_repo) == ""


def test_outside_of_dvc_it_is_one_line(data_project):
    (data_project / ".dvc").rename(data_project / "elsewhere")
    error = stars("doctor")
    assert error.startswith("error: DVC cannot check this project: you are not inside of a DVC")
    assert "\n" not in error
