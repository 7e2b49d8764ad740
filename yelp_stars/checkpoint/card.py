"""What a checkpoint's own card says of it, for the card of the model that is fine-tuned from it."""

import contextlib
import re
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import parse_yaml

CARD, FACTS = "README.md", "card.json"
LONGEST = 100_000  # bytes of metadata
# Values that the Hub accepts, and that mean something without a link.
VALID = {
    "license": re.compile(r"(?!other$|unknown$)[a-z][a-z0-9.-]{1,49}"),
    "language": re.compile(r"[a-z]{2,3}"),
    "base_model": re.compile(r"(?!.*(--|\.\.|\.git$))\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", re.ASCII),
}


def read_facts(checkpoint: Path) -> dict[str, str]:
    """Read a checkpoint's license, language and base model, as far as its card has one of each.

    A model of many languages is fine-tuned on few of them: its card does not say which.
    """
    metadata: Any = None
    facts = {}
    with contextlib.suppress(UserError, FileNotFoundError), (checkpoint / CARD).open("rb") as file:
        metadata = parse_yaml(file.read(LONGEST).partition(b"\n---")[0], CARD)
    for key, valid in VALID.items() if isinstance(metadata, dict) else ():
        value = metadata.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and valid.fullmatch(value):
            facts[key] = value
    return facts
