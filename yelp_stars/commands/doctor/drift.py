"""What has drifted apart: the model and its data's tokens, the libraries and requirements.lock."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from yelp_stars.checkpoint.tokenizer import (
    TOKENIZER_FILES,
    TRUNCATION,
    Truncation,
    load_tokenizer,
    read_json,
)
from yelp_stars.data import arrow
from yelp_stars.data.tokenization import encode
from yelp_stars.pipeline.text import listed

ROWS = 200  # compared


def check_tokenizer(raw: Path, tokenized: Path, finetuned: Path) -> Iterator[str]:
    """Whether the model's tokenizer makes the ids of data/tokenized of the same texts."""
    ids, texts = tokenized / "test.arrow", raw / "test.arrow"
    files = [finetuned / name for name in TOKENIZER_FILES]
    if not all(path.is_file() for path in [ids, texts, *files]):
        return
    tokenizer, _ = load_tokenizer(finetuned)
    batch, _ = next(arrow.stream(texts), (None, 0))
    expected, _ = next(arrow.stream(ids), (None, 0))
    if batch is None or expected is None:
        return
    schema = arrow.read_schema(ids)
    length, kept = arrow.max_length(schema), arrow.truncation(schema)
    encoded = encode(batch.column("text")[:ROWS], tokenizer, length, cast(Truncation, kept))
    found = expected.column("input_ids")[:ROWS]
    if encoded.ids.tolist() != found.flatten().to_pylist():
        yield f"the tokenizer of {finetuned} makes other ids than {tokenized} has; run `dvc repro`"
    cut = read_json(finetuned / TRUNCATION) if (finetuned / TRUNCATION).is_file() else {}
    if cut and cut != {"max_length": length, "truncation": kept}:
        yield (
            f"{finetuned} was trained on texts of other lengths than {tokenized} has: "
            f"{cut.get('max_length')} and {length} tokens; run `dvc repro`"
        )


def check_libraries(requirements: Path) -> Iterator[str]:
    """Installed versions that are not those of requirements.lock; extras may be absent."""
    if not requirements.is_file():
        return
    others = []
    for line in requirements.read_text("utf-8", "replace").splitlines():
        name, is_pinned, version = line.partition("==")
        try:
            installed = importlib.metadata.version(name).partition("+")[0] if is_pinned else ""
        except importlib.metadata.PackageNotFoundError:
            continue
        if is_pinned and installed != version.partition(";")[0].strip():
            others.append(f"{name} {installed}, not {version}")
    if others:
        yield (
            f"{len(others)} installed libraries have other versions than {requirements}: "
            f"{listed(others)}; run `pip install -r {requirements}`"
        )
