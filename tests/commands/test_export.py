"""`stars export`: a model for machines without PyTorch, checked against its original."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from helpers import change_json, run, stars

from yelp_stars.data import arrow

pytestmark = pytest.mark.slow
HEAVY = ("torch", "transformers", "datasets", "dvc", "onnx", "onnxscript")


@pytest.fixture(scope="module")
def exported(finished_repo, tmp_path_factory):
    """A finished project with its exported model; copy it before you change it."""
    project = shutil.copytree(finished_repo, tmp_path_factory.mktemp("exported") / "project")
    printed = run("stars", "export", cwd=project)
    assert "on 20 validation rows" in printed
    assert "100.0 % of the labels are the same" in printed
    assert "%|" not in printed
    return project


@pytest.mark.thorough
def test_the_folder_has_all_that_the_model_has_but_the_weights(exported):
    model, folder = exported / "models" / "finetuned", exported / "models" / "exported"
    names = {path.name for path in model.iterdir()}
    assert {path.name for path in folder.iterdir()} == names - {"model.safetensors"} | {
        "model.onnx"
    }
    for name in names - {"model.safetensors", "README.md", "tokenizer.json"}:
        assert (folder / name).read_bytes() == (model / name).read_bytes()
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith((model / "README.md").read_text("utf-8"))
    assert "100.0 % of the labels are the same" in card
    content = (folder / "model.onnx").read_bytes()
    assert str(Path(torch.__file__).parents[1]).encode() not in content  # nor any other path
    assert run("git", "status", "--porcelain", cwd=exported) == ""


LOADED = """
import sys
from yelp_stars import cli
try:
    cli.main()
finally:
    print("loaded", *sys.modules, file=sys.stderr)  # below what it says there
"""


@pytest.mark.thorough
def test_stars_predict_gives_the_same_without_pytorch(exported, tmp_path):
    texts = arrow.read(exported / "data" / "raw" / "test.arrow")["text"].to_pylist()[:50]
    (tmp_path / "reviews.jsonl").write_text("\n".join(json.dumps({"text": x}) for x in texts))
    rows = {}
    for name in ("finetuned", "exported"):
        model = str(exported / "models" / name)
        command = ("predict", "reviews.jsonl", "-o", f"{name}.csv", "--model", model)
        output = run(sys.executable, "-c", LOADED, *command, "--precision", "fp32", cwd=tmp_path)
        loaded = set(output.splitlines()[-1].split())
        assert ("torch" in loaded) == (name == "finetuned")
        assert ("onnxruntime" in loaded) == (name == "exported")
        assert name == "finetuned" or not loaded & set(HEAVY)
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows[name] = list(csv.DictReader(file))
    for before, after in zip(rows["finetuned"], rows["exported"], strict=True):
        assert list(before) == list(after)
        for column, value in before.items():
            if column.startswith("p"):
                assert float(after[column]) == pytest.approx(float(value), abs=2e-5)
            else:
                assert after[column] == value
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".csv", ".jsonl")]


@pytest.mark.thorough
def test_an_exported_model_is_served_without_pytorch(exported):
    code = """
import sys
from pathlib import Path
from yelp_stars import load_classifier
from yelp_stars.commands.serve import server
folder = Path(sys.argv[1])
classify = load_classifier(folder)
info = server.describe(folder, classify)
server.make_app(classify, info, 8, 8)
assert info["precision"] == "fp32", info
assert "onnxruntime" in info["versions"] and "torch" not in info["versions"], info
assert not {"torch", "transformers"} & {*sys.modules}
"""
    run(sys.executable, "-c", code, str(exported / "models" / "exported"), cwd=exported)


@pytest.mark.thorough
def test_a_second_export_has_the_same_bytes(exported, tmp_path, monkeypatch):
    project = shutil.copytree(exported, tmp_path / "project")
    monkeypatch.chdir(project)
    before = {path.name: path.read_bytes() for path in (project / "models/exported").iterdir()}
    shutil.rmtree("models/exported")
    assert stars("export") == 0
    assert {path.name: path.read_bytes() for path in Path("models/exported").iterdir()} == before


@pytest.mark.thorough
def test_a_model_that_differs_from_its_original_is_refused(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(exported, tmp_path / "project"))
    before = Path("models/exported/model.onnx").read_bytes()
    export = torch.onnx.export

    def export_another(model, **options):
        program = export(model, **options)
        (bias,) = (
            value
            for name, value in program.model.graph.initializers.items()
            if name == "classifier.bias"
        )
        bias.const_value = type(bias.const_value)(model.classifier.bias + 0.01)
        return program

    monkeypatch.setattr(torch.onnx, "export", export_another)
    error = stars("export")
    assert "differs too much from 'models/finetuned'" in error
    assert "the largest difference of a logit is 0.01" in error
    assert Path("models/exported/model.onnx").read_bytes() == before
    assert not [*Path("models").glob(".*.partial")]


def test_validation_rows_of_other_labels_are_refused(repo, monkeypatch):
    monkeypatch.chdir(repo)
    config = Path("models/finetuned/config.json")
    content = config.read_bytes()
    config.unlink()
    config.write_bytes(content)
    names = json.loads(content)["id2label"]
    change_json(config, id2label={**names, "0": "bad"})
    assert stars("export") == (
        "error: 'data/sample/validation.arrow' has other labels than 'models/finetuned'; run "
        "`dvc repro`"
    )
    assert not Path("models/exported").exists()


def test_without_a_model_it_is_one_line(data_project):
    assert stars("export").startswith("error: no folder 'models/finetuned'")
