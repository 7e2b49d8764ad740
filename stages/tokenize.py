"""Turn the reviews into token ids, truncated to the model's length and not padded."""

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from yelp_stars.checkpoint.tokenizer import Truncation, length_limit, load_tokenizer
from yelp_stars.data.tokenization import start_workers, tokenize_file
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """Truncation of the reviews."""

    max_length: Annotated[int, Field(ge=8)]
    """Maximum tokens per review, including special tokens."""
    truncation: Truncation
    """Part of a longer review to keep: head, tail, or head_tail (a quarter and three quarters)."""


class Inputs(NamedTuple):
    raw: Path
    tokenizer: Path
    config: Path
    tokenizer_config: Path


class Outputs(NamedTuple):
    tokenized: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "tokenize")
    checkpoint = given.tokenizer.parent
    loaded, limit = load_tokenizer(checkpoint)
    if params.max_length > limit:
        raise UserError(
            f"tokenize.max_length is {params.max_length}, but the model takes at most {limit} "
            f"tokens ({length_limit(checkpoint).reason})",
            advice=f"set it to {limit} or less",
        )
    made.tokenized.mkdir()
    with start_workers(loaded) as workers:
        for split in ("train", "test"):
            rows, tokens, n_truncated = tokenize_file(
                given.raw / f"{split}.arrow",
                made.tokenized / f"{split}.arrow",
                loaded,
                workers,
                params.max_length,
                params.truncation,
            )
            print(
                f"{split}: {rows:,} rows, {tokens:,} tokens, {tokens / rows:.0f} per row; "
                f"{n_truncated:,} rows ({n_truncated / rows:.1%}) truncated to "
                f"{params.max_length} ({params.truncation})"
            )


if __name__ == "__main__":
    run(main)
