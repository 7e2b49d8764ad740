"""Where reviews come from: synthetic, the user's files, the Hugging Face Hub."""

import gzip
import hashlib
import json
import tarfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import FILES, SENTENCES, as_csv, put
from hub import REVISION, connect, serving

from yelp_stars.data import arrow
from yelp_stars.data.sources import Files, Hub, Synthetic
from yelp_stars.pipeline.errors import UserError

ROWS = [(0, "plain"), (1, 'a "quoted", one'), (0, "two\nlines"), (1, "caf\u00e9 \U0001f32e")]
DROPPING = {"unescape": True, "drop_empty": True, "unlabelled": "drop"}


def splits(source) -> tuple[list, list]:
    return list(source.train), list(source.test)


def open_external(project, **changes):
    source = Files(**{**FILES, **changes})
    return source.open(SENTENCES, project / "data" / "external")


def test_synthetic_reviews_come_from_the_sentences(tmp_path):
    source = Synthetic(
        source="synthetic", train_size=120, test_size=101, median_words=20, label_noise=0.0, seed=0
    ).open(SENTENCES, tmp_path)
    assert [len(split) for split in splits(source)] == [120, 101]
    assert source.label_names == ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
    assert source.provenance == {"sha256": hashlib.sha256(SENTENCES.read_bytes()).hexdigest()}


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


@pytest.mark.parametrize("seed", range(5))
def test_the_test_rows_have_the_label_proportions_of_the_file(tmp_path, seed):
    labels = "0" * 90 + "1" * 5 + "0" * 5
    put(tmp_path, "a.csv", as_csv((label, f"review {n}") for n, label in enumerate(labels)))
    _, test = splits(open_external(tmp_path, test_size=0.2, seed=seed))
    assert sorted(label for label, _ in test) == [0] * 19 + [1]


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


def test_what_is_dropped_is_dropped_before_the_test_rows_are_drawn(tmp_path):
    texts = ["", " ", r"\n"]
    rows = [(number % 2, texts[number % 3] if number % 10 < 2 else f"review {number}")
            for number in range(90)]  # fmt: skip
    put(tmp_path, "a.csv", as_csv([*rows, *[("", "unlabelled")] * 7]))
    source = open_external(tmp_path, test_size=20, **DROPPING)
    train, test = splits(source)
    assert (len(train), len(test)) == (72 - 20, 20)
    assert all(text.startswith("review") for _, text in train + test)
    assert source.dropped == {"train": {"empty": 18, "unlabelled": 7}, "test": {}}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("label", [1, 0.5, True, "b"])
def test_what_is_missing_is_dropped_or_kept_in_every_format_and_counted_by_split(
    tmp_path, suffix, label
):
    for name, n in (("a", 3), ("b", 2)):
        rows = [(label, r"x\ny"), *[(label, None)] * n, *[(None, "z")] * (n + 1)]
        path = put(tmp_path, f"{name}.{suffix}", "")
        table = pd.DataFrame(rows, columns=["label", "text"])
        if suffix == "parquet":
            table.to_parquet(path)
        elif suffix == "jsonl":
            table.to_json(path, orient="records", lines=True)
        else:
            table.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    values = {"train_file": f"a.{suffix}", "test_file": f"b.{suffix}", "test_size": None}
    values |= {"labels": {str(label): "good", "-1": "bad"}, "ordered": True}
    source = open_external(tmp_path, **values, **DROPPING)
    assert splits(source) == ([(0, "x\ny")], [(0, "x\ny")])
    assert source.dropped == {
        "train": {"empty": 3, "unlabelled": 4}, "test": {"empty": 2, "unlabelled": 3},
    }  # fmt: skip
    source = open_external(tmp_path, **values, **{**DROPPING, "drop_empty": False})
    assert splits(source)[1] == [(0, "x\ny"), (0, ""), (0, "")]


