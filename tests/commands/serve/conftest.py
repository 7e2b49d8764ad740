"""A server that the tests of this folder share."""

import pytest
from serving import serving


@pytest.fixture(scope="session")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.fixture(scope="session")
def port(folder):
    with serving(folder, "--max-texts", "8", "--max-body", "20000") as (_, port):
        yield port
