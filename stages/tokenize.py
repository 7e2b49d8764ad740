"""Turn the reviews into token ids, cut to the model's length and not padded."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from tokenizers import Tokenizer
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


def special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after every text: [CLS] and [SEP] for BERT."""
    with_special = tokenizer.encode("a")
    mask = with_special.special_tokens_mask
    first, last = mask.index(0), len(mask) - mask[::-1].index(0)
    return with_special.ids[:first], with_special.ids[last:]


def kept(length: int, room: int, truncation: str) -> tuple[int, int]:
    """How many tokens to keep at the head and at the tail of a text of `length` > `room`.

    `head_tail` keeps a quarter at the head: 128 and 382 of 510, Sun et al. 2019
    (How to Fine-Tune BERT for Text Classification?, section 5.3.1).
    """
    if truncation == "head":
        return room, 0
    if truncation == "tail":
        return 0, room
    head = (room + 2) // 4
    return head, room - head


def tokenize(
    texts: list[str], tokenizer: Tokenizer, max_length: int, truncation: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Token ids of all texts, flat; the length of each (texts,); how many texts were cut."""
    before, after = special_ids(tokenizer)
    room = max_length - len(before) - len(after)
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    rows = [encoding.ids for encoding in encodings]
    cut = 0
    for number, ids in enumerate(rows):
        if len(ids) > room:
            head, tail = kept(len(ids), room, truncation)
            ids = ids[:head] + ids[len(ids) - tail :]
            cut += 1
        rows[number] = before + ids + after
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    flat = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    return flat, lengths, cut


def id_type(vocab_size: int) -> pa.DataType:
    """The narrowest integer type that every token id fits."""
    return pa.uint16() if vocab_size <= 2**16 else pa.int32()


def tokenize_split(
    source: Path, target: Path, tokenizer: Tokenizer, params: Params
) -> tuple[int, int, int]:
    """Tokenize one file into another; returns (rows, tokens, rows cut)."""
    reviews = arrow.read(source)
    kind = id_type(tokenizer.get_vocab_size())
    columns = {"input_ids": pa.list_(kind), "label": pa.int64(), "row": pa.int64()}
    schema = arrow.schema(columns, arrow.label_names(reviews.schema), max_length=params.max_length)
    tokens = cut_rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal tokens, cut_rows
        row = 0
        with tqdm(total=len(reviews), desc=f"tokenize {source.stem}", unit=" rows") as bar:
            for batch in reviews.to_batches():
                texts = batch.column("text").to_pylist()
                flat, lengths, cut = tokenize(
                    texts, tokenizer, params.max_length, params.truncation
                )
                rows = pa.array(np.arange(row, row + len(texts)))
                ids = arrow.list_array(flat, lengths, kind)
                yield pa.record_batch([ids, batch.column("label"), rows], schema=schema)
                row += len(texts)
                tokens += len(flat)
                cut_rows += cut
                bar.update(len(texts))

    arrow.write(target, schema, batches())
    return len(reviews), tokens, cut_rows


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
