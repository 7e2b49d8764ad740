"""What drifted apart: the model's tokenizer and its data, the libraries and their lock file."""

import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest

from yelp_stars.checkpoint.tokenizer import TRUNCATION
from yelp_stars.commands.doctor.drift import check_libraries, check_tokenizer


@pytest.fixture
def model(sampled_project, tmp_path):
    """A folder with the tokenizer of the project's data, as a fine-tuned model has it."""
    shutil.copytree(sampled_project / "models" / "pretrained", tmp_path / "model")
    (tmp_path / "model" / TRUNCATION).write_text('{"max_length": 32, "truncation": "head"}')
    return tmp_path / "model"


def checked(project, model):
    return list(check_tokenizer(project / "data" / "raw", project / "data" / "tokenized", model))


@pytest.mark.slow
def test_the_tokenizer_of_the_data_is_no_problem(sampled_project, model):
    assert checked(sampled_project, model) == []
    path = model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))  # other bytes
    assert checked(sampled_project, model) == []


@pytest.mark.slow
def test_another_vocabulary_is_named(sampled_project, model):
    path = model / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["the"], vocabulary["a"] = vocabulary["a"], vocabulary["the"]
    path.write_text(json.dumps(content))
    (line,) = checked(sampled_project, model)
    assert line.endswith("data/tokenized has; run `dvc repro`")
    assert "makes other ids than" in line


@pytest.mark.slow
def test_another_length_is_named(sampled_project, model):
    (model / TRUNCATION).write_text('{"max_length": 16, "truncation": "head"}')
    (line,) = checked(sampled_project, model)
    assert "was trained on texts of other lengths" in line
    assert "16 and 32 tokens" in line


def test_without_a_model_there_is_nothing_to_compare(tmp_path):
    assert list(check_tokenizer(tmp_path / "raw", tmp_path / "tokenized", tmp_path / "model")) == []


def test_other_versions_than_those_of_the_lock_file_are_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    numpy, pyyaml = (importlib.metadata.version(name) for name in ("numpy", "PyYAML"))
    lock.write_text(f"# made by pip\nnumpy=={numpy}\nPyYAML==0.1\nnot-installed-here==1.0\n")
    (line,) = check_libraries(lock)
    assert line == (
        f"1 installed libraries have other versions than {lock}: "
        f"'PyYAML {pyyaml}, not 0.1'; run `pip install -r {lock}`"
    )
    lock.write_text(f"numpy=={numpy}\n")
    assert list(check_libraries(lock)) == []
    assert list(check_libraries(Path("absent.lock"))) == []
