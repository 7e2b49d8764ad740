"""Reports to a tracker: refused before the work, or lost without it."""

import importlib.util
from importlib.machinery import PathFinder

import pytest
import servers

from yelp_stars.pipeline.errors import UserError
from yelp_stars.scoring import tracking


@pytest.mark.parametrize("environment", [{}, {"STARS_REPORT_TO": " "}])
def test_without_the_variable_there_is_no_tracker(environment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    assert tracking.chosen(environment) == ""
    tracker = tracking.Tracker("", "key")
    tracker.log({"loss": 1.0}, 1)
    tracker.keep("another")
    tracker.close()
    assert [*tmp_path.rglob("*")] == [tmp_path / "reports"]
    assert capsys.readouterr().out == ""


def test_an_unknown_tracker_is_refused():
    with pytest.raises(UserError) as error:
        tracking.chosen({"STARS_REPORT_TO": "mlfow"})
    assert "'mlfow'" in error.value.problem
    assert "mlflow, tensorboard, trackio, wandb" in error.value.problem


@pytest.mark.parametrize("left", ["", "mlflow"])
def test_one_that_is_not_installed_is_refused_with_its_package(tmp_path, monkeypatch, left):
    (tmp_path / left).mkdir(exist_ok=True)  # a folder of a run is no package
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: PathFinder.find_spec(name, [str(tmp_path)])
    )
    with pytest.raises(UserError) as error:
        tracking.chosen({"STARS_REPORT_TO": "mlflow"})
    assert error.value.problem == "STARS_REPORT_TO is 'mlflow', which is not installed"
    assert "`pip install mlflow-skinny`" in error.value.advice


@pytest.mark.slow
def test_a_tracker_that_cannot_be_used_is_one_warning(data_project, monkeypatch, capsys):
    # It is not installed, or nobody listens.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{servers.free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = tracking.Tracker("mlflow", "key")
    tracker.log({"train/loss": 1.0}, 1)
    tracker.keep("another")
    tracker.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: mlflow does not take this run (")
    assert line.endswith("the stage goes on without it")
    assert not tracking.LATEST.exists()
