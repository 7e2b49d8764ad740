"""A checkpoint to change at will."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")
