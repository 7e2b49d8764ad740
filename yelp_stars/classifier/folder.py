"""Files of a model's folder that determine its predictions."""

import hashlib
from pathlib import Path

from yelp_stars.checkpoint.tokenizer import TOKENIZER_FILES, TRUNCATION
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.scoring import calibration

FILES = (*TOKENIZER_FILES, "model.safetensors", calibration.FILE, TRUNCATION)
SHARDS = (".safetensors", ".index.json", ".bin")  # of a large model


def fingerprint(folder: Path) -> str:
    """Hash what decides the predictions of a model: weights, tokenizer, calibration."""
    digest = hashlib.sha256()
    shards = {path.name for end in SHARDS for path in folder.glob(f"*{end}")}
    for name in [*FILES, *sorted(shards - set(FILES))]:
        path = folder / name
        digest.update(f"{name} {sha256_of(path) if path.is_file() else '-'}\n".encode())
    return digest.hexdigest()