HUB = {
    "source": "hub",
    "ordered": True,
    "unescape": False,
    "drop_empty": False,
    "unlabelled": "error",
    "repo": "Yelp/yelp_review_full",
    "revision": REVISION,
    "train_split": "train",
    "test_split": "test",
    "text_column": "text",
    "label_column": "label",
}


def hub_parquet(folder, labels, texts=None) -> bytes:
    texts = texts or [rf"a\n{row}" for row in range(len(labels))]
    names = ["1 star", "2 star", "3 stars", "4 stars", "5 stars"]
    schema = arrow.make_schema({"label": pa.int64(), "text": pa.string()}, names)
    pq.write_table(pa.table([labels, texts], schema=schema), folder / "hub.parquet")
    return (folder / "hub.parquet").read_bytes()


@pytest.fixture
def some_hub(tmp_path, monkeypatch):
    """A Hub with three data sets, to which the clients in this process connect."""
    import datasets

    some = hub_parquet(
        tmp_path, [0, -1, 4, None, 1, 2, 3, 0, 1], ["a", "x", "b", "y", None, " ", "", "c", "d"]
    )
    repos = {
        "yelp_review_full": [hub_parquet(tmp_path, list(range(5)) * n) for n in (6, 2)],
        "hidden_labels": [hub_parquet(tmp_path, labels) for labels in ([0, 1, 2], [-1] * 3)],
        "some_labels": [some, some],
    }
    with serving(REVISION) as hub:
        for name, (train, test) in repos.items():
            hub.files[f"datasets/Yelp/{name}"] = {
                "README.md": b"",
                "train-00000-of-00001.parquet": train,
                "test-00000-of-00001.parquet": test,
            }
        connect(monkeypatch, hub, tmp_path / "hf")
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.address)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
        yield hub


def open_hub(**values):
    return Hub(**{**HUB, **values}).open(None, None)


@pytest.mark.slow
def test_a_data_set_is_streamed_from_the_hub_at_its_revision(some_hub):
    source = open_hub()
    assert splits(source)[0] == [(row % 5, rf"a\n{row}") for row in range(30)]  # escapes are kept
    assert source.label_names[1] == "2 star"
    assert source.dropped == {"train": {}, "test": {}}
    assert source.provenance == {"repo": "Yelp/yelp_review_full", "revision": REVISION}
    source = open_hub(repo="Yelp/some_labels", **DROPPING)
    train, test = splits(source)
    assert train == test == [(0, "a"), (4, "b"), (0, "c"), (1, "d")]
    assert source.dropped["train"] == source.dropped["test"] == {"empty": 3, "unlabelled": 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train_split": "trian"}, "Bad split: trian"),
        ({"text_column": "body"}, "has no column 'body'; it has 'label', 'text'"),
        ({"label_column": "text", "text_column": "label"}, "'text' is not a ClassLabel; use sou"),
        ({"repo": "Yelp/hidden_labels"}, "test row 1 has no label; remove the row, or set"),
    ],
)
def test_a_data_set_that_does_not_fit_is_one_line(some_hub, values, message):
    with pytest.raises(UserError, match=message):
        splits(open_hub(**values))


AUTO = {"labels": "auto", "ordered": False}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", " b", "c"], ["a", "b", "c"]),
        (["10", "9", "1.0", "2"], ["1", "2", "9", "10"]),
        (["true", "False", "TRUE"], ["false", "true"]),
        (["10 stars", "2 stars", "2.5 stars"], ["2 stars", "2.5 stars", "10 stars"]),
        (["1.9", "1.10", "1.1"], ["1.1", "1.10", "1.9"]),
        (["5星", "10星", "4星"], ["4星", "5星", "10星"]),
        (["10stars", "9stars", "1Star"], ["1Star", "9stars", "10stars"]),
        (["10. best", "9_good", "-1%"], ["-1%", "9_good", "10. best"]),
    ],
)
def test_automatic_labels_are_the_sorted_values_of_the_file(tmp_path, values, names):
    put(tmp_path, "a.csv", as_csv([(value, f"text {number}") for number in range(4)
                                   for value in [*values, ""]]))  # fmt: skip
    source = open_external(tmp_path, test_size=0.25, unlabelled="drop", **AUTO)
    assert source.label_names == names
    train, test = splits(source)
    assert len(test) == round(0.25 * 4 * len(values))
    assert {names[label] for label, _ in train + test} == set(names)


