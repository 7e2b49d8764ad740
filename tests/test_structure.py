"""dvc.yaml, params.yaml, code, tests and files agree with each other, both ways."""

import ast
import dataclasses
import importlib
import importlib.metadata
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from helpers import ROOT, out_paths, run
from packaging.requirements import Requirement

from yelp_stars.commands.doctor.imports import imported, is_code, modules, own_imports
from yelp_stars.pipeline.entrypoint import declared_paths
from yelp_stars.pipeline.params import check, stage_models, variants
from yelp_stars.pipeline.yaml_file import read_yaml

PIPELINE = read_yaml(ROOT / "dvc.yaml")
STAGES = PIPELINE["stages"]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
MODELS = stage_models()
SCRIPTS = sorted(path for path in (ROOT / "stages").glob("*.py") if path.name != "__init__.py")
LIBRARY = sorted(path for path in (ROOT / "yelp_stars").rglob("*.py") if path.name != "__init__.py")
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Tests of no module: of what several of them promise together.
CROSS_CUTTING = {
    "benchmarks", "structure", "pipeline", "resume", "faults", "docs", "wheel", "gpu", "recipes",
    "safety",
}  # fmt: skip
# Hashes of the user's files stand for the folders that hold them.
HASHES = {"data/external.json": "data/external", "models/external.json": "models/external"}
# Extras that are large and that the tests can do without.
UNLOCKED = {"s3", "gs", "azure", "servers"}


def tracked() -> list[str]:
    return run("git", "ls-files", cwd=ROOT).splitlines()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- dvc.yaml and stages --------------------------------------------------------------------------


def test_every_stage_is_one_script_and_every_script_one_stage():
    assert set(STAGES) == {path.stem for path in SCRIPTS}


def test_every_init_file_is_empty_but_those_of_the_stages_and_of_the_library():
    files = [name for name in tracked() if name.endswith("__init__.py")]
    assert {"stages/__init__.py", "yelp_stars/__init__.py"} <= set(files)
    filled = [name for name in files if (ROOT / name).read_bytes()]
    assert filled == ["stages/__init__.py", "yelp_stars/__init__.py"]
    # Every stage imports the library: what is imported here must be quick, and decide no result.
    assert set(imported(ROOT / "yelp_stars" / "__init__.py")) == {
        "pathlib", "pathlib.Path", "typing", "typing.Any",
        "yelp_stars.classifier.classify", "yelp_stars.classifier.classify.Classifier",
    }  # fmt: skip
    loaded = {"importlib", "os", "signal", "sys"}  # by Python itself
    assert set(imported(ROOT / "stages" / "__init__.py")) == loaded
    folders = {path.parent for path in LIBRARY}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_exactly_the_imports(name):
    script = ROOT / "stages" / f"{name}.py"
    declared = [modules(ROOT, dep) for dep in STAGES[name]["deps"] if is_code(dep)]
    assert set().union(*declared) == {script} | own_imports(ROOT, script)


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_the_data_deps_and_the_outs_in_order(name):
    stage = STAGES[name]
    data = [HASHES.get(dep, dep) for dep in stage["deps"] if not is_code(dep)]
    words = stage["cmd"].split()
    assert words[:3] == ["python", "-m", f"stages.{name}"]
    assert "$" not in stage["cmd"]  # a parameter would reach a shell before it is checked
    paths = words[3:]
    outs = out_paths(stage, "outs", "metrics", "plots")
    assert paths[: len(data)] == data
    assert sorted(paths[len(data) :]) == sorted(outs)
    without_metrics = [path for path in paths[len(data) :] if path in out_paths(stage, "outs")]
    assert without_metrics == out_paths(stage, "outs")
    inputs, outputs = declared_paths(importlib.import_module(f"stages.{name}").main)
    assert (inputs.__name__, outputs.__name__) == ("Inputs", "Outputs")
    assert len(inputs._fields) == len(data)
    assert len(outputs._fields) == len(outs)


