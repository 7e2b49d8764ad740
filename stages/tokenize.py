"""Turn the reviews into token ids, cut to the model's length and not padded."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field
from tokenizers import Encoding, Tokenizer
from tqdm import tqdm

from stars import arrow
from stars.params import StageParams, load_params
from stars.stage import UserError, replacing, run


class Params(StageParams):
    max_length: Annotated[int, Field(ge=8)]
    truncation: Literal["head", "tail", "head_tail"]


def load_tokenizer(tokenizer: Path, config: Path, tokenizer_config: Path) -> tuple[Tokenizer, int]:
    """The checkpoint's tokenizer, and the most tokens that the model takes.

    Raises:
        UserError: if tokenizer.json is none.
    """
    try:
        readable = "model" in json.loads(tokenizer.read_text("utf-8"))
    except ValueError:
        readable = False
    if not readable:
        raise UserError(f"{str(tokenizer)!r} is no fast tokenizer; choose another checkpoint")
    loaded = Tokenizer.from_file(str(tokenizer))
    # A file may come with its own cut and padding (all-MiniLM: 128 and 128): ours alone count.
    loaded.no_truncation()
    loaded.no_padding()
    limits = [
        json.loads(config.read_text("utf-8")).get("max_position_embeddings"),
        json.loads(tokenizer_config.read_text("utf-8")).get("model_max_length"),
    ]
    return loaded, int(min((limit for limit in limits if limit), default=2**31 - 1))


def special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """How many special tokens stand before and after every text: (1, 1) for BERT."""
    mask = tokenizer.encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)


def kept(room: int, truncation: str) -> tuple[int, int]:
    """How many of a text's own tokens to keep, at its head and at its tail: `room` in all.

    `head_tail` keeps a quarter at the head: 128 and 382 of 510, Sun et al. 2019
    (How to Fine-Tune BERT for Text Classification?, section 5.3.1).
    """
    if truncation == "head":
        return room, 0
    if truncation == "tail":
        return 0, room
    head = (room + 2) // 4
    return head, room - head


# Rows encoded before they are cut: what the tokenizer returns (about 20 kB a row) is freed
# before it leaves the processor's cache.
ENCODE_ROWS = 100

Encoded = tuple[np.ndarray, np.ndarray, int]


def cut(
    encodings: list[Encoding], specials: tuple[int, int], max_length: int, truncation: str
) -> tuple[list[list[int]], int]:
    """The token ids of each text, cut to `max_length`; how many texts were cut.

    `specials` are the numbers of special tokens before and after every text: a cut keeps them.
    """
    before, after = specials
    rows = [encoding.ids for encoding in encodings]
    longer = 0
    for number, ids in enumerate(rows):
        if len(ids) > max_length:
            head, tail = kept(max_length - before - after, truncation)
            rows[number] = ids[: before + head] + ids[len(ids) - tail - after :]
            longer += 1
    return rows, longer


def encode(texts: pa.Array, tokenizer: Tokenizer, max_length: int, truncation: str) -> Encoded:
    """Token ids of all texts, flat; the length of each (texts,); how many texts were cut."""
    specials, kind = special_tokens(tokenizer), id_type(tokenizer.get_vocab_size())
    flats, lengths, longer = [np.zeros(0, kind)], [np.zeros(0, np.int32)], 0
    for start in range(0, len(texts), ENCODE_ROWS):
        some = texts[start : start + ENCODE_ROWS].to_pylist()
        rows, cuts = cut(tokenizer.encode_batch_fast(some), specials, max_length, truncation)
        lengths.append(np.fromiter(map(len, rows), np.int32, len(rows)))
        flats.append(np.fromiter(chain.from_iterable(rows), kind, int(lengths[-1].sum())))
        longer += cuts
    return np.concatenate(flats), np.concatenate(lengths), longer


class Workers(NamedTuple):
    """Where texts are encoded: `ahead` arrays of them at a time, with this tokenizer."""

    executor: Executor
    tokenizer: Tokenizer
    ahead: int


@contextlib.contextmanager
def workers(tokenizer: Tokenizer) -> Iterator[Workers]:
    """The cores of this machine, or of the Dask cluster that DASK_SCHEDULER_ADDRESS names.

    Raises:
        UserError: if the cluster cannot be used.
    """
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not address:
        # One thread for each core, each with rows of its own, wait less for each other than the
        # tokenizer's threads do, which share every call.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as threads:
            yield Workers(threads, tokenizer, cores)
        return
    told = f"DASK_SCHEDULER_ADDRESS is {address!r}"
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            f"{told}, but Dask is not installed; type `pip install -e '.[cluster]'`, or unset it"
        ) from None
    try:
        client = Client(address)
        client.wait_for_workers(1, timeout=60)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"{told}: {error}; start a scheduler and workers, or unset it") from None
    with client:
        everywhere = client.scatter(tokenizer, broadcast=True)
        threads_there = sum(client.nthreads().values())
        print(f"encoding on {threads_there} threads of the cluster at {address}", flush=True)
        yield Workers(client.get_executor(pure=False), everywhere, 2 * threads_there)


def tokenize(
    texts: Iterable[pa.Array], at: Workers, max_length: int, truncation: str
) -> Iterator[Encoded]:
    """`encode` each array of texts, in their order, many at a time."""
    waiting: deque[Future[Encoded]] = deque()
    for some in texts:
        waiting.append(at.executor.submit(encode, some, at.tokenizer, max_length, truncation))
        if len(waiting) > at.ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def id_type(vocab_size: int) -> np.dtype:
    """The narrowest integer type that every token id fits."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.int32)


