"""Where reviews come from: synthetic, the user's files, the Hugging Face Hub."""

import gzip
import hashlib
import json
import tarfile

import helpers
import pytest
from helpers import (
    DOWNLOAD,
    SENTENCES,
    SHARED,
    as_csv,
    fails,
    needs_sample,
    put,
    read_reviews,
    replace,
    run,
)
from hub import REVISION, online, serving

from yelp_stars.data import arrow
from yelp_stars.data.sources import open_files, open_synthetic
from yelp_stars.pipeline.errors import UserError

ROWS = [(0, "plain"), (1, 'a "quoted", one'), (0, "two\nlines"), (1, "caf\u00e9 \U0001f32e")]
# Those of the section `download` that `open_files` takes.
FILES = {
    key: value
    for key, value in helpers.FILES.items()
    if key not in ("source", "unescape", "drop_empty")
}


def splits(source) -> tuple[list, list]:
    return list(source.train), list(source.test)


def open_external(project, **changes):
    return open_files(project / "data" / "external", **{**FILES, **changes})


def test_synthetic_reviews_come_from_the_sentences():
    options = {"median_words": 20, "label_noise": 0.0, "seed": 0}
    source = open_synthetic(SENTENCES, train_size=120, test_size=101, **options)
    train, test = splits(source)
    assert (len(train), len(test)) == (120, 101)
    assert source.label_names == ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
    found = hashlib.sha256(SENTENCES.read_bytes()).hexdigest()
    assert source.provenance == {"sha256": found}


def test_two_files_are_the_two_splits(tmp_path):
    put(tmp_path, "a.csv", as_csv(ROWS))
    lines = "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in ROWS)
    zipped = put(tmp_path, "b.jsonl.gz", gzip.compress(lines.encode()))
    source = open_external(tmp_path, test_file="b.jsonl.gz", test_size=None)
    assert splits(source) == (ROWS, ROWS)
    assert source.label_names == ["bad", "good"]
    assert list(source.provenance["files"]) == ["a.csv", "b.jsonl.gz"]
    found = hashlib.sha256(zipped.read_bytes()).hexdigest()
    assert source.provenance["files"]["b.jsonl.gz"] == found


def test_one_file_is_split_by_a_seed(tmp_path):
    rows = [(str(number % 2), f"review {number}") for number in range(50)]
    put(tmp_path, "a.csv", as_csv(rows))
    train, test = splits(open_external(tmp_path, test_size=10))
    assert len(test) == 10
    assert sorted(train + test) == sorted((int(label), text) for label, text in rows)
    assert splits(open_external(tmp_path, test_size=10)) == (train, test)
    assert splits(open_external(tmp_path, test_size=10, seed=1))[1] != test


def test_a_test_split_of_all_rows_is_reported(tmp_path):
    rows = [("0", "x"), ("1", "y")]
    put(tmp_path, "a.csv", as_csv(rows))
    message = "^download.test_size is 2, but 'a.csv' has 2 rows; leave some for training$"
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        open_external(tmp_path, test_size=2)
    assert len(splits(open_external(tmp_path, test_size=1))[0]) == 1


def test_labels_are_numbered_in_the_order_of_their_names(tmp_path):
    put(tmp_path, "a.csv", as_csv([("bad", "x"), ("awful", "y"), ("good", "z"), ("7", "w")]))
    labels = {"good": "positive", "bad": "negative", "awful": "negative", 7: "positive"}
    source = open_external(tmp_path, test_size=1, labels=labels)
    train, test = splits(source)
    assert sorted(train + test) == [(0, "w"), (0, "z"), (1, "x"), (1, "y")]
    assert source.label_names == ["positive", "negative"]


@pytest.mark.parametrize("packed", [True, False])
def test_yelps_archive_and_its_folder_are_read(tmp_path, packed):
    # No header, class 1 to 5 first, quotes doubled, newlines escaped as two characters.
    line = '"{}","He said ""no""\\nand left {}"\n'
    files = {
        "train.csv": "".join(line.format(number % 5 + 1, number) for number in range(10)),
        "test.csv": "".join(line.format(number % 5 + 1, -number) for number in range(5)),
    }
    folder = "yelp_review_full_csv"
    for name, text in files.items():
        put(tmp_path, f"{folder}/{name}", text)
    if packed:
        source = tmp_path / "data" / "external" / folder
        with tarfile.open(f"{source}.tgz", "w:gz") as tar:
            tar.add(source, folder)
        folder += ".tgz"
    source = open_external(
        tmp_path,
        train_file=f"{folder}/train.csv",
        test_file=f"{folder}/test.csv",
        test_size=None,
        text_column=1,
        label_column=0,
        labels={str(star): f"{star} stars" for star in range(1, 6)},
    )
    train, test = splits(source)
    assert train[0] == (0, 'He said "no"\\nand left 0')
    assert [label for label, _ in test] == [0, 1, 2, 3, 4]
    assert len(train) == 10


