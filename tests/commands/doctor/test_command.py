"""The arguments of `stars doctor`."""

import pytest
from helpers import stars


def test_a_remote_without_the_option_is_one_line(data_project):
    assert stars("doctor", "store") == (
        "error: a remote is checked with --remote; run `stars doctor --remote store`"
    )


def test_outside_of_dvc_it_is_one_line(data_project, monkeypatch):
    (data_project / ".dvc").rename(data_project / "elsewhere")
    error = stars("doctor")
    assert error.startswith("error: DVC cannot check this project: you are not inside of a DVC")
    assert "\n" not in error


@pytest.mark.slow
def test_the_command_in_the_error_checks_the_remote(small_repo):
    error = stars("doctor", "store").removeprefix("error: ")
    command = error.split("`")[1].split()[1:]
    assert stars(*command).startswith("error: no remote 'store' in DVC's settings")
