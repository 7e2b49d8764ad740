"""`stars doctor`: every fault is one line, and the command in it mends it."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from helpers import run, stars
from small import MODEL, add_remote, clone, diagnose, dvc, follow, objects, overwrite

from benchmarks.workspace import commit


def mended(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The problems, until following the advice leaves none."""
    first = diagnose(capsys, *arguments)
    assert first
    for _ in range(5):
        lines = diagnose(capsys, *arguments)
        if not lines:
            return first
        follow(lines[0])
    raise AssertionError(lines)


def test_a_finished_project_has_no_problem(small_repo, capsys):
    assert diagnose(capsys) == []


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
    ("damaged", "problem"),
    [
        ("<<<<<<< HEAD\n{}=======\n>>>>>>> theirs\n", "dvc.lock is not valid YAML: line "),
        ("", "dvc.lock is not one of DVC's; "),  # DVC was killed while it wrote the file
    ],
    ids=["conflict", "empty"],
)
def test_the_marks_of_a_conflict_in_the_lock_are_mended(small_repo, capsys, damaged, problem):
    before = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(damaged.format(before))
    (line,) = mended(capsys)
    assert line.startswith(problem)
    assert Path("dvc.lock").read_text() == before


@pytest.mark.parametrize("committed", [True, False])
def test_a_damaged_lock_that_no_commit_has_whole_is_mended(small_repo, capsys, committed):
    before = Path("dvc.lock").read_text()
    run("git", "rm", "-q", "--cached", "dvc.lock", cwd=small_repo)
    Path("dvc.lock").write_text(before[: before.index("md5: ") + 8])
    if committed:
        run("git", "add", "dvc.lock", cwd=small_repo)
    run("git", "commit", "-qm", "damaged", cwd=small_repo)
    (line,) = mended(capsys)
    assert line == "dvc.lock is not one of DVC's; run `rm dvc.lock`, then `dvc repro`"
    assert Path("dvc.lock").read_text() == before


def test_a_parameter_that_no_run_has_seen_is_mended(small_repo, capsys):
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("0.1", "0.2"))
    (line,) = mended(capsys)
    assert line == "params.yaml differs from dvc.lock in 'fit.rate'; run `dvc repro`"


def test_an_import_that_is_not_declared_is_mended(small_repo, capsys):
    Path("stages/fit.py").write_text("import yelp_stars.helper\n")
    Path("yelp_stars").mkdir()
    Path("yelp_stars/helper.py").touch()
    (line,) = diagnose(capsys)
    assert line.startswith("stage 'fit' imports 'stages/fit.py', 'yelp_stars/helper.py', which")
    pipeline = Path("dvc.yaml").read_text()
    declared = "    - data/raw\n    - stages/fit.py\n    - yelp_stars\n"
    Path("dvc.yaml").write_text(
        pipeline.replace("    - data/raw\n    params", f"{declared}    params")
    )
    follow(line)
    assert diagnose(capsys) == []


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (b"<<<<<<< HEAD\nimport sys\n=======\n>>>>>>> theirs\n", "invalid syntax (fit.py, line 1)"),
        (b"word = 'caf\xe9'\n", "(unicode error) "),
        (b"\0", "source code string cannot contain null bytes"),
    ],
    ids=["conflict", "Latin-1", "NUL"],
)
def test_code_that_is_not_python_is_mended(small_repo, capsys, damaged, problem):
    script = Path("stages", "fit.py")
    script.write_text("import sys\n")
    pipeline = Path("dvc.yaml").read_text()
    declared = pipeline.replace(
        "    - data/raw\n    params", f"    - data/raw\n    - {script}\n    params"
    )
    Path("dvc.yaml").write_text(declared)
    dvc("repro")
    commit(small_repo, "a script")
    script.write_bytes(damaged)
    (line,) = mended(capsys)
    assert line.startswith(f"'stages/fit.py' is not valid Python: {problem}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    deps:\n    - data/raw\n", "    deps:\n"),
        ("fit:\n    cmd", "fit:\n  other:\n    cmd"),
        ("stages:", "stages: [\n"),
    ],
    ids=["no deps", "an empty stage", "not YAML"],
)
def test_a_pipeline_that_dvc_refuses_is_one_line(small_repo, capsys, old, new):
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


