"""dvc.lock is the record of one run, or the line says what it is not."""

import copy

import pytest

from yelp_stars.commands.doctor.lock_file import check_lock, check_params
from yelp_stars.commands.runs.lock import Run

STAGES = {
    "prepare": {"cmd": "prepare", "deps": ["code.py"], "outs": ["raw"]},
    "fit": {
        "cmd": "fit raw",
        "deps": ["code.py", "raw", "raw/a.csv"],
        "outs": ["model"],
        "metrics": [{"scores.json": {"cache": False}}],
    },
}
CODE, RAW = {"path": "code.py", "md5": "c" * 32}, {"path": "raw", "md5": f"{'d' * 32}.dir"}
FILE = {"path": "raw/a.csv", "md5": "a" * 32}
LOCK = {
    "prepare": {
        "cmd": "prepare",
        "deps": [CODE],
        "params": {"params.yaml": {"prepare": {"n": 1}}},
        "outs": [RAW],
    },
    "fit": {
        "cmd": "fit raw",
        "deps": [CODE, RAW, FILE],
        "params": {"params.yaml": {"fit": {"rate": 0.1, "layers": [1, 2]}}},
        "outs": [{"path": "model", "md5": "e" * 32}, {"path": "scores.json", "md5": "f" * 32}],
    },
}
FOLDERS = {RAW["md5"]: {"a.csv": FILE["md5"], "b.csv": "b" * 32}}
PARAMS = {"prepare": {"n": 1}, "fit": {"rate": 0.1, "layers": [1, 2]}}


def parsed(recorded):
    return {name: Run.model_validate(run) for name, run in recorded.items()}


def checked(recorded):
    return list(check_lock(parsed(recorded), STAGES, lambda md5: FOLDERS.get(md5, {})))


def changed(stage, key, value):
    recorded = copy.deepcopy(LOCK)
    recorded[stage][key] = value
    return recorded


def test_the_record_of_one_run_has_no_problem():
    assert checked(LOCK) == []
    assert list(check_params(parsed(LOCK), PARAMS)) == []
    assert list(check_params(parsed(LOCK), {**PARAMS, "prepare": {"n": 1.0}})) == []


def test_a_stage_that_has_not_run_is_named():
    (line,) = checked({"prepare": LOCK["prepare"]})
    assert line == "dvc.lock has no run of 'fit'; run `dvc repro`"


def test_a_stage_that_dvc_yaml_has_not_is_named():
    (line,) = checked({**LOCK, "old": {"cmd": "old"}})
    assert line.startswith("dvc.lock has a run of 'old', which dvc.yaml does not have; delete")


@pytest.mark.parametrize(
    "recorded",
    [
        changed("fit", "cmd", "fit other"),
        changed("fit", "deps", [CODE, RAW]),
        changed("fit", "outs", LOCK["fit"]["outs"][:1]),
    ],
    ids=["cmd", "deps", "outs"],
)
def test_a_run_of_another_dvc_yaml_is_named(recorded):
    (line,) = checked(recorded)
    assert line == (
        "dvc.lock and dvc.yaml have a different command, deps or outs for 'fit'; run `dvc repro`"
    )


@pytest.mark.parametrize("dep", range(3))
def test_one_path_with_two_hashes_is_no_run_also_for_a_file_of_a_folder(dep):
    deps = copy.deepcopy(LOCK["fit"]["deps"])
    deps[dep]["md5"] = "0" * 32
    (line,) = checked(changed("fit", "deps", deps))
    assert line.startswith(f"dvc.lock has more than one hash of {deps[dep]['path']!r}: ")


@pytest.mark.parametrize(
    ("params", "keys"),
    [
        ({**PARAMS, "prepare": {"n": 2}}, "'prepare.n'"),
        ({**PARAMS, "prepare": None}, "'prepare.n'"),
        ({**PARAMS, "prepare": {"n": 1, "m": 1}}, "'prepare.m'"),
        (None, "'prepare.n', 'fit.rate', 'fit.layers'"),
    ],
)
def test_parameters_of_no_run_are_named(params, keys):
    (line,) = check_params(parsed(LOCK), params)
    assert line == f"params.yaml differs from dvc.lock in {keys}; run `dvc repro`"