def test_an_invalid_row_is_reported_before_anything_is_returned(tmp_path):
    put(tmp_path, "a.csv", as_csv([("0", "x"), ("9", "y")]))
    with pytest.raises(UserError, match=r"line 3 has the label .9.; add it to download\.labels"):
        open_external(tmp_path, test_size=1)


@needs_sample
def test_the_real_sample_is_read(tmp_path):
    put(tmp_path, ".gitignore", "*")
    target = tmp_path / "data" / "external" / "yelp.jsonl"
    target.symlink_to(SHARED / "yelp_review_full_sample.jsonl")
    labels = {str(star): f"{star + 1} stars" for star in range(5)}
    train, test = splits(
        open_external(tmp_path, train_file="yelp.jsonl", test_size=500, labels=labels)
    )
    assert (len(train), len(test)) == (1500, 500)
    assert {label for label, _ in train} == set(range(5))


# The Hub is asked from the stage: its address is read when huggingface_hub is imported.

HUB = {
    "source": "hub",
    "repo": "Yelp/yelp_review_full",
    "revision": REVISION,
    "train_split": "train",
    "test_split": "test",
    "text_column": "text",
    "label_column": "label",
    "unescape": False,
    "drop_empty": False,
}


def hub_parquet(folder, rows, label=None) -> bytes:
    from datasets import ClassLabel, Dataset, Features, Value

    names = ["1 star", "2 star", "3 stars", "4 stars", "5 stars"]
    labels = [row % 5 for row in range(rows)] if label is None else [label] * rows
    table = {"label": labels, "text": [rf"a\n{row}" for row in range(rows)]}
    features = Features({"label": ClassLabel(names=names), "text": Value("string")})
    Dataset.from_dict(table, features=features).to_parquet(folder / "hub.parquet")
    return (folder / "hub.parquet").read_bytes()


@pytest.fixture
def hub(tmp_path):
    with serving(REVISION) as hub:
        hub.files["datasets/Yelp/yelp_review_full"] = {
            "README.md": b"",
            "train-00000-of-00001.parquet": hub_parquet(tmp_path, 30),
            "test-00000-of-00001.parquet": hub_parquet(tmp_path, 10),
        }
        hub.files["datasets/Yelp/hidden_labels"] = {
            "README.md": b"",
            "train-00000-of-00001.parquet": hub_parquet(tmp_path, 3),
            "test-00000-of-00001.parquet": hub_parquet(tmp_path, 3, label=-1),
        }
        yield hub


@pytest.mark.slow
def test_a_data_set_is_streamed_from_the_hub_at_its_revision(data_project, tmp_path, hub):
    replace(data_project, "download", HUB)
    run(*DOWNLOAD, cwd=data_project, **online(hub, tmp_path / "hf"))
    rows = read_reviews(data_project / "raw" / "train.arrow")
    assert rows == [(row % 5, rf"a\n{row}") for row in range(30)]  # escapes are kept
    schema = arrow.read_schema(data_project / "raw" / "train.arrow")
    assert arrow.label_names(schema)[1] == "2 star"
    manifest = json.loads((data_project / "m").read_text())
    assert (manifest["repo"], manifest["revision"]) == ("Yelp/yelp_review_full", REVISION)
    replace(data_project, "download", {**HUB, "unescape": True})
    run(*DOWNLOAD, cwd=data_project, **online(hub, tmp_path / "hf"))
    rows = read_reviews(data_project / "raw" / "train.arrow")
    assert rows == [(row % 5, f"a\n{row}") for row in range(30)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_split": "trian"}, "Bad split: trian"),
        ({"text_column": "body"}, "has no column 'body'; it has 'label', 'text'"),
        ({"revision": "0" * 40}, "the Hub did not deliver 'Yelp/yelp_review_full'"),
        ({"repo": "Yelp/none"}, "the Hub did not deliver 'Yelp/none'"),
        ({"label_column": "text"}, "'text' is not a ClassLabel; use source: files"),
        (
            {"repo": "Yelp/hidden_labels"},
            "test row 1 has -1 where a label is expected; use source: files",
        ),
    ],
)
def test_a_data_set_that_the_hub_does_not_have_is_reported(
    data_project, tmp_path, hub, change, message
):
    replace(data_project, "download", {**HUB, **change})
    assert message in fails(*DOWNLOAD, cwd=data_project, **online(hub, tmp_path / "hf"))
    assert not (data_project / "raw").exists()


@pytest.mark.slow
def test_a_missing_network_is_reported_with_what_to_use_instead(data_project, tmp_path):
    replace(data_project, "download", HUB)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    message = fails(*DOWNLOAD, cwd=data_project, **offline)
    assert message.startswith("the Hub did not deliver 'Yelp/yelp_review_full'")
    assert message.endswith("run `make use PRESET=quickstart`: it needs no network")