def test_the_report_alone_depends_on_the_baseline():
    outs = out_paths(STAGES["baseline"], "outs", "metrics")
    assert [name for name, stage in STAGES.items() if {*outs} & {*stage["deps"]}] == ["report"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_its_own_section_and_its_documentation_is_its_description(name):
    # `external` hashes what two sections name; the report shows all of them.
    several = {
        "external": ["download", "pretrained"],
        "report": [name for name in STAGES if name in MODELS],
    }
    sections = several.get(name, [name])
    assert STAGES[name]["params"] == sections
    assert importlib.import_module(f"stages.{name}").__doc__ == f"{STAGES[name]['desc']}."


@pytest.mark.slow
def test_the_parameters_that_train_passes_on_are_fields_of_training_arguments():
    from transformers import TrainingArguments

    passed_on = importlib.import_module("stages.train").TrainerParams.model_fields
    assert set(passed_on) <= {field.name for field in dataclasses.fields(TrainingArguments)}


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_documented(name):
    _, models = variants(MODELS[name])
    for model in models.values():
        assert model.__doc__
        assert not [key for key, field in model.model_fields.items() if not field.description]


# --- Presets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_fits_the_stages_and_begins_with_its_description(preset):
    tree = read_yaml(preset)
    check(tree, MODELS, preset.name)
    assert list(tree) == [name for name in STAGES if name in MODELS]
    assert preset.read_text("utf-8").startswith("# ")


def test_the_notebook_preset_is_the_notebook():
    notebook = read_yaml(ROOT / "presets" / "notebook.yaml")
    assert notebook["download"]["repo"] == "Yelp/yelp_review_full"
    assert notebook["download"]["revision"] == "c1f9ee939b7d05667af864ee1cb066393154bf85"
    assert notebook["download"]["unescape"] is False
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
        "exclude": [],
    }
    train = {
        "batch_size": 16,
        "per_device_eval_batch_size": 8,
        "num_train_epochs": 3,
        "learning_rate": 5e-5,
        "head_learning_rate": 5e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "padding": "max_length",
        "precision": "fp32",
        "train_sampling_strategy": "random",
        "seed": 42,
        "freeze_embeddings": False,
        "intermediate_size": 0,
        "logging_steps": 30,
    }
    assert train.items() <= notebook["train"].items()


# --- Imports and code -----------------------------------------------------------------------------


HEAVY = {"torch", "transformers", "datasets", "dvc", "evaluate", "matplotlib", "sklearn"}
ARRAYS = {"numpy", "pyarrow", "scipy", "pydantic"}


@pytest.mark.parametrize(
    ("imported", "heavy"),
    [
        (", ".join(f"stages.{name}" for name in STAGES), HEAVY),
        ("yelp_stars.cli", HEAVY | ARRAYS),
        ("yelp_stars.commands.search.command", HEAVY | ARRAYS),
        ("yelp_stars; yelp_stars.load_classifier", HEAVY),
    ],
)
def test_imports_are_light(imported, heavy):
    script = f"import sys, {imported}; print(*sys.modules)"
    assert not heavy & set(run(sys.executable, "-c", script, cwd=ROOT).split())


def test_neither_a_stage_nor_the_library_imports_a_stage():
    importing = {named(path): imported(path) for path in SCRIPTS + LIBRARY}
    assert not [
        path
        for path, names in importing.items()
        if any(name.split(".")[0] == "stages" for name in names)
    ]


def test_no_class_is_inside_a_function():
    for path in SCRIPTS + LIBRARY:
        functions = [node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)]
        inside = [node for function in functions for node in ast.walk(function)]
        assert not [node.name for node in inside if isinstance(node, ast.ClassDef)], path


# What would run the content of a file or of a parameter.
FORBIDDEN = re.compile(
    r"(?<![\w.])(eval|exec|compile|__import__)\(|\bos\.(system|popen)\(|\.read_pickle\("
    r"|\b(pickle|torch|joblib|np|yaml)\.(unsafe_)?loads?\(|\b(extract(all)?|unpack_archive)\("
    r"|(import|from) (?!pickle import UnpicklingError\n)"
    r"(c?pickle|dill|cloudpickle|joblib|marshal|shelve)\b"
    r"|\b(shell|trust_remote_code|allow_pickle)=True|\b(weights_only|use_safetensors)=False",
    re.I,
)


