"""Predictions of a file are those of the model; a killed command ends with the same bytes."""

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from helpers import DEADLINE, ROOT, SOAK, read_reviews, soak, stars

from yelp_stars import cli, load_classifier
from yelp_stars.commands.predict import results
from yelp_stars.commands.predict.windows import WINDOW_ROWS, Tally
from yelp_stars.evaluation import predictions
from yelp_stars.evaluation.intervals import written

pytestmark = pytest.mark.slow
FP32 = ("--precision", "fp32")


@pytest.fixture(scope="module")
def model(finished_repo):
    return str(finished_repo / "models" / "finetuned")


@pytest.fixture(scope="module")
def texts(finished_repo):
    return [text for _, text in read_reviews(finished_repo / "data" / "raw" / "test.arrow")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_csv(texts, name="in.csv", **columns):
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["id", "text", *columns])
    writer.writerows(zip(range(len(texts)), texts, *columns.values()))
    Path(name).write_text(lines.getvalue(), encoding="utf-8", newline="")


def read_csv(name):
    with Path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_has_its_columns_and_the_models_predictions(here, model, texts):
    write_csv(texts)
    assert stars("predict", "in.csv", "-o", "a/out.csv", "--model", model, *FP32) == 0
    found = read_csv("a/out.csv")
    expected = load_classifier(model, precision="fp32")(texts)
    assert [row["text"] for row in found] == texts
    assert [int(row["id"]) for row in found] == [*range(len(texts))]
    for row, prediction in zip(found, expected, strict=True):
        assert row["stars"] == prediction.stars
        assert float(row["probability"]) == round(prediction.probability, 6)
        for name, probability in prediction.probabilities.items():
            assert float(row[f"p_{name}"]) == round(probability, 6)
        assert json.loads(row["range"]) == list(prediction.range)
        assert row["truncated"] == str(prediction.truncated).lower()
    assert sorted(path.name for path in here.rglob("*")) == ["a", "in.csv", "out.csv"]


def test_a_label_column_gives_the_accuracy_of_the_evaluation(
    here, finished_repo, model, texts, capsys
):
    evaluated = predictions.read(finished_repo / "data" / "predictions" / "test.parquet")
    names = [evaluated.names[label] for label in evaluated.labels]
    write_csv([texts[row] for row in evaluated.rows], label=names)
    assert stars("predict", "in.csv", "--label-column", "label", "--model", model, *FP32) == 0
    shown = capsys.readouterr()
    scores = json.loads((finished_repo / "metrics" / "evaluation.json").read_text())["scores"]
    assert f"accuracy {written(scores['accuracy'])}, mean error " in shown.err
    assert shown.err.endswith("on 30 rows with a label\n")
    assert "first 20 rows; add -o FILE for all" in shown.err
    assert len(shown.out.splitlines()) == 21


def test_without_labels_only_the_rows_that_are_shown_are_predicted(here, model, capsys):
    write_csv(["good"] * 500 + ["\0"])
    assert stars("predict", "in.csv", "--model", model) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 21
    assert "first 20 rows; add -o FILE for all" in shown.err
    assert stars("predict", "in.csv", "--model", model, "--skip-bad", "bad.txt") == 0
    assert "bad.txt: errors of 1 skipped rows" in capsys.readouterr().err
    assert stars("predict", "in.csv", "--model", model, "--prefix", "caf\udce9_") == 0


def test_a_column_that_is_there_already_needs_a_prefix(here, model):
    write_csv(["good"], stars=["5"])
    message = stars("predict", "in.csv", "-o", "out.csv", "--model", model)
    assert message == (
        "error: 'in.csv' already has 'stars'; add a prefix to the predicted columns: "
        "--prefix predicted_"
    )
    assert not Path("out.csv").exists()
    assert stars("predict", "in.csv", "-o", "out.csv", "--model", model, *message.split()[-2:]) == 0
    assert list(read_csv("out.csv")[0])[2:4] == ["stars", "predicted_stars"]


