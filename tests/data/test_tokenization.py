"""Token ids: those of AutoTokenizer, truncated as chosen, never padded."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from helpers import SHARED, needs_bert, needs_sample

from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.data import arrow
from yelp_stars.data.sources import write_reviews
from yelp_stars.data.tokenization import (
    Workers,
    encode,
    id_dtype,
    start_workers,
    tokenize,
    tokenize_file,
)
from yelp_stars.pipeline.errors import UserError

HOSTILE = [
    "",
    " ",
    "\u200b",
    "caf\u00e9 na\u00efve",
    "\U0001f32e\U0001f600\ufe0f",
    "\u4e2d\u6587\u8bc4\u8bba",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\x01\x02\x7f\u0085\ufeff",
    "a" * 5000,
    "[CLS] [SEP] [MASK] [PAD]",
    r"literal \n and \"quotes\"",
    "e\u0301" * 40,
    "<script>alert(1)</script>",
]


def rows(encoded) -> list[list[int]]:
    return [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])]


def encode_list(texts, tokenizer, max_length, truncation):
    return encode(pa.array(texts, pa.large_string()), tokenizer, max_length, truncation)


def assert_same_as_auto_tokenizer(folder, texts, max_length) -> None:
    from transformers import AutoTokenizer

    auto = AutoTokenizer.from_pretrained(folder)
    expected = auto(texts, truncation=True, max_length=max_length)["input_ids"]
    tokenizer, _ = load_tokenizer(folder)
    assert rows(encode_list(texts, tokenizer, max_length, "head")) == expected


@pytest.mark.slow
def test_ids_equal_auto_tokenizers_on_hostile_text(tiny_checkpoint):
    assert_same_as_auto_tokenizer(tiny_checkpoint, HOSTILE, 32)


@pytest.mark.slow
@needs_bert
@needs_sample
def test_ids_equal_auto_tokenizers_on_real_reviews():
    lines = (SHARED / "yelp_review_full_sample.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert_same_as_auto_tokenizer(SHARED / "bert-base-cased", texts + HOSTILE, 512)


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [("[CLS] $A [SEP]", 1, 1), ("[CLS] [MASK] $A", 2, 0), ("$A", 0, 0)],
)
def test_special_tokens_are_kept_wherever_they_are(tokenizer_files, template, before, after):
    from tokenizers import processors

    tokenizer, _ = load_tokenizer(tokenizer_files)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]", "[MASK]")]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    complete = tokenizer.encode("good bad food " * 4).ids
    ids = encode_list(["good bad food " * 4], tokenizer, 8, "tail").ids.tolist()
    assert ids == complete[:before] + complete[-(8 - before) :]


def test_ids_are_stored_in_the_narrowest_dtype():
    assert id_dtype(28_996) == id_dtype(2**16) == np.uint16
    assert id_dtype(2**16 + 1) == np.int32


def test_a_file_is_tokenized_row_by_row_without_padding(tokenizer_files, tmp_path):
    reviews = [(number % 2, f"the food was {'good ' * (number % 9)}") for number in range(2300)]
    write_reviews(tmp_path / "raw.arrow", reviews, ["bad", "good"])
    tokenizer, _ = load_tokenizer(tokenizer_files)
    with start_workers(tokenizer) as workers:
        n_rows, n_tokens, n_truncated = tokenize_file(
            tmp_path / "raw.arrow", tmp_path / "tokens.arrow", tokenizer, workers, 8, "head"
        )
    table = arrow.read(tmp_path / "tokens.arrow")
    assert arrow.metadata(table.schema, "max_length") == 8
    assert table["row"].to_pylist() == list(range(2300))
    assert table["label"].to_pylist() == [label for label, _ in reviews]
    ids = table["input_ids"].to_pylist()
    expected = [tokenizer.encode(text).ids for _, text in reviews]
    for row in (0, 3, 999, 1000, 2299):
        assert ids[row] == [*expected[row][:7], 3][: len(expected[row])]
    lengths = [min(len(row), 8) for row in expected]
    assert [*map(len, ids)] == lengths
    assert (n_rows, n_tokens) == (2300, sum(lengths))
    assert n_truncated == sum(len(row) > 8 for row in expected) > 0


def test_the_number_of_threads_changes_nothing(tokenizer_files):
    tokenizer, _ = load_tokenizer(tokenizer_files)
    texts = [pa.array([f"good {'food ' * (row % 7)}" for row in range(250)])] * 9
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(5) as many:
        first, second = (
            list(tokenize(texts, Workers(threads, tokenizer, max_pending), 8, "tail"))
            for threads, max_pending in ((one, 1), (many, 5))
        )
    assert len(first) == 9
    for single, parallel in zip(first, second, strict=True):
        assert single.ids.tolist() == parallel.ids.tolist()
        assert single.lengths.tolist() == parallel.lengths.tolist()
        assert single.n_truncated == parallel.n_truncated > 0


def test_a_cluster_without_dask_is_reported(tokenizer_files, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://10.0.0.1:8786")
    with pytest.raises(UserError) as caught, start_workers(load_tokenizer(tokenizer_files)[0]):
        pass
    assert "Dask is not installed; run `pip install -e '.[cluster]'`" in str(caught.value)
