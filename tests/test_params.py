"""params.yaml: every problem in one error, before anything heavy is imported."""

import copy

import pytest
from helpers import DOWNLOAD, FILES, ROOT, edit, fails, fails_here, replace

from stages import download
from stages.sample import Params as SampleParams
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import check, load_params, stage_models, variants
from yelp_stars.pipeline.yaml_file import read_yaml

MODELS = stage_models()
QUICKSTART = read_yaml(ROOT / "presets" / "quickstart.yaml")
PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "m")


def problems(tree) -> str:
    """What `check` reports, or an empty string."""
    try:
        check(tree, MODELS, "params.yaml")
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture
def tree():
    return copy.deepcopy(QUICKSTART)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("sample", "train_size", "many", "is 'many': "),
        ("sample", "train_size", 0, "is 0: should be greater than 0"),
        ("sample", "train_size", True, "is True: "),
        ("sample", "train_size", 1.5, "is 1.5: "),
        ("sample", "stratify", "yes", "is 'yes': should be a valid boolean"),
        ("sample", "stratify", None, "is None: should be a valid boolean"),
        ("sample", "validation_from", "dev", "is 'dev': should be 'train' or 'test'"),
        ("tokenize", "max_length", 7, "is 7: should be greater than or equal to 8"),
        ("tokenize", "truncation", "middle", "is 'middle': should be 'head', 'tail' or"),
        ("train", "learning_rate", "2e-5", "is '2e-5': should be a valid num"),
        ("train", "learning_rate", -1.0, "is -1.0: should be greater than 0"),
        ("train", "learning_rate", float("inf"), "is inf: "),
        ("train", "learning_rate", float("nan"), "is nan: "),
        ("train", "seed", 2**32, "is 4294967296: "),
        ("train", "precision", "fp8", "is 'fp8': should be 'auto', 'fp32'"),
        ("train", "launcher", "python; rm -r x", "is 'python; rm -r x': "),
        ("train", "launcher", "torchrun $(reboot)", "is 'torchrun $(reboot)': "),
        ("train", "frozen_layers", -1, "is -1: should be greater than or equal to 0"),
        ("download", "source", "web", "is 'web': should be 'synthetic', 'files', 'hub'"),
        ("download", "label_noise", 1.0, "is 1.0: should be less than 1"),
        ("pretrained", "sha256", "abc", "is 'abc': "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_with_its_key_and_what_is_allowed(
    tree, section, key, value, message
):
    tree[section][key] = value
    assert problems(tree).startswith(f"params.yaml: {section}.{key} {message}")
    assert "\n" not in problems(tree)


def test_a_wrong_key_is_reported_and_can_be_removed(tree):
    tree["train"]["batch"] = 3
    assert problems(tree) == (
        "params.yaml: train.batch is not a parameter: remove it or check its spelling"
    )
    del tree["train"]["batch"]
    assert problems(tree) == ""


def test_a_key_of_another_source_is_reported_with_the_section_alone(tree):
    tree["download"]["repo"] = "owner/name"
    assert problems(tree).startswith("params.yaml: download.repo is not a parameter: ")


def test_a_missing_key_and_a_missing_or_unknown_section_are_reported(tree):
    del tree["sample"]["stratify"]
    del tree["download"]["source"]
    del tree["evaluate"]
    tree["trian"] = {}
    lines = problems(tree).splitlines()
    assert lines[0] == "params.yaml: 4 problems"
    assert set(lines[1:]) == {
        f"  - 'trian' is not a section; the sections are {', '.join(MODELS)}",
        "  - sample.stratify is missing: add it",
        "  - download.source is missing: add it",
        "  - section 'evaluate' is missing",
    }


@pytest.mark.parametrize("section", ["", None, [], 3, "train"])
def test_a_section_without_keys_is_reported(tree, section):
    tree["evaluate"] = section
    tree["download"] = section
    message = problems(tree)
    assert message.startswith("params.yaml: 2 problems\n")
    assert "  - evaluate is " in message
    assert "  - download" in message


@pytest.mark.parametrize("content", [None, [1], "just words", 3])
def test_a_file_without_sections_is_reported(content):
    assert problems(content) == f"params.yaml must have the sections {', '.join(MODELS)}"


def test_all_problems_are_in_one_error(tree):
    tree["evaluate"]["per_device_eval_batch_size"] = 0
    tree["train"].update(seed=-1, learning_rate="fast")
    message = problems(tree)
    assert message.splitlines()[0] == "params.yaml: 3 problems"
    for key in ("evaluate.per_device_eval_batch_size", "train.seed", "train.learning_rate"):
        assert f"\n  - {key} is " in message


@pytest.mark.parametrize(
    ("section", "key"), [("train", "launcher"), ("download", "source"), ("sample", "train_size")]
)
def test_a_long_value_is_quoted_and_cut_at_80_characters(tree, section, key):
    tree[section][key] = "x" * 500
    assert problems(tree).startswith(f"params.yaml: {section}.{key} is '{'x' * 79}…: ")


def test_a_long_name_of_a_section_is_cut(tree):
    tree["x" * 500] = {}
    assert problems(tree).startswith(f"params.yaml: '{'x' * 79}… is not a section; ")


def test_frozen_layers_require_frozen_embeddings(tree):
    tree["train"].update(freeze_embeddings=False, frozen_layers=2)
    assert problems(tree) == (
        "params.yaml: train is inconsistent: frozen_layers above 0 requires freeze_embeddings: true"
    )
    tree["train"]["freeze_embeddings"] = True
    assert problems(tree) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_size": None}, "set one of test_file and test_size"),
        ({"test_file": "b.csv"}, "set one of test_file and test_size"),
        ({"text_column": 1}, "two names, or two indices"),
        ({"train_file": "../secret.csv"}, "must be a path inside data/external"),
        ({"train_file": "a/../../secret.csv"}, "must be a path inside data/external"),
        ({"train_file": "/etc/passwd"}, "must be a path inside data/external"),
        (
            {"test_file": "/etc/passwd", "test_size": None},
            "'/etc/passwd' must be a path inside data/external",
        ),
        ({"labels": {"0": "bad", "1": "bad"}}, "two different names"),
        ({"labels": {"1": "bad", 1: "good"}}, "the same value twice"),
    ],
)
def test_parameters_that_do_not_fit_together_are_reported(tree, change, message):
    tree["download"] = {**FILES, **change}
    assert problems(tree).startswith("params.yaml: download is inconsistent: ")
    assert message in problems(tree)
    tree["download"] = FILES
    assert problems(tree) == ""


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("download", {**FILES, "labels": {"0": "bad", "1": ""}}, "download.labels.1 is ''"),
        ("download", {**FILES, "text_column": -1}, "download.text_column is -1"),
        ("download", {**FILES, "test_size": 0}, "download.test_size is 0"),
        ("download", [], "download"),
        ("pretrained", {"source": "folder", "folder": "../x"}, "pretrained.folder is '../x'"),
        ("pretrained", {"source": "folder", "folder": ".git"}, "pretrained.folder is '.git'"),
        ("pretrained", {"source": "folder"}, "pretrained.folder is missing"),
        (
            "pretrained",
            {"source": "hub", "repo": "o/n", "revision": "main"},
            "pretrained.revision is 'main'",
        ),
        (
            "pretrained",
            {"source": "hub", "repo": "name", "revision": "0" * 40},
            "pretrained.repo is 'name'",
        ),
    ],
)
def test_the_keys_of_a_source_are_checked(tree, section, values, key):
    tree[section] = values
    assert problems(tree).startswith(f"params.yaml: {key}")
    assert "\n" not in problems(tree)