def test_no_code_loads_pickles_code_or_archives_unseen_and_none_calls_a_shell():
    texts = {named(path): path.read_text("utf-8") for path in SCRIPTS + LIBRARY}
    matches = {name: FORBIDDEN.search(text) for name, text in texts.items()}
    assert {name: match[0] for name, match in matches.items() if match} == {}


def test_no_value_of_params_yaml_starts_a_process():
    starting = re.compile(r"\b(subprocess|os\.(exec|spawn|posix_spawn)\w+)\b")
    stages = [path for path in SCRIPTS + LIBRARY if "commands" not in path.parts]
    found = [path for path in stages if starting.search(path.read_text("utf-8"))]
    assert [path.name for path in found] == ["launcher.py"]
    calls = [
        ast.unparse(node)
        for node in ast.walk(parse(ROOT / "stages" / "train.py"))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "launch"
    ]
    assert calls == ["launch(sys.argv[1:], os.environ)"]  # nothing of params.yaml


# --- Tests ----------------------------------------------------------------------------------------


def test_the_tests_mirror_the_folders_of_the_code():
    def test_of(path: Path, root: Path) -> str:
        return str(path.relative_to(root).with_name(f"test_{path.name}"))

    expected = {f"test_{name}.py" for name in CROSS_CUTTING}
    expected |= {test_of(path, ROOT) for path in SCRIPTS}
    expected |= {test_of(path, ROOT / "yelp_stars") for path in LIBRARY}
    written = {path.relative_to(ROOT / "tests") for path in TESTS if path.name.startswith("test_")}
    assert {str(path) for path in written if path.parts[0] != "contracts"} <= expected
    # A small module may be tested beside another one of its folder, but no folder is untested.
    assert {path.parent for path in written} >= {Path(name).parent for name in expected}


def test_no_test_imports_a_test():
    names = [(named(path), name) for path in TESTS for name in imported(path)]
    assert not [pair for pair in names if pair[1].startswith(("test_", "conftest"))]


# --- Files ----------------------------------------------------------------------------------------


def test_git_has_the_folders_of_data_and_models_but_none_of_their_content():
    files = [name for name in tracked() if name.startswith(("data/", "models/"))]
    assert not [
        name
        for name in files
        if not name.endswith(("/.gitignore", ".dvc")) and not name.startswith("data/synthetic/")
    ]
    folders = {name.rpartition("/")[0] for name in files}
    assert {"data/external", "data/predictions", "data/synthetic", "models/external"} <= folders


def test_no_two_files_have_one_name_where_case_does_not_count():
    names = Counter(name.casefold() for name in tracked())
    assert [name for name, count in names.items() if count > 1] == []


def test_dvc_ignores_bytecode():
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text().splitlines()


def canonical(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_each_lock_file_has_its_dependencies_and_theirs_and_no_address():
    files = ("requirements.lock", "requirements-dev.lock")
    lines, more = [(ROOT / name).read_text().splitlines() for name in files]
    assert not [line for line in lines + more if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    locked, both = {*map(canonical, lines)}, {*map(canonical, lines + more)}
    assert len(both) == len(lines + more)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"serve", "plots", "ssh", "dev", "cluster", "export"} == set(extras) - UNLOCKED
    used = [*project["dependencies"], *extras["serve"], *extras["plots"], *extras["ssh"]]
    assert {canonical(name) for name in used} <= locked
    tested = extras["dev"] + extras["cluster"] + extras["export"]
    assert {canonical(name) for name in tested} <= both - locked
    for allowed, entries in ((locked, lines), (both, more)):
        for entry in entries:
            required = map(Requirement, importlib.metadata.requires(entry.split("==")[0]) or [])
            needed = {canonical(r.name) for r in required if not r.marker or r.marker.evaluate()}
            # PyTorch's default build also needs NVIDIA's libraries: pip installs what it names.
            assert needed <= allowed or entry.startswith("torch=="), entry
