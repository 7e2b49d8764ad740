"""`stars distill` on a finished project: what it makes is used like the model."""

import csv
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, read_reviews, run, stars

pytestmark = pytest.mark.slow


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_it_says_what_the_student_loses_on_validation_reviews(distilled):
    _, printed = distilled
    assert "models/student: a student with" in printed
    assert "(2 of them without labels)" in printed
    assert "validation reviews" in printed
    for line in ("  model    accuracy 0.", "  student  accuracy 0.", "  difference "):
        assert line in printed


def test_the_students_folder_has_no_pickle_and_its_own_calibration(distilled):
    folder, _ = distilled
    student = folder / "models" / "student"
    names = ["calibration.json", "config.json", "model.safetensors", "vocabulary.json"]
    assert sorted(hashes(student)) == names
    assert json.loads((student / "calibration.json").read_text())["n"] > 0


def test_the_same_texts_give_the_same_bytes(distilled, tmp_path, monkeypatch):
    folder, _ = distilled
    monkeypatch.chdir(folder)
    again = tmp_path / "again"
    assert stars("distill", "--unlabelled", "more.txt", "-o", str(again)) == 0
    assert hashes(again) == hashes(folder / "models" / "student")


def test_predict_takes_it(distilled, tmp_path, monkeypatch):
    folder, _ = distilled
    monkeypatch.chdir(tmp_path)
    texts = [text for _, text in read_reviews(folder / "data" / "raw" / "test.arrow")]
    with Path("in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    assert (
        stars("predict", "in.csv", "-o", "out.csv", "--model", str(folder / "models" / "student"))
        == 0
    )
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(texts)
    assert {row["truncated"] for row in rows} == {"false"}


def test_serve_takes_it(distilled):
    folder, _ = distilled
    command = ("-m", "yelp_stars.cli", "serve", "--model", "models/student", "--port", "0")
    server = subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        body = json.dumps({"inputs": ["The soup was cold."], "truncate": False}).encode()
        request = urllib.request.Request(f"{address}/predict", body)
        request.add_header("Content-Type", "application/json")
        (found,) = json.loads(urllib.request.urlopen(request, timeout=60).read())
        assert sum(each["score"] for each in found) == pytest.approx(1)
        info = json.loads(urllib.request.urlopen(f"{address}/info", timeout=60).read())
        assert info["max_input_length"] is None
        assert info["test_scores"] is None  # metrics/ has those of the model
    finally:
        server.kill()
        server.wait()


def test_nothing_but_a_student_is_replaced(distilled, tmp_path, monkeypatch):
    monkeypatch.chdir(distilled[0])
    content = Path("models/finetuned/model.safetensors").read_bytes()
    for output in ("models", "models/finetuned"):
        message = str(stars("distill", "-o", output, "--force"))
        assert message.startswith(f"error: {output!r} holds '")
        assert message.endswith("which no student has; choose another -o")
    assert "'params.yaml' is a file" in str(stars("distill", "-o", "params.yaml", "--force"))
    assert "is not the name of a folder" in str(stars("distill", "-o", ".", "--force"))
    assert Path("models/finetuned/model.safetensors").read_bytes() == content


def test_an_existing_student_is_kept_unless_it_is_forced(distilled, monkeypatch):
    folder, _ = distilled
    monkeypatch.chdir(folder)
    message = "error: 'models/student' exists; choose another -o, or add --force"
    assert stars("distill") == message


def test_a_damaged_student_is_mended_by_the_command_in_the_error(distilled, tmp_path, monkeypatch):
    folder, _ = distilled
    copy = shutil.copytree(folder, tmp_path / "damaged", symlinks=True)
    monkeypatch.chdir(copy)
    Path("models/student/vocabulary.json").write_text("[]")
    assert "run `stars distill --force`" in stars("predict", "soup", "--model", "models/student")
    assert stars("distill", "--force") == 0
    assert stars("predict", "soup", "--model", "models/student") == 0


def test_the_commands_of_the_guide_run_and_dvc_add_versions_it(distilled, tmp_path, monkeypatch):
    folder = shutil.copytree(distilled[0], tmp_path / "versioned", symlinks=True)
    monkeypatch.chdir(folder)
    shutil.rmtree("models/student")
    Path("reviews.csv").write_text("id,text\n1,The soup was cold.\n")
    pq.write_table(pa.table({"id": [1], "text": ["Best dinner!"]}), "reviews.parquet")
    guide = (ROOT / "docs" / "using-the-model.md").read_text("utf-8")
    section = guide.partition("## A student")[2].partition("\n## ")[0]
    lines = [
        line
        for block in section.split("```sh\n")[1:]
        for line in block.split("```")[0].splitlines()
    ]
    assert [line.split()[:2] for line in lines] == [
        ["stars", "distill"],
        ["stars", "distill"],
        ["stars", "predict"],
        ["dvc", "add"],
    ]
    for line in lines:
        command = shlex.split(line)
        if command[0] == "stars":
            assert stars(*command[1:]) == 0, line
        else:
            run(*command, cwd=folder)
    assert pq.read_table("predicted.parquet").num_rows == 1
    shutil.rmtree(folder / "models" / "student")
    run("dvc", "checkout", "models/student.dvc", cwd=folder)
    assert len(hashes(folder / "models" / "student")) == 4


def test_missing_data_or_files_are_one_line(finished_repo, tmp_path, monkeypatch):
    folder = shutil.copytree(finished_repo, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    missing = "no file 'nothing.csv'; '.' holds 'data', "
    assert missing in stars("distill", "--unlabelled", "nothing.csv")
    Path("own.csv").write_bytes("text;n\nDöner;1\n ;2\n".encode("cp1252"))
    reading = ["--unlabelled", "own.csv"]
    for option, value in (("--delimiter", ";"), ("--encoding", "cp1252")):
        message = str(stars("distill", *reading))
        assert f"set {option} to '{value}'" in message
        reading += [option, value]
    assert str(stars("distill", *reading)).endswith(
        "own.csv line 3 has an empty text; remove the row"
    )
    shutil.rmtree("data/sample")
    assert "no file 'data/sample/train.arrow'; run `dvc repro`" in stars("distill")
    Path("dvc.lock").unlink()
    assert "run `dvc repro`" in stars("distill")
    assert not Path("models/student").exists()


def test_data_of_another_run_is_one_line(finished_repo, tmp_path, monkeypatch):
    folder = shutil.copytree(finished_repo, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    Path("data/raw/train.arrow").unlink()
    shutil.copy("data/raw/test.arrow", "data/raw/train.arrow")
    assert "is of other data than 'data/raw/train.arrow'; run `dvc repro`" in stars("distill")


def test_a_model_with_other_labels_is_one_line(finished_repo, tmp_path, monkeypatch):
    model = shutil.copytree(finished_repo / "models" / "finetuned", tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["id2label"]["0"] = "terrible"
    (model / "config.json").unlink()  # a link into the cache
    (model / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(finished_repo)
    assert "has other labels than data/sample" in stars("distill", "--model", str(model))
