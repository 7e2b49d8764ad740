"""The stage `download`: labelled reviews and their manifest, or one line and nothing."""

import json
import re

import pyarrow.parquet as pq
import pytest
from helpers import FILES, as_csv, fails_here, put, read_reviews, replace

from stages.download import main
from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.errors import UserError

PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "u", "m")


def download(project, **values) -> tuple[list, list, dict]:
    """Run the stage, on FILES with `values` if any; returns train rows, test rows and manifest."""
    if values:
        replace(project, "download", {**FILES, **values})
    call(main, *(project / path for path in PATHS))
    train, test = (read_reviews(project / "raw" / f"{name}.arrow") for name in ("train", "test"))
    return train, test, json.loads((project / "m").read_text())


def test_the_manifest_counts_what_is_in_the_files(data_project, capsys):
    train, test, manifest = download(data_project)
    counted = manifest["splits"]["train"]
    assert manifest["source"] == "synthetic"
    assert (counted["rows"], manifest["splits"]["test"]["rows"]) == (len(train), len(test))
    assert (len(train), len(test)) == (200, 100)
    assert set(counted["labels"].values()) == {40}
    printed = capsys.readouterr().out
    assert "train: 200 reviews, 5 labels\ntest: 100 reviews, 5 labels\n" in printed


@pytest.mark.parametrize("ordered", [True, False])
def test_files_are_named_and_keep_their_labels(data_project, ordered):
    put(data_project, "a.csv", as_csv([("0", "x"), ("1", "y"), ("1", "z")]))
    _, _, manifest = download(data_project, test_size=1, ordered=ordered)
    assert (manifest["source"], list(manifest["files"])) == ("files", ["a.csv"])
    schema = arrow.read_schema(data_project / "raw" / "train.arrow")
    assert (arrow.label_names(schema), arrow.ordered(schema)) == (["bad", "good"], ordered)


def test_empty_and_shared_texts_are_counted_and_dropped_on_request(data_project):
    put(data_project, "a.csv", as_csv([("0", " "), ("1", "x"), ("0", "y"), ("1", "x")]))
    put(data_project, "b.csv", as_csv([("0", "x")]))
    values = {"test_file": "b.csv", "test_size": None}
    train, _, manifest = download(data_project, **values)
    assert manifest["splits"]["train"]["empty_texts"] == 1
    assert manifest["splits"]["train"]["duplicate_texts"] == 1
    assert manifest["texts_in_train_and_test"] == 1
    assert len(train) == 4
    train, _, manifest = download(data_project, **values, drop_empty=True)
    assert manifest["splits"]["train"]["dropped_empty"] == 1
    assert len(train) == 3


def test_a_review_of_five_megabytes_is_only_a_long_review(data_project):
    put(data_project, "a.csv", as_csv([("0", "word " * 1_000_000), ("1", "short")]))
    train, test, _ = download(data_project, test_size=1)
    assert {len(text) for _, text in train + test} == {5_000_000, 5}


@pytest.mark.parametrize(
    ("content", "values", "message"),
    [
        ("label,text\n" + "0,x\n" * 5000 + "9,y\n", {}, "line 5002 has the label '9'"),
        ("label,text\n0,x\n", {"test_file": None, "test_size": 5}, "download.test_size is 5, but"),
        (
            "label,text\n0, \n",
            {"drop_empty": True},
            "the split 'train': 1 without a text, 0 without a label",
        ),
        (
            "label,text\n,x\n,y\n0,\n",
            {"drop_empty": True, "unlabelled": "drop", "test_file": None, "test_size": 0.5},
            "no rows are left for the split 'train': 1 without a text, 2 without a label; check "
            "download.text_column and download.label_column",
        ),
    ],
    ids=["late row", "more tests than rows", "nothing left", "nothing left of one file"],
)
def test_bad_input_is_one_line_and_leaves_nothing(data_project, content, values, message):
    put(data_project, "b.csv", "label,text\n0,x\n")
    put(data_project, "a.csv", content)
    replace(data_project, "download", {**FILES, "test_file": "b.csv", "test_size": None, **values})
    assert message in fails_here(main, *PATHS)
    assert not (data_project / "raw").exists()
    assert not (data_project / "m").exists()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_all_problems_of_a_file_are_one_error_each_kind_once(data_project, name):
    rows = [("0", "x"), ("2", "y"), ("1", "z"), ("2", "y"), ("", "v"), ("1", "a\0b"), ("", "w")]
    lines = [json.dumps({"label": label, "text": text}) for label, text in rows]
    put(data_project, name, as_csv(rows) if name == "a.csv" else "\n".join(lines))
    first = 2 if name == "a.csv" else 1
    with pytest.raises(UserError) as caught:
        download(data_project, train_file=name, test_size=1, unlabelled="error")
    assert caught.value.problem.endswith(f"{name} has 3 problems")
    found = caught.value.problems
    assert [re.sub(".*/", "", line).split(";")[0] for line in found] == [
        f"{name} line {first + 1} has the label '2', which is none of '0', '1' (2 rows)",
        f"{name} line {first + 4} has no label (2 rows)",
        f"{name} line {first + 5} has a NUL byte in its text",
    ]
    assert not (data_project / "raw").exists()


def test_unlabelled_rows_of_the_train_file_are_kept_on_request(data_project):
    put(
        data_project, "a.csv", as_csv([("0", "x"), ("", r"b\na"), ("1", "y"), ("", " "), ("", "c")])
    )
    put(data_project, "b.csv", as_csv([("0", "x"), ("", "test")]))
    values = {"test_file": "b.csv", "test_size": None, "unescape": True}
    for unlabelled, texts in (("drop", []), ("keep", ["b\na", "c"])):
        train, _, manifest = download(data_project, **values, unlabelled=unlabelled)
        assert len(train) == 2
        assert manifest["splits"]["train"]["dropped_unlabelled"] == 3
        assert pq.read_table(data_project / "u")["text"].to_pylist() == texts


def test_the_rows_carry_how_they_were_read(data_project):
    put(data_project, "a.csv", as_csv([("0", "x"), ("1", "y"), ("1", "z")], ";", ("topic", "body")))
    download(
        data_project, test_size=1, text_column="body", label_column="topic", delimiter=";",
        noun="ticket",
    )  # fmt: skip
    schema = arrow.read_schema(data_project / "raw" / "train.arrow")
    assert arrow.metadata(schema, "origin") == {
        "noun": "ticket", "ending": ".csv", "text_column": "body", "label_column": "topic",
        "labels": {"0": "bad", "1": "good"}, "encoding": "utf-8", "delimiter": ";", "quoted": None,
        "unescape": False,
    }  # fmt: skip
