"""The stage `download`: labelled reviews and their manifest, or one line and nothing."""

import json

import pytest
from helpers import FILES, as_csv, fails_here, put, read_reviews, replace

from stages.download import main
from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import call

PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "m")


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
        ("label,text\n0, \n", {"drop_empty": True}, "no reviews are left for the split 'train'"),
    ],
    ids=["late row", "more tests than rows", "nothing left"],
)
def test_bad_input_is_one_line_and_leaves_nothing(data_project, content, values, message):
    put(data_project, "b.csv", "label,text\n0,x\n")
    put(data_project, "a.csv", content)
    replace(data_project, "download", {**FILES, "test_file": "b.csv", "test_size": None, **values})
    assert message in fails_here(main, *PATHS)
    assert not (data_project / "raw").exists()
    assert not (data_project / "m").exists()
