"""The command line of a stage: paths in, a user's mistake out as one line."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest
from helpers import fails, fails_here
from safetensors import SafetensorError

from stages import download, sample
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import replacing


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOMP_SPINCOUNT", "10")  # so that what `run` sets ends with the test
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def stage_that_raises(error):
    def main(out: Path) -> None:
        with replacing(out) as partial:
            partial.write_text("half")
            raise error

    return main


def test_the_paths_of_the_command_line_are_passed_on_in_order(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stages/sample.py", "data/tokenized", "data/sample"])
    passed = []
    run(lambda tokenized, sampled: passed.extend([tokenized, sampled]))
    assert passed == [Path("data/tokenized"), Path("data/sample")]


def test_threads_sleep_soon_unless_the_user_decides_otherwise(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stages/x.py"])
    seen = []
    run(lambda: seen.append(os.environ["GOMP_SPINCOUNT"]))
    monkeypatch.delenv("GOMP_SPINCOUNT")
    run(lambda: seen.append(os.environ["GOMP_SPINCOUNT"]))
    assert seen == ["10", "10000"]


@pytest.mark.parametrize("paths", [(), ("data/tokenized",), ("a", "b", "c")])
def test_a_wrong_number_of_paths_is_reported_with_the_usage(paths):
    assert fails_here(sample.main, *paths).startswith(
        "usage: python -m stages.sample tokenized sampled (`dvc repro` runs it)"
    )


def test_a_user_error_is_one_line_and_leaves_nothing():
    error = fails_here(stage_that_raises(UserError("fix line 3")), "out")
    assert error == "fix line 3"
    assert list(Path.cwd().iterdir()) == []


def test_a_user_error_is_one_line_on_stderr_and_exit_code_1(data_project):
    (data_project / "params.yaml").unlink()
    error = fails("python", "-m", "stages.download", "a", "b", "raw", "m", cwd=data_project)
    assert error == "no file 'params.yaml' here; run from the project's folder"


def test_an_error_of_the_operating_system_is_one_line_with_the_file():
    def main(missing: Path) -> None:
        missing.read_bytes()

    assert fails_here(main, "missing.bin") == "No such file or directory 'missing.bin'"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_reported_with_what_to_do(number):
    error = fails_here(stage_that_raises(OSError(number, os.strerror(number), "out")), "out")
    assert error == f"{os.strerror(number)} 'out'; free some space and run again"


def test_unreadable_weights_are_one_line():
    error = fails_here(stage_that_raises(SafetensorError("I/O error")), "out")
    assert error == "the weights could not be read or written: I/O error"


@pytest.mark.parametrize("error", [OSError("of a library"), ValueError("a bug"), KeyError("x")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["stages/x.py", "out"])
    with pytest.raises(type(error)) as caught:
        run(stage_that_raises(error))
    assert caught.value is error
    assert list(Path.cwd().iterdir()) == []


def test_ctrl_c_ends_a_stage_without_a_traceback_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stages/x.py", "out"])
    with pytest.raises(SystemExit) as caught:
        run(stage_that_raises(KeyboardInterrupt()))
    assert caught.value.code == 130
    assert list(Path.cwd().iterdir()) == []


def test_sigterm_ends_a_stage_and_leaves_nothing(monkeypatch):
    def main(out: Path) -> None:
        with replacing(out) as partial:
            partial.write_text("half")
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(sys, "argv", ["stages/x.py", "out"])
    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 143
    assert list(Path.cwd().iterdir()) == []


def test_a_mistake_in_the_command_line_is_found_before_params_are_read():
    assert fails_here(download.main).startswith("usage: python -m stages.download sentences files")
