"""The stage `download`: labelled reviews and their manifest, or one line and nothing."""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers import (
    DEADLINE,
    DOWNLOAD,
    FILES,
    ROOT,
    as_csv,
    edit,
    fails_here,
    put,
    read_reviews,
    replace,
    run,
)

from stages.download import main
from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import call

PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "m")


def download(project, **values) -> tuple[list, list, dict]:
    """Run the stage on FILES with `values`; returns train rows, test rows and manifest."""
    replace(project, "download", {**FILES, **values})
    return download_again(project)


def download_again(project) -> tuple[list, list, dict]:
    call(main, *(project / path for path in PATHS))
    train, test = (read_reviews(project / "raw" / f"{name}.arrow") for name in ("train", "test"))
    return train, test, json.loads((project / "m").read_text())


def test_the_manifest_counts_what_is_in_the_files(data_project):
    train, test, manifest = download_again(data_project)
    counted = manifest["splits"]["train"]
    assert manifest["source"] == "synthetic"
    assert (counted["rows"], manifest["splits"]["test"]["rows"]) == (len(train), len(test))
    assert (len(train), len(test)) == (200, 100)
    assert set(counted["labels"].values()) == {40}
    lengths = sorted(len(text) for _, text in train)
    assert (counted["characters"]["min"], counted["characters"]["max"]) == (lengths[0], lengths[-1])
    assert counted["characters"]["median"] == lengths[99]
    shared = {text for _, text in train} & {text for _, text in test}
    assert manifest["texts_in_train_and_test"] == len(shared)


def test_a_second_run_writes_the_same_bytes(data_project):
    def contents():
        download_again(data_project)
        files = [*(data_project / "raw").iterdir(), data_project / "m"]
        return {path.name: path.read_bytes() for path in files}

    first = contents()
    assert set(first) == {"train.arrow", "test.arrow", "m"}
    assert contents() == first
    assert not re.search("time|date|seconds", (data_project / "m").read_text())


def test_a_stage_started_by_dvc_writes_its_outs_and_prints_their_sizes(data_project):
    output = run(*DOWNLOAD, cwd=data_project)
    assert "train: 200 reviews, 5 labels\ntest: 100 reviews, 5 labels\n" in output
    assert {path.name for path in (data_project / "raw").iterdir()} == {"train.arrow", "test.arrow"}


def test_files_are_split_counted_and_hashed(data_project):
    rows = [(str(number % 2), f"review {number % 45}") for number in range(50)]
    put(data_project, "a.csv", as_csv(rows))
    train, test, manifest = download(data_project, test_size=10)
    assert sorted(train + test) == sorted((int(label), text) for label, text in rows)
    assert (manifest["source"], list(manifest["files"])) == ("files", ["a.csv"])
    assert {name: split["rows"] for name, split in manifest["splits"].items()} == {
        "train": 40, "test": 10,
    }  # fmt: skip
    names = arrow.label_names(arrow.read_schema(data_project / "raw" / "train.arrow"))
    assert names == ["bad", "good"]


def test_two_files_with_the_same_texts_are_counted_as_shared(data_project):
    put(data_project, "a.csv", as_csv([("0", "x"), ("1", "y"), ("0", "z")]))
    put(data_project, "b.csv", as_csv([("0", "y"), ("1", "z"), ("1", "z")]))
    train, test, manifest = download(data_project, test_file="b.csv", test_size=None)
    assert train == [(0, "x"), (1, "y"), (0, "z")]
    assert test == [(0, "y"), (1, "z"), (1, "z")]
    assert manifest["texts_in_train_and_test"] == 2


