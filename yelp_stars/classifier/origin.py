"""Read how the training rows of a model were read."""

from pathlib import Path

from pydantic import TypeAdapter

from yelp_stars.checkpoint.tokenizer import ORIGIN
from yelp_stars.pipeline.files import damaged_as
from yelp_stars.reading.origin import NO_FILE, Origin


def read_origin(folder: Path) -> Origin:
    """Read the origin of a fine-tuned model's training rows; the default where it has none."""
    path = folder / ORIGIN
    if not path.is_file():
        return NO_FILE
    with damaged_as(path, advice="copy it again"):
        return TypeAdapter(Origin).validate_json(path.read_bytes(), strict=True)
