"""Reviews from the bank, from files and from a Hub; what is wrong with them is told."""

import csv
import gzip
import hashlib
import io
import json
import re
import resource
import signal
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SHARED, edit, fails, needs_sample, replace, run
from hub import serving
from test_params import DOWNLOAD, FILES

from stages.download import decode_escapes
from stars import arrow, builtin, readers

BANK = ROOT / "corpus" / "sentences.tsv"
REVISION = "c1f9ee939b7d05667af864ee1cb066393154bf85"
ROWS = [
    ("0", "plain"),
    ("1", 'a "quoted", one'),
    ("0", "two\nlines"),
    ("1", "caf\u00e9 \U0001f32e"),
]


def reviews(rows, split="train", **changes):
    options = {"median_words": 40, "label_noise": 0.1, "seed": 0, **changes}
    return list(builtin.reviews(builtin.read_bank(BANK, split), rows, split=split, **options))


def download(project: Path, **values) -> tuple[list, list, dict]:
    """Run the stage on FILES with `values`; its train rows, test rows and manifest."""
    replace(project, "download", {**FILES, **values})
    run(*DOWNLOAD, cwd=project)
    train, test = (
        [(row["label"], row["text"]) for row in arrow.read(project / "raw" / name).to_pylist()]
        for name in ("train.arrow", "test.arrow")
    )
    return train, test, json.loads((project / "m").read_text())


def put(project: Path, name: str, content: bytes | str) -> Path:
    path = project / "input" / "reviews" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(rows=ROWS, delimiter=",", header=("label", "text")) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=delimiter)
    writer.writerows([header, *rows] if header else rows)
    return lines.getvalue()


# --- built in ---------------------------------------------------------------------------------


def test_the_bank_has_several_hundred_sentences_for_each_split_and_shares_none():
    lines = [line.split("\t") for line in BANK.read_text("utf-8").splitlines()]
    train = {text for split, _, _, text in lines if split == "train"}
    test = {text for split, _, _, text in lines if split == "test"}
    assert len(train) > 800
    assert len(test) > 400
    assert not train & test
    slots = set(re.findall(r"{\w*}", " ".join(train | test)))
    assert slots == set(builtin.SLOTS)


def test_a_test_review_has_no_sentence_of_the_train_split():
    train = builtin.read_bank(BANK, "train")
    shown = [s for sentences in train.values() for s in sentences if "{" not in s]
    texts = " ".join(text for _, text in reviews(500, "test")).lower()
    assert not [sentence for sentence in shown if sentence.lower() in texts]


def test_built_in_reviews_are_balanced_and_a_prefix_of_more():
    few, many = reviews(1005), reviews(2500)
    assert many[:1005] == few
    assert set(Counter(label for label, _ in few).values()) == {201}


def test_built_in_reviews_follow_their_seed_and_leave_no_slot_open():
    assert reviews(300) == reviews(300)
    assert reviews(300) != reviews(300, seed=1)
    assert not [text for _, text in reviews(1000) if "{" in text or "}" in text]


@pytest.mark.parametrize("median", [20, 97])
def test_the_median_length_is_the_parameter(median):
    words = sorted(len(text.split()) for _, text in reviews(3000, median_words=median))
    assert words[1500] == pytest.approx(median, rel=0.15)


def test_lengths_have_the_shape_of_yelps():
    words = sorted(len(text.split()) for _, text in reviews(3000, median_words=97))
    # Yelp Review Full: a mean of 134 words at a median of 97.
    assert sum(words) / 3000 / words[1500] == pytest.approx(134 / 97, abs=0.12)
    assert words[2850] / words[1500] == pytest.approx(3.7, abs=0.6)  # exp(1.645 * 0.8)


def test_label_noise_is_the_share_of_texts_of_a_neighbouring_label():
    clean, noisy = reviews(2000, label_noise=0.0), reviews(2000, label_noise=0.2)
    moved = sum(a[1] != b[1] for a, b in zip(clean, noisy, strict=True))
    assert [label for label, _ in clean] == [label for label, _ in noisy]
    assert moved > 300


