"""Token ids of all texts, on all cores or on a Dask cluster, file to file."""

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer
from tqdm import tqdm

from yelp_stars.checkpoint.tokenizer import Truncation, special_tokens, truncate
from yelp_stars.data import arrow
from yelp_stars.pipeline.errors import UserError

# Rows encoded before they are truncated: what the tokenizer returns (about 20 kB a row) is freed
# before it leaves the processor's cache.
ENCODE_ROWS = 100


class Encoded(NamedTuple):
    """Token ids of several texts."""

    ids: np.ndarray
    """Ids of all texts, flat, in the narrowest dtype."""
    lengths: np.ndarray
    """Number of ids per text, (texts,)."""
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
    """Return the narrowest integer dtype that holds every token id."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.int32)


class Workers(NamedTuple):
    """An executor that encodes texts with this tokenizer, `max_pending` arrays at a time."""

    executor: Executor
    tokenizer: Tokenizer
    max_pending: int


@contextlib.contextmanager
def start_workers(tokenizer: Tokenizer) -> Iterator[Workers]:
    """Use the cores of this machine, or the Dask cluster that DASK_SCHEDULER_ADDRESS names."""
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
    """Call `encode` for each array of texts, in order, several at a time."""
    pending: deque[Future[Encoded]] = deque()
    for part in texts:
        pending.append(
            workers.executor.submit(encode, part, workers.tokenizer, max_length, truncation)
        )
        if len(pending) > workers.max_pending:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def tokenize_file(
    source: Path,
    target: Path,
    tokenizer: Tokenizer,
    workers: Workers,
    max_length: int,
    truncation: Truncation,
) -> tuple[int, int, int]:
    """Tokenize the Arrow file of one split: the numbers of rows, tokens and truncated rows."""
    dtype = pa.from_numpy_dtype(id_dtype(tokenizer.get_vocab_size()))
    columns = {"input_ids": pa.list_(dtype), "label": pa.int64(), "row": pa.int64()}
    raw = arrow.read_schema(source)
    schema = arrow.make_schema(
        columns,
        arrow.label_names(raw),
        ordered=arrow.ordered(raw),
        max_length=max_length,
        truncation=truncation,
        **{key: arrow.metadata(raw, key) for key in ("source", "origin")},
    )
    rows = tokens = n_truncated = 0
    labels: deque[pa.Array] = deque()

    def texts() -> Iterator[pa.Array]:
        size = source.stat().st_size
        with tqdm(
            total=size, desc=f"tokenize {source.stem}", unit="B", unit_scale=True, disable=None
        ) as bar:
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
    return rows, tokens, n_truncated