def test_empty_texts_are_counted_and_dropped_on_request(data_project):
    put(data_project, "a.csv", as_csv([("0", " "), ("1", "x"), ("0", "y"), ("1", "x")]))
    put(data_project, "b.csv", as_csv([("0", "x")]))
    values = {"test_file": "b.csv", "test_size": None}
    train, _, manifest = download(data_project, **values)
    assert manifest["splits"]["train"]["empty_texts"] == 1
    assert manifest["splits"]["train"]["duplicate_texts"] == 1
    assert len(train) == 4
    train, _, manifest = download(data_project, **values, drop_empty=True)
    assert manifest["splits"]["train"]["dropped_empty"] == 1
    assert len(train) == 3


def test_a_review_of_five_megabytes_is_only_a_long_review(data_project):
    put(data_project, "a.csv", as_csv([("0", "word " * 1_000_000), ("1", "short")]))
    train, test, _ = download(data_project, test_size=1)
    assert {len(text) for _, text in train + test} == {5_000_000, 5}


def test_classes_without_an_order_are_marked_in_the_data(data_project):
    put(data_project, "a.csv", as_csv([(number % 2, f"review {number}") for number in range(9)]))
    for ordered in (True, False):
        download(data_project, ordered=ordered)
        for split in ("train", "test"):
            schema = arrow.read_schema(data_project / "raw" / f"{split}.arrow")
            assert arrow.ordered(schema) == ordered


