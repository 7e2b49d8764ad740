"""Nothing of a user's data runs as code, and no secret reaches a file."""

import ast
import json
import os
import pickle
import re
import signal
from pathlib import Path

import pytest
from helpers import (
    ROOT,
    SECRETS,
    SOAK,
    edit,
    finish,
    run,
    soak,
    start_training,
    wait_for_step,
)

from yelp_stars.pipeline.files import sha256_of

LOADED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")  # of a checkpoint, by torch
CODE = [*ROOT.glob("stages/*.py"), *ROOT.glob("yelp_stars/**/*.py")]
# Calls and arguments that would run what a file or a parameter holds.
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load",
    "pickle.loads", "torch.load", "joblib.load", "np.load", "pd.read_pickle", "yaml.load",
    "yaml.unsafe_load", "shutil.unpack_archive", "extractall", "extract",
}  # fmt: skip
FORBIDDEN_ARGUMENTS = {("shell", True), ("trust_remote_code", True), ("allow_pickle", True),
                       ("weights_only", False), ("use_safetensors", False)}  # fmt: skip
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_loads_pickles_code_or_archives_unseen_and_none_calls_a_shell(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert names == {"pickle", "UnpicklingError"} or not names & FORBIDDEN_IMPORTS
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS
            assert called.rpartition(".")[2] not in {"extractall", "unpack_archive"}
            given = {
                (keyword.arg, keyword.value.value)
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant)
            }
            assert not given & FORBIDDEN_ARGUMENTS


def test_no_value_of_params_yaml_starts_a_process():
    # test_structure.py holds that none is in a command of dvc.yaml, either.
    starting = re.compile(r"\b(subprocess|os\.(exec|spawn|posix_spawn)\w+)\b")
    stages = [path for path in CODE if "commands" not in path.parts]
    found = [path for path in stages if starting.search(path.read_text("utf-8"))]
    assert [path.name for path in found] == ["launcher.py"]
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((ROOT / "stages" / "train.py").read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "launch"
    ]
    assert calls == ["launch(sys.argv[1:], os.environ)"]  # nothing of params.yaml


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.slow
@soak
@pytest.mark.parametrize("name", LOADED if SOAK else LOADED[:1])
def test_a_checkpoint_with_code_in_it_is_one_line_and_the_code_does_not_run(train_project, name):
    edit(train_project, "train", num_train_epochs=30)
    with start_training(train_project) as stage:
        wait_for_step(train_project, stage, 9)
        stage.send_signal(signal.SIGTERM)
        assert "which is saved" in finish(stage)
    for manifest in train_project.rglob("complete.json"):
        (manifest.parent / name).write_bytes(pickle.dumps(Payload(train_project / "ran")))
        hashes = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**hashes, name: sha256_of(manifest.parent / name)}))
    with start_training(train_project) as stage:
        output = finish(stage)
    assert not (train_project / "ran").exists()
    assert stage.returncode == 1
    assert "Traceback" not in output
    message = output.partition("error: ")[2]
    assert "has a file that could hold code, which was not loaded; " in message
    run(*re.findall("`([^`]+)`", message)[0].split(), cwd=train_project)
    with start_training(train_project) as stage:
        wait_for_step(train_project, stage, 1)


@pytest.mark.slow
def test_a_model_holds_no_file_that_can_hold_code(finished_repo):
    for folder in ("models/pretrained", "models/finetuned"):
        suffixes = {path.suffix for path in (finished_repo / folder).iterdir()}
        assert suffixes <= {".json", ".safetensors", ".txt", ".md"}, suffixes


@pytest.mark.slow
def test_no_secret_of_the_environment_is_in_a_file_of_a_finished_run(finished_repo):
    files = [path for path in finished_repo.rglob("*") if path.is_file()]
    assert len(files) > 200
    for path in files:
        content = path.read_bytes()
        assert not [name for name, value in SECRETS.items() if value.encode() in content], path