def tokenize_split(
    source: Path, target: Path, tokenizer: Tokenizer, at: Workers, params: Params
) -> tuple[int, int, int]:
    """Tokenize one file into another; returns (rows, tokens, rows cut)."""
    kind = pa.from_numpy_dtype(id_type(tokenizer.get_vocab_size()))
    columns = {"input_ids": pa.list_(kind), "label": pa.int64(), "row": pa.int64()}
    names = arrow.label_names(arrow.schema_of(source))
    schema = arrow.schema(columns, names, max_length=params.max_length)
    row = tokens = cut_rows = 0
    labels: deque[pa.Array] = deque()

    def texts() -> Iterator[pa.Array]:
        size = source.stat().st_size
        with tqdm(total=size, desc=f"tokenize {source.stem}", unit="B", unit_scale=True) as bar:
            for batch, read in arrow.stream(source):
                labels.append(batch.column("label"))
                yield batch.column("text")
                bar.update(read - bar.n)

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal row, tokens, cut_rows
        for flat, lengths, longer in tokenize(texts(), at, params.max_length, params.truncation):
            rows = pa.array(np.arange(row, row + len(lengths)))
            ids = arrow.list_array(flat, lengths, kind)
            yield pa.record_batch([ids, labels.popleft(), rows], schema=schema)
            row += len(lengths)
            tokens += len(flat)
            cut_rows += longer

    arrow.write(target, schema, batches())
    return row, tokens, cut_rows


def main(raw: Path, vocabulary: Path, config: Path, defaults: Path, tokenized: Path) -> None:
    params = load_params(Params, "tokenize")
    tokenizer, longest = load_tokenizer(vocabulary, config, defaults)
    if params.max_length > longest:
        raise UserError(
            f"tokenize.max_length is {params.max_length}, but the model takes at most {longest} "
            f"tokens; set it to {longest} or less"
        )
    with replacing(tokenized) as partial, workers(tokenizer) as at:
        partial.mkdir()
        for split in ("train", "test"):
            rows, tokens, cut = tokenize_split(
                raw / f"{split}.arrow", partial / f"{split}.arrow", tokenizer, at, params
            )
            print(
                f"{split}: {rows:,} rows, {tokens:,} tokens, {tokens / rows:.0f} a row; "
                f"{cut:,} rows ({cut / rows:.1%}) cut to {params.max_length} ({params.truncation})"
            )


if __name__ == "__main__":
    run(main)