def test_the_manifest_counts_what_is_in_the_files(project):
    run(*DOWNLOAD, cwd=project)
    manifest = json.loads((project / "m").read_text())
    train = manifest["splits"]["train"]
    assert manifest["source"] == "builtin"
    assert train["rows"] == 200
    assert set(train["labels"].values()) == {40}
    lengths = sorted(len(t.as_py()) for t in arrow.read(project / "raw/train.arrow")["text"])
    assert (train["characters"]["min"], train["characters"]["max"]) == (lengths[0], lengths[-1])
    assert train["characters"]["median"] == lengths[99]
    assert not re.search("time|date|seconds", json.dumps(manifest))


# --- files ------------------------------------------------------------------------------------

WHOLE = [(0, "plain"), (1, 'a "quoted", one'), (0, "two\nlines"), (1, "caf\u00e9 \U0001f32e")]


def parquet(tmp_path: Path) -> bytes:
    table = pa.table({"label": [label for label, _ in WHOLE], "text": [t for _, t in WHOLE]})
    pq.write_table(table, tmp_path / "made.parquet")
    return (tmp_path / "made.parquet").read_bytes()


def jsonl() -> str:
    return "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in WHOLE)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_file_gives_the_same_rows(project, tmp_path, kind, zipped):
    made = {
        "csv": lambda: as_csv().encode(),
        "tsv": lambda: as_csv(delimiter="\t").encode(),
        "jsonl": lambda: jsonl().encode(),
        "parquet": lambda: parquet(tmp_path),
    }[kind]()
    name = f"reviews.{kind}{'.gz' if zipped else ''}"
    path = put(project, name, gzip.compress(made) if zipped else made)
    rows = [(int(label), text) for _, label, text in readers.rows(path, "text", "label")]
    assert rows == WHOLE


def test_two_files_are_the_two_splits(project):
    put(project, "a.csv", as_csv())
    put(project, "b.jsonl.gz", gzip.compress(jsonl().encode()))
    train, test, manifest = download(
        project, train_file="a.csv", test_file="b.jsonl.gz", test_size=None
    )
    assert train == test == WHOLE
    found = hashlib.sha256((project / "input" / "reviews" / "a.csv").read_bytes()).hexdigest()
    assert list(manifest["files"]) == ["a.csv", "b.jsonl.gz"]
    assert manifest["files"]["a.csv"] == found
    assert manifest["texts_in_train_and_test"] == 4


def test_one_file_is_cut_by_a_seed(project):
    rows = [(str(number % 2), f"review {number}") for number in range(50)]
    put(project, "a.csv", as_csv(rows))
    train, test, _ = download(project, test_size=10)
    assert len(test) == 10
    assert sorted(train + test) == sorted((int(label), text) for label, text in rows)
    assert download(project, test_size=10)[1] == test
    assert download(project, test_size=10, seed=1)[1] != test


def test_labels_are_mapped_from_numbers_or_words_to_names(project):
    put(project, "a.csv", as_csv([("bad", "x"), ("awful", "y"), ("good", "z"), ("7", "w")]))
    labels = {"good": "positive", "bad": "negative", "awful": "negative", 7: "positive"}
    train, test, _ = download(project, test_size=1, labels=labels)
    assert sorted(train + test) == [(0, "w"), (0, "z"), (1, "x"), (1, "y")]
    names = arrow.label_names(arrow.read(project / "raw" / "train.arrow").schema)
    assert names == ["positive", "negative"]


@pytest.mark.parametrize("packed", [True, False])
def test_the_crepe_archive_and_its_folder_are_read(project, tmp_path, packed):
    # No header, class 1 to 5 first, quotes doubled, newlines escaped as two characters.
    line = '"{}","He said ""no""\\nand left {}"\n'
    files = {
        "train.csv": "".join(line.format(number % 5 + 1, number) for number in range(10)),
        "test.csv": "".join(line.format(number % 5 + 1, -number) for number in range(5)),
    }
    folder = "yelp_review_full_csv"
    for name, text in files.items():
        put(project, f"{folder}/{name}", text)
    if packed:
        source = project / "input" / "reviews" / folder
        with tarfile.open(f"{source}.tgz", "w:gz") as tar:
            tar.add(source, folder)
        folder += ".tgz"
    train, test, _ = download(
        project,
        train_file=f"{folder}/train.csv",
        test_file=f"{folder}/test.csv",
        test_size=None,
        text_column=1,
        label_column=0,
        labels={str(star): f"{star} stars" for star in range(1, 6)},
        escapes="decode",
    )
    assert train[0] == (0, 'He said "no"\nand left 0')
    assert [label for label, _ in test] == [0, 1, 2, 3, 4]
    assert len(train) == 10


