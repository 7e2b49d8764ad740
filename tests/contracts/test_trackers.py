"""Trackers: what a training reports to a real MLflow server, and that it changes no result."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import servers
from helpers import (
    DEADLINE,
    EVALUATE,
    edit,
    start_training,
    train,
    train_losses,
)

from stages import evaluate
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.yaml_file import dump_yaml

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]  # the server starts slowly


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory):
    """The port of MLflow's own server, with a database of its own."""
    program = shutil.which("mlflow")
    if program is None:
        pytest.skip("no MLflow here")
    folder, port = tmp_path_factory.mktemp("mlflow"), servers.free_port()
    store = f"sqlite:///{folder / 'mlflow.db'}"
    command = [program, "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + 3 * DEADLINE
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                servers.socket.create_connection(("127.0.0.1", port)).close()
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:  # the client alone is installed
            pytest.skip(f"MLflow's server does not start: {(folder / 'log').read_text()[-300:]}")
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def reporting(mlflow_server, train_project, monkeypatch):
    """A project, to train in, that reports to an experiment of its own."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow_server}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", train_project.parent.name)
    monkeypatch.setenv("STARS_REPORT_TO", "mlflow")
    return train_project


def reported() -> list[Any]:
    """The runs of the experiment."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def content(project: Path) -> dict[str, bytes]:
    """Every file that the two stages leave, but DVCLive's: those have durations."""
    outs = [project / out for out in ("ft", "plots", "validation.json", "p.parquet", "s.json")]
    files = [file for out in outs for file in [out, *out.rglob("*")] if file.is_file()]
    return {str(file.relative_to(project)): file.read_bytes() for file in files}


def train_and_evaluate(project: Path, **values: Any) -> dict[str, bytes]:
    train(project, **values)
    call(evaluate.main, *map(Path, EVALUATE[3:]))
    return content(project)


def test_a_run_has_parameters_curves_and_final_scores_and_changes_no_byte(reporting, monkeypatch):
    (reporting / "reports").mkdir(exist_ok=True)
    lock = {"stages": {"train": {"outs": [{"path": "ft", "md5": "0123.dir"}]}}}
    (reporting / "dvc.lock").write_text(dump_yaml(lock))
    found = train_and_evaluate(reporting)
    monkeypatch.delenv("STARS_REPORT_TO")
    assert train_and_evaluate(reporting) == found
    (run,) = reported()
    assert run.info.status == "FINISHED"
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.params["download.source"] == "synthetic"
    assert len(run.data.tags["git.commit"]) == 40
    assert run.data.tags["dvc.lock/ft"] == "0123.dir"
    scores = json.loads((reporting / "details.json").read_text())["scores"]
    for name, estimate in scores.items():
        assert run.data.metrics[f"final/test/{name}"] == estimate["value"]
        assert run.data.metrics[f"final/test/{name}_low"] == estimate["low"]
    validation = json.loads((reporting / "validation.json").read_text())
    assert run.data.metrics["final/validation/accuracy_high"] == validation["accuracy_high"]
    assert curve(run) == [tuple(point) for point in train_losses(reporting)]
    import mlflow

    assert mlflow.MlflowClient().list_artifacts(run.info.run_id) == []


def curve(run: Any) -> list[tuple[float, float]]:
    """The points of the training loss, with the digits of our own tables; each once."""
    import mlflow

    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train/loss")
    return sorted({(point.step, float(f"{point.value:.4g}")) for point in history})


def test_a_resumed_training_continues_its_run(reporting):
    (reporting / "reports").mkdir(exist_ok=True)
    edit(reporting, "train", num_train_epochs=40, logging_steps=1)
    with start_training(reporting) as stage:
        deadline = time.monotonic() + DEADLINE
        while not list(reporting.glob("models/checkpoints/*/checkpoint-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        stage.send_signal(signal.SIGTERM)
        assert stage.wait(DEADLINE) == 1
    (run,) = reported()
    shutil.rmtree(reporting / "dvclive", ignore_errors=True)
    train(reporting)
    (resumed,) = reported()
    assert resumed.info.run_id == run.info.run_id
    assert curve(resumed) == [tuple(point) for point in train_losses(reporting)]


def test_a_server_that_drops_loses_its_part_of_the_run_only(
    reporting, mlflow_server, monkeypatch, capsys
):
    expected = train_and_evaluate(reporting)
    line = servers.Line(mlflow_server, 20_000, cut=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{line.port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    capsys.readouterr()
    assert train_and_evaluate(reporting) == expected
    printed = [row for row in capsys.readouterr().out.splitlines() if row.startswith("warning: ")]
    assert line.reached.is_set()
    assert len(printed) == 2  # of each stage
    line.shutdown()
