"""dvc.yaml, params and scripts agree with each other, both ways."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from pydantic import BaseModel

from stars.params import check, read_yaml, stage_models

PIPELINE = read_yaml(ROOT / "dvc.yaml")
STAGES = PIPELINE["stages"]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


def own_imports(script: Path) -> set[Path]:
    """The project's own modules that a script imports, anywhere in it, and those they import."""
    found: set[Path] = set()
    todo = [script]
    while todo:
        for module in imported(todo.pop()):
            path = ROOT / Path(*module.split(".")).with_suffix(".py")
            if path.is_file() and path not in found:
                found.add(path)
                todo.append(path)
    return found


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def out_paths(stage: dict, *keys: str) -> list[str]:
    outs = [out for key in keys for out in stage.get(key, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in outs]


def models_of(params: type[BaseModel]) -> list[type[BaseModel]]:
    root = params.model_fields.get("root")
    return list(root.annotation.__args__) if root else [params]


def test_every_stage_is_one_script_and_every_script_one_stage():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert set(STAGES) == scripts
    assert (ROOT / "stages" / "__init__.py").read_text() == ""
    assert (ROOT / "stars" / "__init__.py").read_text() == ""


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_exactly_the_imports(name):
    script = ROOT / "stages" / f"{name}.py"
    declared = {ROOT / dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert declared == {script} | own_imports(script)


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_the_data_deps_and_the_outs_in_order(name):
    stage = STAGES[name]
    data = [dep for dep in stage["deps"] if not dep.endswith(".py")]
    words = stage["cmd"].split()
    launch = "${train.launch}" if name == "train" else "python"
    assert words[:3] == [launch, "-m", f"stages.{name}"]
    given = words[3:]
    outs = out_paths(stage, "outs", "metrics", "plots")
    assert given[: len(data)] == data
    assert sorted(given[len(data) :]) == sorted(outs)
    kept = [out for out in given[len(data) :] if out in out_paths(stage, "outs")]
    assert kept == out_paths(stage, "outs")
    main = importlib.import_module(f"stages.{name}").main
    assert len(inspect.signature(main).parameters) == len(given)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_its_own_params_section_and_a_description(name):
    assert STAGES[name]["params"] == [name]
    assert STAGES[name]["desc"] == importlib.import_module(f"stages.{name}").__doc__.strip(" .\n")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_imports_no_stage_and_a_module_no_stage(name):
    modules = [ROOT / "stages" / f"{name}.py", *own_imports(ROOT / "stages" / f"{name}.py")]
    assert not [m for path in modules for m in imported(path) if m.startswith("stages")]


@pytest.mark.parametrize("name", STAGES)
def test_no_parameter_is_declared_that_nothing_reads(name):
    source = (ROOT / "stages" / f"{name}.py").read_text("utf-8")
    models = models_of(importlib.import_module(f"stages.{name}").Params)
    chooses = {"source"} if len(models) > 1 else set()  # pydantic reads it to choose the model
    for model in models:
        for field in set(model.model_fields) - chooses:
            passed_on = name == "train" and field in {"launch", *training_argument_names()}
            assert f"params.{field}" in source or passed_on, field


def training_argument_names() -> set[str]:
    from transformers import TrainingArguments

    return set(inspect.signature(TrainingArguments).parameters)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_fits_the_stages(preset):
    tree = read_yaml(preset)
    check(tree, stage_models(), preset.name)
    assert list(tree) == list(STAGES)


def test_the_notebook_preset_is_the_notebook():
    notebook = read_yaml(ROOT / "presets" / "notebook.yaml")
    assert notebook["download"]["repo"] == "Yelp/yelp_review_full"
    assert notebook["download"]["revision"] == "c1f9ee939b7d05667af864ee1cb066393154bf85"
    assert notebook["download"]["escapes"] == "keep"
    assert notebook["pretrained"]["repo"] == "google-bert/bert-base-cased"
    assert notebook["tokenize"] == {"max_length": 512, "truncation": "head"}
    assert notebook["sample"] == {
        "train_size": 1000,
        "train_seed": 42,
        "validation_size": 1000,
        "validation_seed": 42,
        "validation_from": "test",
        "test_size": 100,
        "test_seed": 64,
        "stratify": False,
        "allow_overlap": True,
    }
    train = notebook["train"]
    assert (train["per_device_train_batch_size"], train["per_device_eval_batch_size"]) == (16, 8)
    assert (train["num_train_epochs"], train["learning_rate"]) == (3, 5e-5)
    assert (train["padding"], train["precision"]) == ("max_length", "fp32")
    assert (train["train_sampling_strategy"], train["seed"]) == ("random", 42)
    assert (train["lr_scheduler_type"], train["warmup_steps"]) == ("linear", 0)
    assert train["logging_steps"] == 30


@pytest.mark.parametrize("name", STAGES)
def test_importing_a_stage_imports_neither_torch_nor_datasets(name):
    heavy = "{'torch', 'transformers', 'datasets'}"
    code = f"import sys, stages.{name}; print({heavy} & {{*sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"


def test_the_lock_file_has_every_dependency_and_no_address():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    names = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert not [line for line in lines if "/" in line or "@" in line]
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    bare = {w.split(">")[0].split("=")[0].strip().lower().replace("_", "-") for w in wanted}
    assert bare <= names
