"""dvc.lock is the record of one run, or the line says what it is not."""

import copy

import pytest
from helpers import result_or_line
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.commands.doctor.lock_file import Declared, check_lock, check_params, read_lock
from yelp_stars.pipeline.yaml_file import dump_yaml

STAGES = {
    "prepare": Declared("prepare", {"code.py"}, {"raw"}),
    "fit": Declared("fit raw", {"code.py", "raw", "raw/a.csv"}, {"model", "scores.json"}),
}
CODE, RAW = {"path": "code.py", "md5": "c"}, {"path": "raw", "md5": "r.dir"}
LOCK = {
    "prepare": {
        "cmd": "prepare",
        "deps": [CODE],
        "params": {"params.yaml": {"prepare": {"n": 1}}},
        "outs": [RAW],
    },
    "fit": {
        "cmd": "fit raw",
        "deps": [{**CODE}, {**RAW}, {"path": "raw/a.csv", "md5": "a"}],
        "params": {"params.yaml": {"fit": {"rate": 0.1, "layers": [1, 2]}}},
        "outs": [{"path": "model", "md5": "m"}, {"path": "scores.json", "md5": "s"}],
    },
}
FOLDERS = {"r.dir": {"a.csv": "a", "b.csv": "b"}}
PARAMS = {"prepare": {"n": 1}, "fit": {"rate": 0.1, "layers": [1, 2]}}


def checked(lock, stages=STAGES):
    return list(check_lock(lock, stages, lambda md5: FOLDERS.get(md5, {})))


def changed(*keys, value):
    lock = copy.deepcopy(LOCK)
    *path, last = keys
    place = lock
    for key in path:
        place = place[key]
    place[last] = value
    return lock


def test_the_record_of_one_run_has_no_problem():
    assert checked(LOCK) == []
    assert list(check_params(LOCK, PARAMS)) == []


def test_a_stage_that_has_not_run_is_named():
    (line,) = checked({"prepare": LOCK["prepare"]})
    assert line == "dvc.lock has no run of 'fit'; run `dvc repro`"


def test_a_stage_that_dvc_yaml_has_not_is_named():
    (line,) = checked({**LOCK, "old": {"cmd": "old"}})
    assert (
        line == "dvc.lock has a run of 'old', which dvc.yaml does not have; delete its lines there"
    )


@pytest.mark.parametrize(
    "lock",
    [
        changed("fit", "cmd", value="fit other"),
        changed("fit", "deps", value=[CODE, RAW]),
        changed("fit", "outs", value=[{"path": "model", "md5": "m"}]),
    ],
    ids=["cmd", "deps", "outs"],
)
def test_a_run_of_another_dvc_yaml_is_named(lock):
    (line,) = checked(lock)
    assert line == (
        "dvc.lock records another command, deps or outs than dvc.yaml has for 'fit'; "
        "run `dvc repro`"
    )


@pytest.mark.parametrize("dep", range(3))
def test_one_path_with_two_hashes_is_no_run_also_for_a_file_of_a_folder(dep):
    path = LOCK["fit"]["deps"][dep]["path"]
    (line,) = checked(changed("fit", "deps", dep, "md5", value="another"))
    assert line == (
        f"dvc.lock has more than one hash of {path!r}: no complete run left it, but a part of "
        f"one, or a merge; run `dvc repro`"
    )


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({**PARAMS, "prepare": {"n": 2}}, "prepare.n"),
        ({**PARAMS, "prepare": {}}, "prepare.n"),
        ({**PARAMS, "prepare": None}, "prepare.n"),
        ({**PARAMS, "prepare": {"n": 1, "m": 1}}, "prepare.m"),
        ({**PARAMS, "fit": {"rate": 0.1, "layers": [1]}}, "fit.layers"),
    ],
)
def test_parameters_of_no_run_are_named(params, key):
    (line,) = check_params(LOCK, params)
    assert line == f"params.yaml differs from dvc.lock in {key!r}; run `dvc repro`"


@pytest.mark.parametrize(
    ("params", "differing"),
    [
        ({"fit": {"rate": 0.1, "more": {"depth": 3}}, "seed": 1}, []),
        ({"fit": {"rate": 0.2, "more": {"depth": 3}}, "seed": 1}, ["fit.rate"]),
        ({"fit": {"rate": 0.1, "more": {"depth": 4}}, "seed": 2}, ["fit.more.depth", "seed"]),
        ({"fit": {"rate": 0.1, "more": [1]}, "seed": 1}, ["fit.more.depth"]),
        ({"fit": 3}, ["fit.rate", "fit.more.depth", "seed"]),
        (None, ["fit.rate", "fit.more.depth", "seed"]),
    ],
)
def test_single_parameters_are_compared_too(params, differing):
    recorded = {"fit.rate": 0.1, "fit.more.depth": 3, "seed": 1}
    lines = list(check_params({"fit": {"params": {"params.yaml": recorded}}}, params))
    assert len(lines) == bool(differing)
    assert all(repr(key) in line for line in lines for key in differing)


@pytest.mark.parametrize(("names", "lines"), [(["a", "b"], 0), (["b", "a"], 1), (["a"], 1)])
def test_an_item_of_a_list_is_compared_too(names, lines):
    lock = {"fit": {"params": {"params.yaml": {"fit.names.1": "b"}}}}
    assert len(list(check_params(lock, {"fit": {"names": names}}))) == lines


def test_equal_numbers_of_two_types_are_the_same():
    assert list(check_params(LOCK, {**PARAMS, "prepare": {"n": 1.0}})) == []


@pytest.mark.parametrize("end", ["cmd:", "hash: md", "hash: md5", "md5: 83c5", "size:", "size: 2"])
def test_a_file_of_which_dvc_wrote_a_part_is_refused_where_dvc_itself_fails(tmp_path, end):
    entry = "    deps:\n    - path: code.py\n"
    whole = f"schema: '2.0'\nstages:\n  fit:\n    cmd: fit\n{entry}      hash: md5\n"
    whole += f"      md5: {'83c5' * 8}\n      size: 20\n"
    (tmp_path / "dvc.lock").write_text(whole[: whole.index(end) + len(end)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        lock = result_or_line(read_lock)
    assert isinstance(lock, str) == (end not in ("hash: md5", "size: 2"))


SOME = st.none() | st.integers() | st.text(max_size=5) | st.sampled_from([LOCK, LOCK["fit"], [RAW]])
KEYS = ["stages", "fit", "deps", "outs", "params", "params.yaml", "path", "md5", "cmd"]
TREES = st.recursive(
    SOME, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner)
)


@given(TREES)
def test_any_content_is_a_lock_or_one_line(tmp_path_factory, content):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.getbasetemp())
        (tmp_path_factory.getbasetemp() / "dvc.lock").write_text(dump_yaml(content))
        lock = result_or_line(read_lock)
    if isinstance(lock, str):
        assert lock.endswith("; run `rm dvc.lock`, then `dvc repro`")  # without git
    else:
        checked(lock)
        list(check_params(lock, PARAMS))
