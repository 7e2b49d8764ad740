"""Token ids: those of AutoTokenizer, cut as asked, never padded."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from conftest import SHARED, edit, fails, needs_bert, needs_sample, run
from hypothesis import given
from hypothesis import strategies as st
from test_download import DOWNLOAD

from stages.tokenize import Workers, encode, id_type, kept, load_tokenizer, tokenize
from stars import arrow

CHECKPOINT = "input/checkpoint/tiny"
FILES = ["tokenizer.json", "config.json", "tokenizer_config.json"]
STAGE = ("python", "-m", "stages.tokenize", "raw", *[f"{CHECKPOINT}/{f}" for f in FILES], "tokens")
NOTEBOOK = (
    "Went there to celebrate with some friends and I was excited to try some Mexican food - "
    "something I'd been missing since I moved from San Diego to Pittsburgh."
)
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


def rows(flat, lengths) -> list[list[int]]:
    return [part.tolist() for part in np.split(flat, np.cumsum(lengths)[:-1])]


def cut_ids(texts, tokenizer, max_length, truncation):
    return encode(pa.array(texts, pa.large_string()), tokenizer, max_length, truncation)


def loaded(folder):
    return load_tokenizer(*(folder / name for name in FILES))


@needs_bert
def test_the_notebooks_sentence_has_the_notebooks_ids():
    tokenizer, longest = loaded(SHARED / "bert-base-cased")
    flat, _, cut = cut_ids([NOTEBOOK], tokenizer, 512, "head")
    expected = [101, 23158, 1204, 1175, 1106, 8294, 1114, 1199, 2053, 1105, 146, 1108]
    assert flat[:12].tolist() == expected
    assert (flat[-1], cut, longest) == (102, 0, 512)


def same_as_auto_tokenizer(folder, texts, max_length) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    expected = theirs(texts, truncation=True, max_length=max_length)["input_ids"]
    tokenizer, _ = loaded(folder)
    flat, lengths, _ = cut_ids(texts, tokenizer, max_length, "head")
    assert rows(flat, lengths) == expected


def test_ids_equal_auto_tokenizers_on_hostile_text(tiny_checkpoint):
    same_as_auto_tokenizer(tiny_checkpoint, HOSTILE, 32)


@needs_bert
@needs_sample
def test_ids_equal_auto_tokenizers_on_real_reviews():
    lines = (SHARED / "yelp_review_full_sample.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    same_as_auto_tokenizer(SHARED / "bert-base-cased", texts + HOSTILE, 512)


@given(
    words=st.integers(0, 80), max_length=st.integers(8, 40),
    truncation=st.sampled_from(["head", "tail", "head_tail"]),
)  # fmt: skip
def test_truncation_keeps_the_ends_it_promises(tiny_checkpoint, words, max_length, truncation):
    tokenizer, _ = loaded(tiny_checkpoint)
    text = " ".join(["good", "bad", "food"][place % 3] for place in range(words))
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    flat, _, cut = cut_ids([text], tokenizer, max_length, truncation)
    ids = flat.tolist()
    assert len(ids) <= max_length
    assert (ids[0], ids[-1]) == (2, 3)  # [CLS] and [SEP]
    inner, room = ids[1:-1], max_length - 2
    assert cut == (len(whole) > room)
    if not cut:
        assert inner == whole
    elif truncation == "head":
        assert inner == whole[:room]
    elif truncation == "tail":
        assert inner == whole[-room:]
    else:
        head = max_length // 4
        assert inner == whole[:head] + whole[len(whole) - (room - head) :]


def test_head_tail_is_that_of_the_paper():
    assert kept(510, "head_tail") == (128, 382)


def test_a_tokenizer_files_own_cut_and_padding_do_not_count(tiny_checkpoint, tmp_path):
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))
    own.enable_truncation(4)
    own.enable_padding(length=4)
    own.save(str(tmp_path / "tokenizer.json"))
    others = (tiny_checkpoint / name for name in FILES[1:])
    tokenizer, _ = load_tokenizer(tmp_path / "tokenizer.json", *others)
    _, lengths, _ = cut_ids(["good", "the food was very good"], tokenizer, 32, "head")
    assert lengths[0] < lengths[1]
    assert lengths[1] > 4


def test_ids_are_stored_in_the_narrowest_type():
    assert id_type(28_996) == id_type(2**16) == np.uint16
    assert id_type(2**16 + 1) == np.int32


def test_rows_are_not_padded_and_lead_back_to_their_text(project):
    run(*DOWNLOAD, cwd=project)
    said = run(*STAGE, cwd=project)
    assert "train: 200 rows" in said
    assert "cut to 32 (head)" in said
    table = arrow.read(project / "tokens" / "train.arrow")
    raw = arrow.read(project / "raw" / "train.arrow")
    assert table["row"].to_pylist() == list(range(200))
    assert table["label"].to_pylist() == raw["label"].to_pylist()
    lengths = arrow.Lists(table["input_ids"]).lengths
    assert len(set(lengths.tolist())) > 5
    assert lengths.max() <= 32


def test_more_tokens_than_the_model_takes_are_told(project):
    run(*DOWNLOAD, cwd=project)
    edit(project, "tokenize", max_length=65)
    assert "the model takes at most 64 tokens" in fails(*STAGE, cwd=project)
    assert not (project / "tokens").exists()


def test_a_file_that_is_no_tokenizer_is_told(project):
    run(*DOWNLOAD, cwd=project)
    (project / CHECKPOINT / "tokenizer.json").write_text("{}")
    assert "is no fast tokenizer" in fails(*STAGE, cwd=project)


def test_no_reviews_are_told(project):
    assert "no file 'raw/train.arrow'; type `dvc repro`" in fails(*STAGE, cwd=project)


def test_a_dask_cluster_writes_the_same_bytes(project):
    from distributed import LocalCluster

    edit(project, "download", train_size=3000)
    run(*DOWNLOAD, cwd=project)
    run(*STAGE, cwd=project)
    here = {path.name: path.read_bytes() for path in (project / "tokens").iterdir()}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        at = cluster.scheduler_address
        said = run(*STAGE, cwd=project, DASK_SCHEDULER_ADDRESS=at)
    assert f"on 2 threads of the cluster at {at}" in said
    there = {path.name: path.read_bytes() for path in (project / "tokens").iterdir()}
    assert here == there


def test_a_cluster_that_is_not_there_is_told(project):
    run(*DOWNLOAD, cwd=project)
    soon = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    for address in ("tcp://127.0.0.1:9", "nowhere"):
        said = fails(*STAGE, cwd=project, DASK_SCHEDULER_ADDRESS=address, **soon)
        assert f"DASK_SCHEDULER_ADDRESS is {address!r}" in said
    assert not (project / "tokens").exists()


def test_the_number_of_threads_changes_nothing(tiny_checkpoint):
    tokenizer, _ = loaded(tiny_checkpoint)
    texts = [pa.array([f"good {'food ' * (row % 7)}" for row in range(250)])] * 9
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(5) as many:
        first, second = (
            list(tokenize(texts, Workers(threads, tokenizer, ahead), 8, "tail"))
            for threads, ahead in ((one, 1), (many, 5))
        )
    assert len(first) == 9
    for (flat, lengths, cut), (flat_too, lengths_too, cut_too) in zip(first, second, strict=True):
        assert flat.tolist() == flat_too.tolist()
        assert lengths.tolist() == lengths_too.tolist()
        assert cut == cut_too > 0
