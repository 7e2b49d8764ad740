"""Report a run to the tracker that STARS_REPORT_TO names, with accelerate's clients.

A variable of the environment, because no out depends on it.
"""

import importlib.util
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import read_json, refusing, sha256_of, write_json
from yelp_stars.pipeline.text import quoted, shell_word
from yelp_stars.pipeline.yaml_file import read_yaml

VARIABLE = "STARS_REPORT_TO"
TRACKERS = ("mlflow", "tensorboard", "trackio", "wandb")
CLIENTS = {"mlflow": "mlflow-skinny"}  # MLflow itself asks for an older pyarrow
PROJECT = "yelp-stars"
LATEST = Path("reports", "tracked.json")  # the latest run, for the next stage; git ignores it


def chosen(environment: Mapping[str, str]) -> str:
    """Return the tracker that `STARS_REPORT_TO` names, if any; its package is installed."""
    name = environment.get(VARIABLE, "").strip()
    problem, package = f"{VARIABLE} is {quoted(name)}", CLIENTS.get(name, name)
    if name and name not in TRACKERS:
        raise UserError(
            f"{problem}, not one of {', '.join(TRACKERS)}", advice="correct or unset it"
        )
    spec = importlib.util.find_spec(name) if name else None
    if name and not (spec and spec.origin):  # without: a folder of that name, as ./wandb
        advice = f"run `pip install {shell_word(package)}`, or unset it"
        raise UserError(f"{problem}, which is not installed", advice=advice)
    return name


class Tracker:
    """A run of a tracker; without a name, none.

    What goes wrong is printed, and ends the reporting instead of the stage.
    """

    def __init__(self, name: str, key: str, tags: Mapping[str, str] | None = None) -> None:
        """Continue the latest run if it is kept by this `key`; else start one."""
        self._name, self._run = name, ""
        self._client: Any = None
        if name:
            self._try(lambda: self._start(key, tags or {}))

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log the numbers among the values."""
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._try(lambda: self._client and self._client.log(numbers, step=step))

    def keep(self, key: str) -> None:
        """Let the run be continued by a key: by this stage, resumed, or by another one."""
        if self._run and LATEST.parent.is_dir():
            write_json(LATEST, {"tracker": self._name, "key": key, "run": self._run})

    def close(self) -> None:
        self._try(lambda: self._client and self._client.finish())

    def _start(self, key: str, tags: Mapping[str, str]) -> None:
        # Late: accelerate imports torch.
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS
        from scmrepo.git import Git

        name, latest = self._name, read_json(LATEST) if LATEST.is_file() else {}
        is_kept = (latest.get("tracker"), latest.get("key")) == (name, key)
        commit = Git(search_parent_directories=True).get_rev()
        label = os.environ.get("DVC_EXP_NAME") or commit[:7]
        run = latest["run"] if is_kept else f"{label}-{secrets.token_hex(3)}"
        project = os.environ.get(f"{name.upper()}_PROJECT", PROJECT)  # WANDB_PROJECT
        folder = os.environ.get("TENSORBOARD_LOGGING_DIR", "runs")
        options: dict[str, dict[str, Any]] = {
            "mlflow": {"experiment_name": PROJECT, "run_id" if is_kept else "run_name": run},
            "tensorboard": {"run_name": run, "logging_dir": folder},
            "trackio": {"run_name": project, "name": run, "resume": "allow"},
            "wandb": {"run_name": project, "id": run, "name": run, "resume": "allow"},
        }
        # A server that is down holds a step up for seconds; by MLflow's defaults, for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        client = LOGGER_TYPE_TO_CLASS[name](**options[name])
        client.start()
        self._client = client
        self._run = client.tracker.info.run_id if name == "mlflow" else run
        self.keep(key)
        facts = {"git.commit": commit, **tags}
        if name == "mlflow":
            import mlflow

            mlflow.set_tags(facts)
            facts = {}
        client.store_init_configuration(facts | ({} if is_kept else _parameters()))

    def _try(self, send: Callable[[], Any]) -> None:
        try:
            with refusing(f"{self._name} does not take this run", "the stage goes on without it"):
                send()
        except (UserError, OSError) as error:
            self._client = None
            print(f"warning: {error}", flush=True)


def report_test(name: str, model: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Add test scores with their intervals to the run that trained a model.

    And the model's hash in dvc.lock: `git log -S` finds the commits that have it.
    """
    lock = read_yaml(Path("dvc.lock"))["stages"] if Path("dvc.lock").is_file() else {}
    outs = lock.get("train", {}).get("outs", [])
    hashes = {f"dvc.lock/{out['path']}": out["md5"] for out in outs if out["path"] == str(model)}
    tracker = Tracker(name, sha256_of(model / "model.safetensors"), hashes)
    for score, estimate in scores.items():
        parts = {f"final/test/{score}_{part}": value for part, value in estimate.items()}
        tracker.log({name.removesuffix("_value"): value for name, value in parts.items()})
    tracker.close()


def _parameters() -> dict[str, Any]:
    sections, plain = read_yaml(Path("params.yaml")).items(), (bool, int, float, str)
    values = {f"{name}.{key}": value for name, part in sections for key, value in part.items()}
    return {key: value if isinstance(value, plain) else str(value) for key, value in values.items()}
