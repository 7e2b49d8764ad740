r"""Turn the reviews into token ids, truncated to the model's length and not padded.

python -m stages.tokenize data/raw models/pretrained/tokenizer.json \
    models/pretrained/config.json models/pretrained/tokenizer_config.json data/tokenized
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from yelp_stars.data.tokenization import start_workers, tokenize_file
from yelp_stars.data.tokenizer import Truncation, load_tokenizer
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import replacing
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """How many tokens of a review are kept, and which."""

    max_length: Annotated[int, Field(ge=8)]
    """Tokens per review at most, special tokens included."""
    truncation: Truncation
    """What to keep of a longer review: head, tail, or head_tail (a quarter and three quarters)."""


def main(raw: Path, tokenizer: Path, config: Path, tokenizer_config: Path, tokenized: Path) -> None:
    params = load_params(Params, "tokenize")
    loaded, model_max_length = load_tokenizer(tokenizer, config, tokenizer_config)
    if params.max_length > model_max_length:
        raise UserError(
            f"tokenize.max_length is {params.max_length}, but the model takes at most "
            f"{model_max_length} tokens; set it to {model_max_length} or less"
        )
    with replacing(tokenized) as partial, start_workers(loaded) as workers:
        partial.mkdir()
        for split in ("train", "test"):
            rows, tokens, n_truncated = tokenize_file(
                raw / f"{split}.arrow",
                partial / f"{split}.arrow",
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