@pytest.mark.parametrize("values", [["5A11", "1E30"], ["1.0.1", "1.0.2"], ["3rd", "4th"]])
def test_codes_are_words_though_they_begin_with_a_number(tmp_path, values):
    put(tmp_path, "a.csv", as_csv([(value, "text") for value in values for _ in range(4)]))
    with pytest.raises(UserError) as error:
        open_external(tmp_path, labels="auto", ordered=None, test_size=0.25)
    assert error.value.setting == "download.ordered"


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        (["a", "b", "a"], "download.labels"),  # a typo, most often
        (["a", "a"], "download.label_column"),
        (["a", "b", "c", "a"], "download.label_column"),
        ([str(number // 2) for number in range(402)], "download.label_column"),
    ],
)
def test_automatic_labels_refuse_what_is_no_column_of_labels(tmp_path, values, setting):
    put(tmp_path, "a.csv", as_csv([(value, "text") for value in values]))
    with pytest.raises(UserError) as error:
        open_external(tmp_path, test_size=0.25, **AUTO)
    assert error.value.setting == setting


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            '[\n  {"text": "x", "label": "a"}\n]',
            "a JSON array\\? write one object per line",
        ),
        ("a.json", '[{"text": "x", "label": "a"}]', "is not a JSON object; write one object per"),
        ("a.jsonl", '{"text": "x", "category": "a"}\n' * 3, "has no column 'label'; it has 'text'"),
        ("a.jsonl", '{"text": "x", "label": ["a"]}\n' * 3, r"has \['a'\] where a label is exp"),
        ("a.csv", "label,text\na,x\na,y\nä,z\nä,z\n".encode("cp1252"), "is not UTF-8"),
        ("a.csv", "label;text\na;x\na;y\n", "download.delimiter to ';'"),
        ("a.csv", "label,text\na,x\nb,y\nb,z\na,z\nc,z\n", "line 6 is the only row with 'c' in"),
    ],
)
def test_automatic_labels_do_not_hide_what_is_wrong_with_the_file(tmp_path, name, content, message):
    put(tmp_path, name, content)
    with pytest.raises(UserError, match=message):
        open_external(tmp_path, train_file=name, test_size=0.25, **AUTO)


@pytest.mark.parametrize("ordered", [True, None])
def test_automatic_labels_refuse_words_that_have_an_order(tmp_path, ordered):
    rows = [(value, "text") for value in ("low", "medium", "high") for _ in range(4)]
    put(tmp_path, "a.csv", as_csv(rows))
    with pytest.raises(UserError, match=r"'high', 'low', 'medium'; list them from worst to best"):
        open_external(tmp_path, labels="auto", ordered=ordered, test_size=0.25)


@pytest.mark.parametrize(
    ("labels", "ordered"), [({"1": "bad", "2": "good"}, True), ({"a": "bad", "b": "good"}, None)]
)
def test_an_order_is_derived_from_numbers_and_must_be_said_for_words(tmp_path, labels, ordered):
    rows = [(value, "text") for value in labels for _ in range(4)]
    put(tmp_path, "a.csv", as_csv(rows))
    if ordered is None:
        with pytest.raises(ValueError, match="the labels are words: set ordered to true if they"):
            open_external(tmp_path, labels=labels, ordered=None)
        assert not open_external(tmp_path, labels=labels, ordered=False).ordered
        with pytest.raises(UserError) as error:
            open_external(tmp_path, labels="auto", ordered=None)
        assert error.value.setting == "download.ordered"
    else:
        assert open_external(tmp_path, labels=labels, ordered=None).ordered