def test_a_lock_that_was_merged_by_hand_is_mended(small_repo, capsys):
    """The outs of one branch with the deps of another."""
    lock = Path("dvc.lock").read_text()
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("n: 1", "n: 2"))
    dvc("repro")
    theirs = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(theirs[: theirs.index("  fit:")] + lock[lock.index("  fit:") :])
    (line,) = mended(capsys)
    assert line.startswith("dvc.lock has more than one hash of 'data/raw'")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "damaged"])
@pytest.mark.parametrize(
    ("name", "remote"),
    [
        (str(MODEL), False),
        (str(MODEL), True),
        ("data/count.txt", True),
        ("data/external/own.csv", False),
        ("data/external/own.csv", True),
        ("list", False),
    ],
)
def test_a_fault_of_the_cache_is_named_and_mended(
    small_repo, tmp_path, capsys, name, damage, remote
):
    if remote:
        add_remote(small_repo, str(tmp_path / "store"))
        dvc("push")
    dvc("checkout", "--relink")
    cached = objects(small_repo / ".dvc" / "cache")
    content = None if name == "list" else Path(name).read_bytes()
    if content is None:
        path = next(path for path in cached.values() if path.suffix == ".dir")
    else:
        path = next(path for path in cached.values() if path.read_bytes() == content)
    path.unlink() if damage == "missing" else overwrite(path, b"[]")
    if name == "data/external/own.csv" and damage == "damaged" and not remote:
        (line,) = diagnose(capsys)
        assert "nothing else has it; bring it, then run `rm -f .dvc/cache/" in line
        Path(name).unlink()
        Path(name).write_bytes(content)
    lines = mended(capsys)
    assert len(lines) <= 2, lines
    what = "the list of files of " if name == "list" else repr(name)
    assert [line for line in lines if line.startswith(what) and f" is {damage} in" in line]
    if content is not None:
        assert Path(name).read_bytes() == content
    capsys.readouterr()
    dvc("status")
    assert capsys.readouterr().out == "Data and pipelines are up to date.\n"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
@pytest.mark.parametrize("pushed", [True, False])
def test_no_advice_about_the_cache_loses_an_edit(small_repo, tmp_path, capsys, pushed, damage):
    add_remote(small_repo, str(tmp_path / "store"))
    if pushed:
        dvc("push")
    yours = Path("data/external/own.csv")
    content = yours.read_bytes()
    cached = objects(small_repo / ".dvc" / "cache").values()
    path = next(path for path in cached if path.read_bytes() == content)
    yours.unlink()
    yours.write_bytes(b"label,text\n0,edited\n")
    path.unlink() if damage == "missing" else overwrite(path, b"garbage")
    (line,) = diagnose(capsys)
    assert line.startswith(f"{str(yours)!r} is {damage} in DVC's cache; run `")
    fetch, add = re.findall("`(dvc [^`]+)`", line)
    for command in re.findall("`(rm [^`]+)`", line):
        run(*shlex.split(command), cwd=small_repo)
    dvc(*fetch.split()[1:])
    assert yours.read_bytes() == b"label,text\n0,edited\n"
    if not pushed:
        assert "or, if the remote lacks it, bring it and run `dvc add" in line
        dvc(*add.split()[1:])
    assert diagnose(capsys) == []
    assert yours.read_bytes() == b"label,text\n0,edited\n"


@pytest.mark.parametrize("name", [str(MODEL), "data/count.txt", "data/external/own.csv"])
def test_what_the_workspace_has_is_stored_again_whatever_the_remote_has(
    small_repo, tmp_path, capsys, name
):
    add_remote(small_repo, str(tmp_path / "store"))  # nothing is pushed
    content = Path(name).read_bytes()
    cached = objects(small_repo / ".dvc" / "cache").values()
    next(path for path in cached if path.read_bytes() == content).unlink()
    (line,) = mended(capsys)
    assert re.search("is missing in .*; run `dvc fetch [^`]+`, or, .*, `dvc commit [^`]+`$", line)
    assert Path(name).read_bytes() == content


