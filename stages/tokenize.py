"""Turn the reviews into token ids, cut to the model's length and not padded."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

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


def pack(
    encodings: list[Encoding], specials: tuple[int, int], max_length: int, truncation: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Token ids of all texts, flat; the length of each (texts,); how many texts were cut.

    `specials` are the numbers of special tokens before and after every text: a cut keeps them.
    """
    before, after = specials
    rows = [encoding.ids for encoding in encodings]
    cut = 0
    for number, ids in enumerate(rows):
        if len(ids) > max_length:
            head, tail = kept(max_length - before - after, truncation)
            rows[number] = ids[: before + head] + ids[len(ids) - tail - after :]
            cut += 1
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    flat = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    return flat, lengths, cut


def tokenize(
    texts: list[str], tokenizer: Tokenizer, max_length: int, truncation: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """`pack` of texts: (flat ids, lengths, number cut)."""
    encodings = tokenizer.encode_batch_fast(texts)
    return pack(encodings, special_tokens(tokenizer), max_length, truncation)


def encoded(
    batches: Iterable[tuple[pa.RecordBatch, int]], tokenizer: Tokenizer
) -> Iterator[tuple[pa.RecordBatch, int, list[Encoding]]]:
    """Record batches with their encodings; the next one is encoded while one is packed.

    The tokenizer's threads leave Python alone while they work, so that they never wait for it.
    """
    with ThreadPoolExecutor(1) as ahead:
        waiting: deque[tuple[pa.RecordBatch, int, Future[list[Encoding]]]] = deque()
        for batch, read in batches:
            texts = batch.column("text").to_pylist()
            waiting.append((batch, read, ahead.submit(tokenizer.encode_batch_fast, texts)))
            if len(waiting) > 2:
                first, done, encodings = waiting.popleft()
                yield first, done, encodings.result()
        for first, done, encodings in waiting:
            yield first, done, encodings.result()


def id_type(vocab_size: int) -> pa.DataType:
    """The narrowest integer type that every token id fits."""
    return pa.uint16() if vocab_size <= 2**16 else pa.int32()


def tokenize_split(
    source: Path, target: Path, tokenizer: Tokenizer, params: Params
) -> tuple[int, int, int]:
    """Tokenize one file into another; returns (rows, tokens, rows cut)."""
    kind = id_type(tokenizer.get_vocab_size())
    columns = {"input_ids": pa.list_(kind), "label": pa.int64(), "row": pa.int64()}
    names = arrow.label_names(arrow.schema_of(source))
    schema = arrow.schema(columns, names, max_length=params.max_length)
    specials = special_tokens(tokenizer)
    row = tokens = cut_rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal row, tokens, cut_rows
        size = source.stat().st_size
        with tqdm(total=size, desc=f"tokenize {source.stem}", unit="B", unit_scale=True) as bar:
            for batch, read, encodings in encoded(arrow.stream(source), tokenizer):
                flat, lengths, cut = pack(encodings, specials, params.max_length, params.truncation)
                rows = pa.array(np.arange(row, row + len(batch)))
                ids = arrow.list_array(flat, lengths, kind)
                yield pa.record_batch([ids, batch.column("label"), rows], schema=schema)
                row += len(batch)
                tokens += len(flat)
                cut_rows += cut
                bar.update(read - bar.n)

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
    with replacing(tokenized) as partial:
        partial.mkdir()
        for split in ("train", "test"):
            rows, tokens, cut = tokenize_split(
                raw / f"{split}.arrow", partial / f"{split}.arrow", tokenizer, params
            )
            print(
                f"{split}: {rows:,} rows, {tokens:,} tokens, {tokens / rows:.0f} a row; "
                f"{cut:,} rows ({cut / rows:.1%}) cut to {params.max_length} ({params.truncation})"
            )


if __name__ == "__main__":
    run(main)
