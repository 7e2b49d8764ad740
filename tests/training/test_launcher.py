"""The launcher of the stage `train`: a program of the user's environment, without a shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.launcher import launch

PATHS = ["data/a folder", "ft"]
LAUNCH = f"import os; from yelp_stars.training.launcher import launch; launch({PATHS}, os.environ)"
SCRIPT = """#!/bin/sh
printf '%s\\n' "$$" "${STARS_LAUNCHER-none}" "$KEPT" "$@"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A launcher that prints its process, the variable, another one, and its arguments."""
    (tmp_path / "launcher").write_text(SCRIPT)
    (tmp_path / "launcher").chmod(0o755)
    return tmp_path / "launcher"


def test_the_launcher_takes_the_place_of_the_stage_and_no_shell_sees_its_arguments(script):
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    launcher = "'launcher' --nodes=2 'two words' $(touch canary) ;"
    environment = {**os.environ, "PATH": path, "KEPT": "kept", "STARS_LAUNCHER": launcher}
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH], cwd=script.parent, env=environment, stdout=subprocess.PIPE,
        text=True,
    ) as stage:  # fmt: skip
        printed = stage.communicate()[0].splitlines()
    # The same process: signals reach the launcher. It cannot launch again.
    assert printed[:3] == [str(stage.pid), "none", "kept"]
    given = ["--nodes=2", "two words", "$(touch", "canary)", ";"]
    assert printed[3:] == [*given, "-m", "stages.train", *PATHS]
    assert [*script.parent.iterdir()] == [script]


@pytest.mark.parametrize(
    "environment",
    [{}, {"STARS_LAUNCHER": " "}, {"STARS_LAUNCHER": "torchrun", "LOCAL_RANK": "0"}],
    ids=["unset", "empty", "launched"],
)
def test_without_a_launcher_and_below_one_the_stage_goes_on(environment):
    launch(PATHS, environment)


@pytest.mark.parametrize(
    ("launcher", "reason"),
    [
        ("srun-of-nobody -N 2 torchrun", "No such file or directory"),
        ("torchrun 'x", "No closing quotation"),
    ],
)
def test_a_launcher_that_cannot_be_started_is_reported(launcher, reason):
    with pytest.raises(UserError) as raised:
        launch(PATHS, {**os.environ, "STARS_LAUNCHER": launcher})
    assert launcher in raised.value.problem
    assert reason in raised.value.problem
    assert "unset it" in raised.value.advice