def test_escapes_are_decoded_or_kept():
    assert decode_escapes(r"a\nb \"c\" " "d" "") == 'a\nb "c" d'
    assert decode_escapes('say ""hi""') == 'say "hi"'


def test_empty_texts_are_counted_and_dropped_on_request(project):
    put(project, "a.csv", as_csv([("0", " "), ("1", "x"), ("0", "y"), ("1", "x")]))
    put(project, "b.csv", as_csv([("0", "x")]))
    train, _, kept = download(project, test_file="b.csv", test_size=None)
    assert kept["splits"]["train"]["empty_texts"] == 1
    assert kept["splits"]["train"]["duplicate_texts"] == 1
    assert len(train) == 4
    train, _, kept = download(project, test_file="b.csv", test_size=None, drop_empty=True)
    assert kept["splits"]["train"]["dropped_empty"] == 1
    assert len(train) == 3


def test_a_review_of_five_megabytes_is_only_a_long_review(project):
    long = "word " * 1_000_000
    put(project, "a.csv", as_csv([("0", long), ("1", "short")]))
    train, test, _ = download(project, test_size=1)
    assert {len(text) for _, text in train + test} == {5_000_000, 5}


BAD = {
    "missing file": ("other.csv", b"", {}, "no file 'input/reviews/a.csv'"),
    "missing second file": (
        "a.csv", b"label,text\n0,x\n", {"test_file": "b.csv", "test_size": None},
        "no file 'input/reviews/b.csv'; 'input/reviews' holds a.csv",
    ),
    "unknown kind": ("a.xls", b"", {"train_file": "a.xls"}, "must end in .csv"),
    "empty file": ("a.csv", b"", {}, "is empty"),
    "only a header": ("a.csv", b"label,text\n", {}, "is empty"),
    "missing column": ("a.csv", b"label,body\n0,x\n", {}, "no column 'text'; it has 'label'"),
    "column number": ("a.csv", b"0,x\n", {"text_column": 2, "label_column": 0}, "no column 2"),
    "unknown label": ("a.csv", b"label,text\n0,x\n9,y\n", {}, "line 3 has the label '9'"),
    "invalid UTF-8": ("a.csv", b"label,text\n0,x\n0,\xff\n", {}, "line 3 is not UTF-8 (byte 0xff)"),
    "NUL byte": ("a.csv", b"label,text\n0,x\0y\n", {}, "line 2 has a NUL byte"),
    "ragged": ("a.csv", b"label,text\n0,x,y\n", {}, "line 2 has 3 columns, not 2"),
    "open quote": ("a.csv", b'label,text\n0,"x\n', {}, "is not valid CSV"),
    "not JSON": ("a.jsonl", b"{\n", {"train_file": "a.jsonl"}, "line 1 is not JSON"),
    "no object": ("a.jsonl", b"3\n", {"train_file": "a.jsonl"}, "line 1 is no JSON object"),
    "no text": (
        "a.jsonl", b'{"label": 0, "text": null}\n', {"train_file": "a.jsonl"}, "no text but None",
    ),
    "half a pair": (
        "a.jsonl", b'{"label": 0, "text": "\\ud800"}\n', {"train_file": "a.jsonl"}, "surrogate",
    ),
    "not gzip": ("a.csv.gz", b"label", {"train_file": "a.csv.gz"}, "is a damaged archive"),
    "not Parquet": ("a.parquet", b"label", {"train_file": "a.parquet"}, "is not valid Parquet"),
    "deep JSON": ("a.jsonl", b"[" * 100_000, {"train_file": "a.jsonl"}, "line 1 is not JSON"),
    "not in archive": ("a.tgz", b"x", {"train_file": "a.tgz/t.csv"}, "is a damaged archive"),
    "more tests than rows": ("a.csv", b"label,text\n0,x\n", {}, "download.test_size is 5, but"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(project, name):
    file, content, values, told = BAD[name]
    put(project, file, content)
    replace(project, "download", {**FILES, **values})
    assert told in fails(*DOWNLOAD, cwd=project)
    assert not (project / "raw").exists()
    assert not (project / "m").exists()


def test_a_damaged_parquet_file_is_one_line(project, tmp_path):
    whole = bytearray(parquet(tmp_path))
    whole[8:60] = b"\xff" * 52
    put(project, "a.parquet", bytes(whole))
    replace(project, "download", {**FILES, "train_file": "a.parquet"})
    assert "a.parquet is not valid Parquet" in fails(*DOWNLOAD, cwd=project)


def limit_files() -> None:
    # As a full disk: writing more than this fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_one_line_and_leaves_nothing(project):
    edit(project, "download", train_size=5000)
    done = subprocess.run(
        DOWNLOAD, cwd=project, preexec_fn=limit_files, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: File too large" in done.stderr
    assert "free some space" in done.stderr
    assert not (project / "raw").exists()
    assert not list(project.rglob("*.partial"))


def test_sigterm_leaves_nothing_half_written(project):
    edit(project, "download", train_size=700_000)
    stage = subprocess.Popen(DOWNLOAD, cwd=project, stderr=subprocess.PIPE)
    while not list(project.glob(".raw.partial/train.arrow")):
        assert stage.poll() is None
    stage.send_signal(signal.SIGTERM)
    assert stage.wait(20) == 143
    assert not list(project.rglob("*.partial"))
    assert not (project / "raw").exists()


@needs_sample
def test_the_real_sample_is_read(project):
    target = project / "input" / "reviews" / "yelp.jsonl"
    target.symlink_to(SHARED / "yelp_review_full_sample.jsonl")
    labels = {str(star): f"{star + 1} stars" for star in range(5)}
    train, test, manifest = download(project, train_file="yelp.jsonl", test_size=500, labels=labels)
    assert (len(train), len(test)) == (1500, 500)
    assert sum(manifest["splits"]["test"]["labels"].values()) == 500


# --- the Hub ----------------------------------------------------------------------------------

HUB = {
    "source": "hub",
    "repo": "Yelp/yelp_review_full",
    "revision": REVISION,
    "train_split": "train",
    "test_split": "test",
    "text_column": "text",
    "label_column": "label",
    "escapes": "keep",
    "drop_empty": False,
}


def hub_parquet(tmp_path: Path, rows: int) -> bytes:
    from datasets import ClassLabel, Dataset, Features, Value

    names = ["1 star", "2 star", "3 stars", "4 stars", "5 stars"]
    table = {"label": [row % 5 for row in range(rows)], "text": [rf"a\n{r}" for r in range(rows)]}
    features = Features({"label": ClassLabel(names=names), "text": Value("string")})
    Dataset.from_dict(table, features=features).to_parquet(tmp_path / "hub.parquet")
    return (tmp_path / "hub.parquet").read_bytes()


@pytest.fixture
def hub(tmp_path):
    with serving(REVISION) as hub:
        hub.files["datasets/Yelp/yelp_review_full"] = {
            "README.md": b"",
            "train-00000-of-00001.parquet": hub_parquet(tmp_path, 30),
            "test-00000-of-00001.parquet": hub_parquet(tmp_path, 10),
        }
        yield hub


def online(hub, tmp_path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }


def test_a_data_set_is_streamed_from_the_hub_at_its_revision(project, tmp_path, hub):
    replace(project, "download", HUB)
    run(*DOWNLOAD, cwd=project, **online(hub, tmp_path))
    table = arrow.read(project / "raw" / "train.arrow")
    assert len(table) == 30
    assert table["text"][3].as_py() == r"a\n3"  # escapes are kept
    assert arrow.label_names(table.schema)[1] == "2 star"
    manifest = json.loads((project / "m").read_text())
    assert (manifest["repo"], manifest["revision"]) == ("Yelp/yelp_review_full", REVISION)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_split": "trian"}, "Bad split: trian"),
        ({"text_column": "body"}, "has no column 'body'; it has 'label', 'text'"),
        ({"revision": "0" * 40}, "the Hub did not give 'Yelp/yelp_review_full'"),
        ({"repo": "Yelp/none"}, "the Hub did not give 'Yelp/none'"),
        ({"label_column": "text"}, "'text' is no ClassLabel"),
    ],
)
def test_what_the_hub_does_not_have_is_told(project, tmp_path, hub, change, told):
    replace(project, "download", {**HUB, **change})
    assert told in fails(*DOWNLOAD, cwd=project, **online(hub, tmp_path))
    assert not (project / "raw").exists()


def test_no_hub_is_told_with_what_to_use_instead(project, tmp_path):
    replace(project, "download", HUB)
    told = fails(*DOWNLOAD, cwd=project, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    assert "the Hub did not give 'Yelp/yelp_review_full'" in told
    assert "make use PRESET=quickstart" in told