def test_unsure_rows_are_marked_for_a_person(here, model, texts, capsys):
    # Its temperature makes the probabilities of this random model almost the same.
    plain = shutil.copytree(model, "plain", ignore=shutil.ignore_patterns("calibration.json"))
    write_csv(texts)
    found = load_classifier(plain, precision="fp32")(texts)
    limit = round(sorted(each.probability for each in found)[len(texts) // 2], 6)
    arguments = ("predict", "in.csv", "-o", "out.csv", "--model", str(plain), *FP32)
    assert stars(*arguments, "--fail-below", str(limit)) == 0
    rows = read_csv("out.csv")
    assert "range" not in rows[0]
    marked = [row["to_a_person"] == "true" for row in rows]
    assert marked == [float(row["probability"]) < limit for row in rows]
    assert 0 < sum(marked) < len(marked)
    assert f"{sum(marked)} of {len(marked)} rows are below {limit:g}" in capsys.readouterr().err


def test_bad_rows_are_collected_and_the_others_keep_their_columns(here, model, capsys):
    Path("in.csv").write_bytes(b"id,text\n1,good\n2,\n3,\xff\n4,bad\n5\n6,a\0b\n")
    arguments = ("predict", "in.csv", "-o", "out.csv", "--model", model)
    assert "in.csv line 3 has an empty text; " in stars(*arguments)
    assert [path.name for path in here.iterdir()] == ["in.csv"]
    assert stars(*arguments, "--skip-bad", "bad.txt") == 0
    assert [row["id"] for row in read_csv("out.csv")] == ["1", "4"]
    errors = Path("bad.txt").read_text().splitlines()
    assert [re.findall(r"line (\d)", error)[0] for error in errors] == ["3", "4", "6", "7"]
    assert "bad.txt: errors of 4 skipped rows" in capsys.readouterr().err


def test_blank_lines_are_counted(here, model, capsys):
    Path("in.txt").write_text("good\n\nbad\n\n")
    for arguments in ([], ["-o", "out.csv"]):
        assert stars("predict", "in.txt", "--model", model, *arguments) == 0
        assert "blank lines left out: 2\n" in capsys.readouterr().err
    assert [row["text"] for row in read_csv("out.csv")] == ["good", "bad"]


@pytest.mark.parametrize("resumed", [True, False])
def test_a_file_of_errors_is_never_replaced_without_force(here, model, resumed):
    Path("in.csv").write_text("text\ngood\n \n")
    arguments = ("predict", "in.csv", "-o", "out.csv", "--model", model, "--skip-bad", "notes.txt")
    Path("notes.txt").write_text("mine")
    if resumed:
        Path("out.csv.part").mkdir()
    assert stars(*arguments) == (
        "error: 'notes.txt' exists; choose another --skip-bad, or add --force"
    )
    assert Path("notes.txt").read_text() == "mine"
    Path("notes.txt").unlink()
    assert stars(*arguments) == 0
    written = Path("notes.txt").read_text()
    # The command was killed after it had written the errors, before the first window.
    Path("out.csv").unlink()
    Path("out.csv.part").mkdir()
    assert stars(*arguments) == 0
    assert Path("notes.txt").read_text() == written


def test_an_output_that_appears_meanwhile_is_not_replaced(here, model, monkeypatch):
    write_csv(["good", "bad"])
    arguments = ("predict", "in.csv", "-o", "out.csv", "--model", model)
    join = results.FORMATS[".csv"][1]

    def appear(*joined):
        join(*joined)
        Path("out.csv").write_text("mine")

    monkeypatch.setitem(results.FORMATS, ".csv", (results.FORMATS[".csv"][0], appear))
    assert stars(*arguments) == "error: 'out.csv' exists; choose another -o, or add --force"
    assert Path("out.csv").read_text() == "mine"
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert stars(*arguments) == "error: 'out.csv' exists; choose another -o, or add --force"
    assert stars(*arguments, "--force") == 0
    assert len(read_csv("out.csv")) == 2


def test_a_kill_before_the_clean_up_leaves_a_finished_output(here, model, monkeypatch):
    write_csv(["good", "bad"])
    arguments = ("predict", "in.csv", "-o", "out.csv", "--model", model)
    monkeypatch.setattr(results.shutil, "rmtree", killed)
    with pytest.raises(InterruptedError):
        command(*arguments)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    written = Path("out.csv").read_bytes()
    assert Path("out.csv.part").is_dir()
    assert stars(*arguments) == 0
    assert Path("out.csv").read_bytes() == written
    assert not Path("out.csv.part").exists()


def killed(*arguments):
    raise InterruptedError


def command(*arguments):
    typer.main.get_command(cli.app).main(arguments, standalone_mode=False)


def test_how_texts_are_cut_is_said(here, model, capsys):
    assert stars("predict", "word " * 99, "--model", model) == 0
    error = capsys.readouterr().err
    assert "5 labels, " in error
    assert "the first 32 tokens of a text\n" in error
    assert "1 of 1 texts are longer than 32 tokens and were cut" in error


# --- Interrupted commands -------------------------------------------------------------------------


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "yelp_stars.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process):
    until = time.monotonic() + DEADLINE
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("ending", [".csv", pytest.param(".parquet", marks=soak)])
def test_a_command_killed_at_any_time_is_resumed_by_itself_alone(here, model, texts, ending):
    kills = 3 if SOAK else 1
    rows = (kills + 1) * WINDOW_ROWS - 5
    table = pa.table({"n": range(rows), "text": [texts[i % len(texts)] for i in range(rows)]})
    pq.write_table(table, "in.parquet")
    arguments = ["predict", "in.parquet", "--model", model, *FP32, "-o"]
    assert stars(*arguments, f"expected{ending}") == 0
    part = Path(f"out{ending}.part")
    chance = random.Random(0)
    for number in range(1, kills + 1):
        process = start([*arguments, f"out{ending}"])
        wait_for(part / f"{number - 1:07}.json", process)
        time.sleep(chance.random() / 5)
        process.send_signal(signal.SIGKILL if number < kills else signal.SIGTERM)
        _, error = process.communicate(timeout=DEADLINE)
        assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM)
        assert not Path(f"out{ending}").exists()
        assert ("resuming: " in error) == (number > 1)
        if number == kills:
            assert re.search(r"\nstopped; [\d,]+ rows are finished: run the same command", error)
    assert stars(*arguments, f"out{ending}", "--batch-size", "3") == (
        f"error: '{part}' was started with another 'batch size'; run the command that started "
        "it, choose another -o, or delete that folder"
    )
    pq.write_table(table[1:], "in.parquet")
    assert "was started with another 'input'" in stars(*arguments, f"out{ending}")
    pq.write_table(table, "in.parquet")
    assert stars(*arguments, f"out{ending}") == 0
    assert Path(f"out{ending}").read_bytes() == Path(f"expected{ending}").read_bytes()
    assert not part.exists()


HOSTILE = ["\x1b[31mred", "[bold]x[/bold]", "a\nb\r\u2028c", "x" * 10_000, "\u202egnp", ":smile:"]


def test_the_table_shows_text_as_text_and_fits(capsys):
    row = {"stars": "5 stars", "probability": 0.91234, "range": ["4 stars", "5 stars"]}
    results.print_rows(HOSTILE, [row] * len(HOSTILE), "stars", "")
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(HOSTILE)
    for line, text in zip(lines, HOSTILE):
        assert line.isprintable()
        assert len(line) <= 80
        assert line.startswith("5 stars        0.912  4 stars to 5 stars")
        assert text in line or text not in ("[bold]x[/bold]", ":smile:")


def test_a_set_of_labels_without_an_order_is_no_range(capsys):
    row = {"predicted": "billing", "probability": 0.5, "range": ["billing", "bug", "idea"]}
    results.print_rows(["a", "b"], [row, {**row, "range": ["bug"]}], "predicted", "", False)
    shown = capsys.readouterr().out
    assert "billing, bug, idea  a" in shown
    assert " to " not in shown


def test_a_model_without_ranges_and_a_prefix_are_shown_alike(capsys):
    results.print_rows(["a"], [{"x_predicted": "bad", "x_probability": 1.0}], "predicted", "x_")
    assert "bad              1.000" in capsys.readouterr().out


def test_the_summary_counts_and_scores():
    tally = Tally(10, 3, 4, 5.0, [[4, 1], [0, 3]])
    assert results.summary(tally, ["1 star", "2 stars"], True, 0.6, 128) == [
        "3 of 10 texts are longer than 128 tokens and were cut",
        "4 of 10 rows are below 0.6",
        "accuracy 0.9 [0.5, 1.0], mean error in stars 0.125, log loss 0.625 on 8 rows with a label",
    ]
    words = ["bad", "good"]
    assert "mean error in classes 0.1" in results.summary(tally, words, True, None, 128)[1]
    assert "mean error" not in results.summary(tally, words, False, None, 128)[1]
    assert results.summary(Tally(0, 0, 0, 0.0, [[0, 0]] * 2), words, True, None, 128) == []


def test_the_rate_has_its_rows_and_seconds():
    assert results.rate(1000, 50.0) == "1,000 rows in 50 s, 20 rows/s"
    assert results.rate(3, 0.25) == "3 rows in 0.2 s, 12 rows/s"
    assert results.rate(0, 0.0) == "0 rows in 0.0 s, 0 rows/s"


def test_in_a_file_the_bar_is_written_once_a_minute(capsys):
    with results.progress(1000) as bar:
        for _ in range(1000):
            bar.update()
    assert capsys.readouterr().err == ""
