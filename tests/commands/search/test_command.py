"""The arguments of `stars seeds`, `stars search` and `stars curve`."""

import subprocess
import sys

from helpers import ROOT


def test_the_commands_import_nothing_heavy():
    heavy = "{'pydantic', 'numpy', 'scipy', 'dvc', 'torch'}"
    code = f"import sys, yelp_stars.searching.commands; print({heavy} & {{*sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"