@pytest.mark.parametrize(
    ("name", "content", "values"),
    [
        ("windows.csv", as_csv([(0, "don\u2019t"), (1, "caf\u00e9")] * 5).encode("cp1252"),
         {"encoding": "windows-1252"}),
        ("utf16.csv", as_csv([(0, "don\u2019t"), (1, "caf\u00e9")] * 5).encode("utf-16"), {}),
        ("european.csv", as_csv([(0, "don\u2019t"), (1, "caf\u00e9")] * 5, delimiter=";").encode(),
         {"delimiter": ";"}),
        ("quoted.TSV", as_csv([(0, "don\u2019t"), (1, "caf\u00e9")] * 5, delimiter="\t").encode(),
         {"quoted": True}),
        ("long.csv", as_csv([(0, "don\u2019t"), (1, "caf\u00e9")] * 5).encode(),
         {"longest_line_mb": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_is_described_by_parameters(data_project, name, content, values):
    put(data_project, name, content)
    train, test, _ = download(data_project, train_file=name, **values)
    assert sorted(train + test) == [(0, "don\u2019t")] * 5 + [(1, "caf\u00e9")] * 5


# --- Files that failed for others -----------------------------------------------------------------

CASES = ROOT.parent / "shared" / "field-cases"
# Case -> files, train and test rows, further parameters.
EXPECTED = {
    "01-float-labels": (("mine.csv",), 100, 20, {}),
    "02-bool-labels": (("mine.csv", "mine.jsonl", "mine.parquet"), 60, 20, {}),
    "04-cp1252": (("mine.csv",), None, None, {"encoding": "cp1252"}),
    "05-utf16": (("mine.csv",), 50, 10, {}),
    "07-tsv-loose-quotes": (("mine.tsv", "mine2.tsv"), 50, 10, {}),
    "09-semicolon": (("mine.csv",), None, None, {"delimiter": ";"}),
    "11-null-text": (("mine.csv", "mine.jsonl", "mine.parquet"), 61, 20, {}),
    "13-class-missing-in-train": (("train.csv",), 96, None, {}),
    "15-twenty-classes": (("mine.csv",), None, None, {"ordered": False}),
    "17-extension": (("REVIEWS.CSV", "reviews.ndjson"), None, None, {}),
    "20-unlabelled-rows": (("mine.csv", "mine.jsonl", "mine.parquet"), None, None,
                           {"unlabelled": "drop"}),
    "21-half-stars": (("mine.csv",), None, None, {}),
    "22-plain": (("mine.csv",), 100, 20, {}),
}  # fmt: skip


@pytest.mark.skipif(not CASES.is_dir(), reason="no field cases here")
@pytest.mark.parametrize("case", EXPECTED)
def test_a_file_that_failed_for_others_is_read(data_project, case):
    names, train_rows, test_rows, changes = EXPECTED[case]
    values = {**json.loads((CASES / case / "download.json").read_text()), **changes}
    values["unescape"] = values.pop("escapes") != "keep"
    for file in (CASES / case).iterdir():
        shutil.copy(file, data_project / "data" / "external")
    found = []
    for name in names:
        replace(data_project, "download", {**values, "train_file": name})
        train, test, _ = download_again(data_project)
        found.append((train, test))
        assert len(train) == (train_rows or len(train))
        assert len(test) == (test_rows or values["test_size"] or len(test))
    if case != "07-tsv-loose-quotes":  # two files of other rows
        assert all(rows == found[0] for rows in found)


BAD = {
    "missing file": ("other.csv", b"", {}, "no file 'data/external/a.csv'; 'data/external' holds"),
    "missing second file": (
        "a.csv", b"label,text\n0,x\n", {"test_file": "none.csv", "test_size": None},
        "no file 'data/external/none.csv'; 'data/external' holds 'a.csv'",
    ),
    "one file for both": (
        "a.csv", b"", {"test_file": "a.csv", "test_size": None},
        "test_file is train_file; set it to null",
    ),
    "one index for both": (
        "a.csv", b"", {"text_column": 1, "label_column": 1},
        "text_column and label_column: two different names, or two indices",
    ),
    "unknown encoding": ("a.csv", b"", {"encoding": "rot13"}, "download.encoding is 'rot13'"),
    "long delimiter": ("a.csv", b"", {"delimiter": ";;"}, "download.delimiter is ';;'"),
    "label of no value": (
        "a.csv", b"", {"labels": {None: "x", "1": "y"}}, "the value None is not a label; remove it",
    ),
    "label twice": (
        "a.csv", b"", {"labels": {"1.0": "x", 1: "y"}}, "the value '1' is there twice, also as 1",
    ),
    "late row": (
        "a.csv", b"label,text\n" + b"0,x\n" * 5000 + b"9,y\n",
        {"test_file": "b.csv", "test_size": None}, "line 5002 has the label '9'",
    ),
    "not Parquet": ("a.parquet", b"label", {"train_file": "a.parquet"}, "is not valid Parquet"),
    "more tests than rows": ("a.csv", b"label,text\n0,x\n", {}, "download.test_size is 5, but"),
    "nothing left": (
        "a.csv", b"label,text\n0, \n",
        {"test_file": "b.csv", "test_size": None, "drop_empty": True},
        "no review is left for the split 'train'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(data_project, name):
    file, content, values, message = BAD[name]
    put(data_project, "b.csv", b"label,text\n0,x\n")
    put(data_project, file, content)
    replace(data_project, "download", {**FILES, **values})
    assert message in fails_here(main, *PATHS)
    assert not (data_project / "raw").exists()
    assert not (data_project / "m").exists()


def limit_files() -> None:
    # As a full disk: writing more than this fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_one_line_and_leaves_nothing(data_project):
    edit(data_project, "download", train_size=5000)
    done = subprocess.run(
        DOWNLOAD, cwd=data_project, preexec_fn=limit_files, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: File too large" in done.stderr
    assert "free some space" in done.stderr
    assert not (data_project / "raw").exists()
    assert not (data_project / "m").exists()
    assert not list(data_project.rglob("*.partial"))


def test_sigterm_leaves_nothing_half_written(data_project):
    edit(data_project, "download", train_size=700_000)
    command = [sys.executable, *DOWNLOAD[1:]]
    with subprocess.Popen(command, cwd=data_project, stderr=subprocess.PIPE) as stage:
        try:
            deadline = time.monotonic() + DEADLINE
            while not list(data_project.glob(".raw.partial/train.arrow")):
                assert stage.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            stage.send_signal(signal.SIGTERM)
            assert stage.wait(DEADLINE) == 143
        finally:
            stage.kill()
    assert not list(data_project.rglob("*.partial"))
    assert not (data_project / "raw").exists()
    assert not (data_project / "m").exists()
