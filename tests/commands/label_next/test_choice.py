"""The rows that are worth labelling: unsure, of many kinds, in the format of the training file."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import put, stars

from yelp_stars.commands.label_next.choice import EXTERNAL, worth_labelling, written
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.origin import Origin

TEXTS = ["plain", 'a "quoted", one', "two\nlines"]


def test_the_rows_are_the_least_sure_ones_of_every_kind():
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2, 3], 100)
    features = rng.normal(0, 0.1, (400, 8)) + 10 * np.eye(8)[kinds]
    margins = np.where(np.arange(400) % 10 == 0, 0.1, 0.9)  # ten unsure rows of each kind
    chosen = worth_labelling(margins, features, 4, seed=0)
    assert sorted(kinds[chosen]) == [0, 1, 2, 3]
    assert (margins[chosen] == 0.1).all()
    assert chosen.tolist() == worth_labelling(margins, features, 4, seed=0).tolist()


def test_of_few_rows_all_are_chosen_the_least_sure_first():
    margins = np.array([0.9, 0.1, 0.5])
    assert worth_labelling(margins, np.eye(3), 5, seed=0).tolist() == [1, 2, 0]
    same = worth_labelling(np.zeros(8), np.zeros((8, 2)), 3, seed=0)
    assert 1 <= len(same) <= 3


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("a.csv", Origin(ending=".csv", text_column="body", label_column="topic", delimiter=";")),
        ("a.jsonl", Origin(ending=".jsonl", text_column="body", label_column="topic")),
        ("a.csv", Origin(ending=".csv", text_column=1, label_column=0)),
    ],
)
def test_the_rows_have_the_columns_of_the_training_file(tmp_path, monkeypatch, name, origin):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"download: {{train_file: {name}}}")
    header = isinstance(origin.text_column, str)
    first = {"id": "7", "topic": "A", "body": "x"}
    if origin.ending == ".jsonl":
        content = json.dumps(first) + "\n"
    else:
        line = "7;A;x\n" if header else "A,x\n"
        content = ("id;topic;body\n" if header else "") + line
    path = put(tmp_path, name, content)
    added, encoding = written(TEXTS, origin)
    assert encoding == "utf-8"
    if header and origin.ending == ".csv":
        assert added.partition("\n")[0] == "id;topic;body"
        added = added.partition("\n")[2]
    path.write_text(content + added, "utf-8")  # appended
    layout = Layout(origin.text_column, origin.label_column, delimiter=origin.delimiter)
    rows = list(readers.rows(EXTERNAL / name, layout))
    assert [row.text for row in rows] == ["x", *TEXTS]
    assert {row.label for row in rows[1:]} <= {"", None}


def test_without_the_training_file_a_column_by_its_index_keeps_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    origin = Origin(ending=".csv", text_column=3, label_column=1, encoding="cp1252")
    assert written(["a"], origin) == (",,,a\n", "cp1252")


def test_the_rows_have_the_separator_that_the_training_file_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("download: {train_file: a.csv}")
    put(tmp_path, "a.csv", "sep=;\nid;label;text\n7;A;x\n")
    assert written(["a; b"], Origin(ending=".csv"))[0] == 'id;label;text\n;;"a; b"\n'


@pytest.mark.parametrize("header", ["label,text,x,x", "label,text,,"])
def test_columns_that_share_a_name_keep_their_place(tmp_path, monkeypatch, header):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("download: {train_file: a.csv}")
    put(tmp_path, "a.csv", f"{header}\nA,x,1,2\n")
    assert written(["a"], Origin(ending=".csv"))[0].splitlines()[1] == ",a,,"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16", "utf-16-be"])
def test_the_rows_are_in_the_encoding_of_the_training_file(tmp_path, monkeypatch, name, encoding):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"download: {{train_file: {name}}}")
    text = "caf\u00e9" if encoding == "cp1252" and name == "a.csv" else "\u2603"
    content = "label,text\nA,x\n" if name == "a.csv" else '{"label": "A", "text": "x"}\n'
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / EXTERNAL).mkdir(parents=True)
    path = tmp_path / EXTERNAL / name
    path.write_bytes((mark + content).encode(encoding))
    # A byte order mark counts more than the params.
    origin = Origin(ending=path.suffix, encoding="cp1252")
    added, found = written([text], origin)
    path.write_bytes(path.read_bytes() + added.removeprefix("label,text\n").encode(found))
    rows = readers.rows(EXTERNAL / name, Layout("text", "label", "cp1252"))
    assert [row.text for row in rows] == ["x", text]


def test_a_file_without_quotes_has_a_line_for_each_row():
    origin = Origin(ending=".tsv", unescape=True)
    assert written(["a\tb\nc", '"d"'], origin)[0] == 'text\tlabel\na b\\nc\t\n"d"\t\n'


@pytest.mark.slow
def test_the_rest_of_the_training_split_is_printed_with_empty_labels(
    finished_repo, monkeypatch, capsys
):
    monkeypatch.chdir(finished_repo)
    assert stars("label-next", "3") == 0
    shown = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [row["label"] for row in rows] == [""] * 3
    last = shown.err.splitlines()[-1]
    assert last.startswith("3 of ")
    assert last.endswith(" rows outside of the sample")
    assert stars("label-next", "3", "-o", "params.yaml").startswith("error: 'params.yaml' exists;")
    assert stars("label-next", "3", "-o", "a/b").startswith("error: no folder 'a'; make it first")
