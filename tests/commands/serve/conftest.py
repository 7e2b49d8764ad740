"""A server that the tests of this folder share."""

import pytest
from serving import serving


@pytest.fixture(scope="session")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.fixture(scope="session")
def port(folder):
    # In the model's project, which knows its commit.
    before = f"import os, yelp_stars; os.chdir({str(folder.parents[1])!r})"
    with serving(folder, "--max-texts", "8", "--max-body", "20000", before=before) as (_, port):
        yield port
