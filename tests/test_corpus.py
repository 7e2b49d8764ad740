"""Small files that once failed, damaged in random ways; files of ours that hold anything."""

import functools
import json

import pytest
from helpers import FILES, FUZZ_EXAMPLES, ROOT, SENTENCES, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.checkpoint import tokenizer
from yelp_stars.data.sources import Files
from yelp_stars.pipeline import entrypoint, files
from yelp_stars.pipeline.errors import UserError
from yelp_stars.scoring import calibration

CORPUS = ROOT / "tests" / "corpus"
# File -> its rows, or what its error says.
EXPECTED = {
    "UPPER.CSV": 2,
    "boolean-labels.jsonl": 2,
    "byte-order-mark.csv": 2,
    "carriage-returns.csv": "line 1 is not valid CSV: a carriage return is outside quotes",
    "cut.csv.gz": "is damaged; get it again",
    "deep.jsonl": "line 1 has a number or a nesting that is too long",
    "float-labels.csv": 3,
    "half-stars.csv": 2,
    "line-separators.jsonl": 2,
    "link.tgz": "is not a plain file but a folder, a link, or sparse; pack the file itself",
    "long-number.jsonl": "line 1 has a number or a nesting that is too long",
    "loose-quotes.tsv": 2,
    "nan.jsonl": "line 1 has no label; remove the row, or set download.unlabelled to 'drop'",
    "newlines-in-quotes.csv": 2,
    "not-parquet.parquet": "is not valid Parquet",
    "nul.csv": "line 2 has a NUL byte in its text; remove it",
    "null-text.jsonl": 3,
    "open-quote.csv": "line 2 is not valid CSV: a quoted field is never closed",
    "ragged.csv": "line 2 has 3 columns, not 2",
    "semicolons.csv": 2,
    "surrogate.jsonl": "line 1 has an unpaired surrogate in its text; fix it",
    "twice.csv": "has several columns 'text'; rename all but one",
    "unlabelled.csv": 2,
    "unpacks-to-much.csv.gz": "unpacks to more than 16 MB, 100 times its size",
    "utf-16.csv": 2,
    "windows-1252.csv": 2,
}
LABELS = {"0": "bad", "false": "bad", "0.5": "bad", "1": "good", "true": "good", "4.5": "good"}


def read(folder, name: str) -> int:
    """The number of rows of a file."""
    source = Files(
        **{
            **FILES,
            "train_file": f"{name}/train.csv" if name.endswith("tgz") else name,
            "test_size": 1,
            "labels": LABELS,
            "encoding": "cp1252" if name.startswith("windows") else "utf-8",
            "delimiter": ";" if name.startswith("semicolons") else None,
            "unlabelled": "drop" if name.startswith("unlabelled") else "error",
        }
    ).open(SENTENCES, folder)
    return len([*source.train, *source.test])


def test_the_corpus_has_these_files():
    assert {path.name for path in CORPUS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_that_once_failed_is_read_or_one_line(name):
    expected = EXPECTED[name]
    if isinstance(expected, int):
        assert read(CORPUS, name) == expected
    else:
        with pytest.raises(UserError, match=expected):
            read(CORPUS, name)


SMALL = [name for name in EXPECTED if (CORPUS / name).stat().st_size < 3000]


@settings(
    max_examples=FUZZ_EXAMPLES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(SMALL),
    changes=st.lists(
        st.tuples(st.integers(0, 3000), st.integers(0, 8), st.binary(max_size=8)), max_size=4
    ),
)
def test_a_file_of_the_corpus_damaged_at_random_is_read_or_one_line(tmp_path, name, changes):
    content = (CORPUS / name).read_bytes()
    for place, removed, inserted in changes:
        place %= len(content) + 1
        content = content[:place] + inserted + content[place + removed :]
    (tmp_path / name).write_bytes(content)
    assert result_or_line(functools.partial(read, tmp_path, name))


# Files that stages write and other stages and commands read: git merges them, disks damage them.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([*calibration.Calibration._fields, "a", ""]), inner, max_size=9
    ),
    max_leaves=12,
)  # fmt: skip
CONTENT = (
    VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
    | st.sampled_from([b"[" * 10**5, b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", b"\xff{}"])
)


@settings(
    max_examples=FUZZ_EXAMPLES // 5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=CONTENT)
def test_any_json_file_is_read_or_one_line(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", calibration.FILE, entrypoint.SECONDS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for read_it in (
        functools.partial(files.read_json, tmp_path / "a.json"),
        functools.partial(tokenizer.read_json, tmp_path / "a.json"),
        functools.partial(calibration.read, tmp_path),
    ):
        result_or_line(read_it)
    files.write_json(tmp_path / "b.json", entrypoint.stage_seconds())
