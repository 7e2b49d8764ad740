"""From texts to token ids: truncated to the model's length, not padded, on all cores."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.pipeline.errors import UserError

Truncation = Literal["head", "tail", "head_tail"]

# Rows encoded before they are truncated: what the tokenizer returns (about 20 kB a row) is freed
# before it leaves the processor's cache.
ENCODE_ROWS = 100


def load_tokenizer(tokenizer: Path, config: Path, tokenizer_config: Path) -> tuple[Tokenizer, int]:
    """The checkpoint's tokenizer, and the largest number of tokens that the model takes.

    Raises:
        UserError: if tokenizer.json is not a fast-tokenizer file.
    """
    try:
        readable = "model" in json.loads(tokenizer.read_text("utf-8"))
    except ValueError:
        readable = False
    if not readable:
        raise UserError(
            f"{str(tokenizer)!r} is not a fast-tokenizer file; choose another checkpoint"
        )
    loaded = Tokenizer.from_file(str(tokenizer))
    # A file may bring its own truncation and padding (all-MiniLM: 128 and 128): drop both.
    loaded.no_truncation()
    loaded.no_padding()
    limits = [
        json.loads(config.read_text("utf-8")).get("max_position_embeddings"),
        json.loads(tokenizer_config.read_text("utf-8")).get("model_max_length"),
    ]
    return loaded, int(min((limit for limit in limits if limit), default=2**31 - 1))


def special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """The numbers of special tokens before and after every text: (1, 1) for BERT."""
    mask = tokenizer.encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)


def head_tail_budget(room: int, truncation: Truncation) -> tuple[int, int]:
    """The numbers of a text's own tokens to keep at its head and at its tail, `room` in total.

    `head_tail` keeps a quarter at the head: 128 and 382 of 510, Sun et al. 2019
    (How to Fine-Tune BERT for Text Classification?, section 5.3.1).
    """
    if truncation == "head":
        return room, 0
    if truncation == "tail":
        return 0, room
    head = (room + 2) // 4
    return head, room - head


def truncate(
    encodings: list[Encoding],
    specials: tuple[int, int],
    max_length: int,
    truncation: Truncation,
) -> tuple[list[list[int]], int]:
    """The token ids of each text, at most `max_length`, and the number of truncated texts.

    `specials` are the numbers of special tokens before and after every text: all are kept.
    """
    before, after = specials
    rows = [encoding.ids for encoding in encodings]
    n_truncated = 0
    for number, ids in enumerate(rows):
        if len(ids) > max_length:
            head, tail = head_tail_budget(max_length - before - after, truncation)
            rows[number] = ids[: before + head] + ids[len(ids) - tail - after :]
            n_truncated += 1
    return rows, n_truncated


class Encoded(NamedTuple):
    """Token ids of several texts."""

    ids: np.ndarray
    """The ids of all texts, flat, in the narrowest dtype."""
    lengths: np.ndarray
    """The number of ids of each text, of shape (texts,)."""
    n_truncated: int


def encode(
    texts: pa.Array, tokenizer: Tokenizer, max_length: int, truncation: Truncation
) -> Encoded:
    """Tokenize an array of strings."""
    specials, dtype = special_tokens(tokenizer), id_dtype(tokenizer.get_vocab_size())
    flats, lengths, n_truncated = [np.zeros(0, dtype)], [np.zeros(0, np.int32)], 0
    for start in range(0, len(texts), ENCODE_ROWS):
        part = texts[start : start + ENCODE_ROWS].to_pylist()
        encodings = tokenizer.encode_batch_fast(part)
        rows, truncated = truncate(encodings, specials, max_length, truncation)
        lengths.append(np.fromiter(map(len, rows), np.int32, len(rows)))
        flats.append(np.fromiter(chain.from_iterable(rows), dtype, int(lengths[-1].sum())))
        n_truncated += truncated
    return Encoded(np.concatenate(flats), np.concatenate(lengths), n_truncated)


def id_dtype(vocab_size: int) -> np.dtype:
    """The narrowest integer dtype that holds every token id."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.int32)


class Workers(NamedTuple):
    """Where texts are encoded: at most `max_pending` arrays at a time, with this tokenizer."""

    executor: Executor
    tokenizer: Tokenizer
    max_pending: int


@contextlib.contextmanager
def start_workers(tokenizer: Tokenizer) -> Iterator[Workers]:
    """Use the cores of this machine, or the Dask cluster that DASK_SCHEDULER_ADDRESS names.

    Raises:
        UserError: if the cluster cannot be used.
    """
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not address:
        # One Python thread per core beats the tokenizer's internal pool, which synchronises on
        # every call.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as threads:
            yield Workers(threads, tokenizer, cores)
        return
    setting = f"DASK_SCHEDULER_ADDRESS is {address!r}"
    try:
        from distributed import Client  # an extra
    except ImportError:
        raise UserError(
            f"{setting}, but Dask is not installed; run `pip install -e '.[cluster]'`, or unset it"
        ) from None
    try:
        client = Client(address)
        client.wait_for_workers(1, timeout=60)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"{setting}: {error}; start a scheduler and workers, or unset it") from None
    with client:
        everywhere = client.scatter(tokenizer, broadcast=True)
        n_threads = sum(client.nthreads().values())
        print(f"encoding on {n_threads} threads of the cluster at {address}", flush=True)
        yield Workers(client.get_executor(pure=False), everywhere, 2 * n_threads)


def tokenize(
    texts: Iterable[pa.Array], workers: Workers, max_length: int, truncation: Truncation
) -> Iterator[Encoded]:
    """`encode` each array of texts, in order, several at a time."""
    pending: deque[Future[Encoded]] = deque()
    for part in texts:
        pending.append(
            workers.executor.submit(encode, part, workers.tokenizer, max_length, truncation)
        )
        if len(pending) > workers.max_pending:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class TokenCounts(NamedTuple):
    """The size of a tokenized split."""

    rows: int
    tokens: int
    n_truncated: int


def tokenize_file(
    source: Path,
    target: Path,
    tokenizer: Tokenizer,
    workers: Workers,
    max_length: int,
    truncation: Truncation,
) -> TokenCounts:
    """Tokenize the Arrow file of one split into another."""
    dtype = pa.from_numpy_dtype(id_dtype(tokenizer.get_vocab_size()))
    columns = {"input_ids": pa.list_(dtype), "label": pa.int64(), "row": pa.int64()}
    names = arrow.label_names(arrow.read_schema(source))
    schema = arrow.make_schema(columns, names, max_length=max_length)
    rows = tokens = n_truncated = 0
    labels: deque[pa.Array] = deque()

    def texts() -> Iterator[pa.Array]:
        size = source.stat().st_size
        with tqdm(total=size, desc=f"tokenize {source.stem}", unit="B", unit_scale=True) as bar:
            for batch, bytes_read in arrow.stream(source):
                labels.append(batch.column("label"))
                yield batch.column("text")
                bar.update(bytes_read - bar.n)

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows, tokens, n_truncated
        for encoded in tokenize(texts(), workers, max_length, truncation):
            numbers = pa.array(np.arange(rows, rows + len(encoded.lengths)))
            ids = arrow.list_array(encoded.ids, encoded.lengths, dtype)
            yield pa.record_batch([ids, labels.popleft(), numbers], schema=schema)
            rows += len(encoded.lengths)
            tokens += len(encoded.ids)
            n_truncated += encoded.n_truncated

    arrow.write(target, schema, batches())
    return TokenCounts(rows, tokens, n_truncated)