def test_a_damaged_file_that_no_remote_has_is_made_again(small_repo, tmp_path, capsys):
    add_remote(small_repo, str(tmp_path / "store"))  # nothing is pushed
    dvc("checkout", "--relink")
    content = MODEL.read_bytes()
    cached = objects(small_repo / ".dvc" / "cache").values()
    overwrite(next(path for path in cached if path.read_bytes() == content), b"garbage")
    (line,) = diagnose(capsys)
    remove, fetch, _, again = re.findall("`([^`]+)`", line)
    assert line.endswith(", or, if the remote lacks it, `dvc repro`")
    run(*shlex.split(remove), cwd=small_repo)
    dvc(*fetch.split()[1:])  # exit code 0, and no file
    follow(f"; `{again}`")
    assert diagnose(capsys) == []
    assert MODEL.read_bytes() == content


def test_a_new_clone_without_the_outs_has_no_problem_but_a_note(
    small_repo, tmp_path, monkeypatch, capsys
):
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    monkeypatch.chdir(clone(small_repo, tmp_path / "clone"))
    (line,) = diagnose(capsys)
    assert line == (
        "note: DVC's cache has no out of the last run, as in a new clone; run `dvc pull`"
    )
    follow(line)
    assert diagnose(capsys) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "damaged"])
@pytest.mark.parametrize("name", [str(MODEL), "data/count.txt", "list"])
def test_a_fault_of_the_remote_is_named_and_mended(small_repo, tmp_path, capsys, name, damage):
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    there = objects(tmp_path / "store")
    assert there.keys() == objects(small_repo / ".dvc" / "cache").keys()
    if name == "list":
        path = next(path for path in there.values() if path.suffix == ".dir")
    else:
        path = next(p for p in there.values() if p.read_bytes() == Path(name).read_bytes())
    path.unlink() if damage == "missing" else overwrite(path, b"garbage")
    assert diagnose(capsys) == []
    if name == str(MODEL):  # DVC trusts the list of the folder's files
        dvc("push")
        assert path.exists() == (damage == "damaged")
        dvc("status", "--cloud")
        assert "Cache and remote 'store' are in sync.\n" in capsys.readouterr().out
    lines = mended(capsys, "--remote")
    assert len(lines) == 1, lines
    assert f" is {damage} in the remote 'store'" in lines[0]
    assert objects(tmp_path / "store").keys() == there.keys()
    other = clone(small_repo, tmp_path / "clone")
    dvc("--cd", str(other), "pull")
    assert (other / MODEL).read_bytes() == MODEL.read_bytes()


def test_what_neither_cache_nor_remote_has_is_said_and_made_again(small_repo, tmp_path, capsys):
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    content = MODEL.read_bytes()
    shutil.rmtree("models/finetuned")
    for folder in (tmp_path / "store", small_repo / ".dvc" / "cache"):
        next(p for p in objects(folder).values() if p.read_bytes() == content).unlink()
    lines = mended(capsys, "--remote")
    assert lines[0] == f"{str(MODEL)!r} is missing in DVC's cache; run `dvc repro`"
    assert lines[1].endswith("and DVC's cache has none; run `dvc push` in a clone that has it")


def test_a_named_remote_is_checked_and_an_unknown_one_is_one_line(small_repo, tmp_path, capsys):
    error = stars("doctor", "--remote")
    assert error == (
        "error: no default remote in DVC's settings; run `dvc remote list`, see docs/remotes.md"
    )
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    assert diagnose(capsys, "--remote", "store") == []
    error = stars("doctor", "--remote", "stroe")
    assert error.startswith("error: no remote 'stroe' in DVC's settings; run `dvc remote list`")


def test_an_unreadable_project_is_one_line(small_repo, capsys):
    Path("dvc.yaml").write_text("<<<<<<< HEAD\n")
    error = stars("doctor")
    assert error.startswith("error: dvc.yaml has no stages; ")
    follow(error)
    assert diagnose(capsys) == []
    Path("dvc.yaml").write_text("stages: [")
    assert stars("doctor").startswith("error: dvc.yaml is not valid YAML: line 1")


def test_doctor_changes_nothing(small_repo, tmp_path, capsys):
    add_remote(small_repo, str(tmp_path / "store"))
    dvc("push")
    garbage = next(iter(objects(tmp_path / "store").values()))
    garbage.chmod(0o644)  # one that DVC would hash, and delete
    garbage.write_bytes(b"garbage")
    diagnose(capsys, "--remote")
    assert garbage.read_bytes() == b"garbage"
    assert run("git", "status", "--short", cwd=small_repo) == ""
