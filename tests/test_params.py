"""params.yaml: every problem in one error, before anything heavy is imported."""

import pytest
from conftest import ROOT, edit, fails, replace

from stars.params import check, load_params, read_yaml, stage_models
from stars.stage import UserError

DOWNLOAD = ("python", "-m", "stages.download", "corpus/sentences.tsv", "input/reviews", "raw", "m")


def problems(tree) -> str:
    with pytest.raises(UserError) as caught:
        check(tree, stage_models(), "params.yaml")
    return str(caught.value)


@pytest.fixture
def tree():
    return read_yaml(ROOT / "presets" / "quickstart.yaml")


@pytest.mark.parametrize("text", ["2e-5", "1e-05", "0.00002", "2E-5"])
def test_numbers_are_read_as_dvc_reads_them(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(f"learning_rate: {text}\n")
    assert read_yaml(path)["learning_rate"] in (2e-5, 1e-5)
    from dvc.utils.serialize import load_yaml

    assert load_yaml(str(path)) == read_yaml(path)


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("sample", "train_size", "many", "sample.train_size is 'many': "),
        ("sample", "train_size", 0, "sample.train_size is 0: should be greater than 0"),
        ("sample", "train_size", True, "sample.train_size is True: "),
        ("sample", "stratify", "yes", "sample.stratify is 'yes': should be a valid boolean"),
        ("train", "learning_rate", "2e-5", "train.learning_rate is '2e-5': should be a valid num"),
        ("train", "learning_rate", -1.0, "train.learning_rate is -1.0: should be greater than 0"),
        ("train", "learning_rate", float("inf"), "train.learning_rate is inf: "),
        ("train", "seed", 2**32, "train.seed is 4294967296: "),
        (
            "train",
            "precision",
            "fp8",
            "train.precision is 'fp8': should be 'auto', 'fp32'",
        ),
        ("train", "launch", "python; rm -r x", "train.launch is 'python; rm -r x': "),
        ("train", "batch", 3, "train.batch is not a parameter: remove it"),
        (
            "download",
            "source",
            "web",
            "download.source is 'web': should be 'builtin', 'files', 'hub'",
        ),
        ("download", "label_noise", 1.0, "download.label_noise is 1.0: should be less than 1"),
        ("pretrained", "sha256", "abc", "pretrained.sha256 is 'abc': "),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_what_is_allowed(tree, section, key, value, told):
    tree[section][key] = value
    assert problems(tree).startswith(f"params.yaml: {told}")


def test_a_missing_key_and_a_missing_or_unknown_section_are_told(tree):
    del tree["sample"]["stratify"]
    del tree["evaluate"]
    tree["trian"] = {}
    told = problems(tree)
    assert told.startswith("params.yaml: 3 problems\n")
    assert "sample.stratify is missing" in told
    assert "section 'evaluate' is missing" in told
    assert "'trian' is no section" in told


@pytest.mark.parametrize("text", ["", "- 1", "just words"])
def test_a_file_without_sections_is_told(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="must have the sections"):
        check(read_yaml(path), stage_models(), "params.yaml")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"a: [", "is not valid YAML"), (b"a: 1\na: 2", "duplicate"), (b"a: \xff", "is not UTF-8")],
)
def test_a_file_that_is_no_yaml_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_stage_tells_the_mistakes_of_every_section_before_it_works(project):
    edit(project, "evaluate", per_device_eval_batch_size=0)
    told = fails(*DOWNLOAD, cwd=project)
    assert told.startswith("params.yaml: evaluate.per_device_eval_batch_size is 0:")
    assert not (project / "raw").exists()


def test_all_problems_of_a_file_come_in_one_error(project):
    edit(project, "evaluate", per_device_eval_batch_size=0)
    edit(project, "train", seed=-1, learning_rate="fast")
    assert fails(*DOWNLOAD, cwd=project) == "params.yaml: 3 problems"


def test_no_params_file_is_told(project):
    (project / "params.yaml").unlink()
    assert "no file 'params.yaml' here" in fails(*DOWNLOAD, cwd=project)


def test_a_wrong_command_line_is_told(project):
    assert fails("python", "-m", "stages.sample", cwd=project).startswith(
        "usage: python -m stages.sample tokenized sampled"
    )


def test_params_are_frozen(project, monkeypatch):
    from stages.sample import Params

    monkeypatch.chdir(project)
    params = load_params(Params, "sample")
    with pytest.raises(ValueError, match="frozen"):
        params.train_size = 3


FILES = {
    "source": "files",
    "train_file": "a.csv",
    "test_file": None,
    "test_size": 5,
    "seed": 0,
    "text_column": "text",
    "label_column": "label",
    "labels": {"0": "bad", "1": "good"},
    "escapes": "keep",
    "drop_empty": False,
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"test_size": None}, "set one of test_file and test_size"),
        ({"test_file": "b.csv"}, "set one of test_file and test_size"),
        ({"text_column": 1}, "two names, or two numbers"),
        ({"train_file": "../secret.csv"}, "must be a path inside input/reviews"),
        ({"train_file": "/etc/passwd"}, "must be a path inside input/reviews"),
        ({"labels": {"0": "bad", "1": "bad"}}, "two different names"),
        ({"labels": {"1": "bad", 1: "good"}}, "the same value twice"),
    ],
)
def test_parameters_that_do_not_fit_together_are_told(project, change, told):
    replace(project, "download", {**FILES, **change})
    assert told in fails(*DOWNLOAD, cwd=project)