@pytest.mark.parametrize(
    "launcher",
    [
        "python",
        "torchrun --nproc-per-node 8",
        "accelerate launch --config_file gpus.yaml",
        "srun -N 2 torchrun --nnodes=2 --rdzv-endpoint=host:29500",
    ],
)
def test_launchers_for_one_and_many_devices_are_allowed(tree, launcher):
    tree["train"]["launcher"] = launcher
    assert problems(tree) == ""


def test_a_section_is_returned_typed_and_frozen(data_project):
    params = load_params(SampleParams, "sample")
    assert (params.train_size, params.validation_from) == (60, "train")
    with pytest.raises(ValueError, match="frozen"):
        params.train_size = 3


def test_a_section_with_sources_names_their_key():
    key, models = variants(MODELS["pretrained"])
    assert key == "source"
    assert list(models) == ["package", "folder", "hub", "random"]
    assert variants(MODELS["sample"]) == (None, {"": MODELS["sample"]})


def test_a_stage_reports_the_mistakes_of_every_section_before_it_works(data_project):
    edit(data_project, "evaluate", per_device_eval_batch_size=0)
    message = fails_here(download.main, *PATHS)
    assert message.startswith("params.yaml: evaluate.per_device_eval_batch_size is 0:")
    assert not (data_project / "raw").exists()


def test_a_stage_started_by_dvc_reports_every_problem_in_one_error(data_project):
    edit(data_project, "evaluate", per_device_eval_batch_size=0)
    edit(data_project, "train", seed=-1, learning_rate="fast")
    assert fails(*DOWNLOAD, cwd=data_project) == "params.yaml: 3 problems"
    assert not (data_project / "raw").exists()


def test_inconsistent_parameters_stop_a_stage(data_project):
    replace(data_project, "download", {**FILES, "test_size": None})
    assert "set one of test_file and test_size" in fails_here(download.main, *PATHS)


def test_a_missing_params_file_is_reported(data_project):
    (data_project / "params.yaml").unlink()
    assert "no file 'params.yaml' here" in fails_here(download.main, *PATHS)
