"""The stage `tokenize`: token ids that lead back to their text, or one line and nothing."""

import json
import shutil

import pytest
from helpers import edit, fails_here

from stages import download
from stages.tokenize import main
from yelp_stars.checkpoint.tokenizer import TOKENIZER_FILES
from yelp_stars.data import arrow
from yelp_stars.pipeline.entrypoint import call

CHECKPOINT = "models/external/tiny"
PATHS = ("raw", *(f"{CHECKPOINT}/{name}" for name in TOKENIZER_FILES), "tokens")


def add_reviews(project) -> None:
    call(
        download.main,
        project / "data" / "synthetic" / "sentences.tsv", project / "data" / "external",
        project / "raw", project / "u", project / "m",
    )  # fmt: skip


@pytest.fixture
def tokenizer_project(data_project, tokenizer_files):
    """A project with reviews and a tokenizer: the working folder."""
    shutil.copytree(tokenizer_files, data_project / CHECKPOINT)
    add_reviews(data_project)
    return data_project


def tokenized(project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / "tokens").iterdir()}


def test_rows_lead_back_to_their_text(tokenizer_project, capsys):
    call(main, *(tokenizer_project / path for path in PATHS))
    output = capsys.readouterr().out
    assert "train: 200 rows" in output
    assert "truncated to 32 (head)" in output
    table = arrow.read(tokenizer_project / "tokens" / "train.arrow")
    raw = arrow.read(tokenizer_project / "raw" / "train.arrow")
    assert table["row"].to_pylist() == list(range(200))
    assert table["label"].to_pylist() == raw["label"].to_pylist()
    assert arrow.label_names(table.schema) == arrow.label_names(raw.schema)


@pytest.mark.parametrize("config", [{}, {"max_position_embeddings": None}])
def test_more_tokens_than_the_model_takes_are_reported_with_what_says_so(tokenizer_project, config):
    limit = 64
    path = tokenizer_project / CHECKPOINT / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    edit(tokenizer_project, "tokenize", max_length=limit + 1)
    message = fails_here(main, *PATHS)
    assert f"is {limit + 1}, but the model takes at most {limit} tokens ('{CHECKPOINT}/" in message
    assert message.endswith(f"; set it to {limit} or less")
    assert not (tokenizer_project / "tokens").exists()
    edit(tokenizer_project, "tokenize", max_length=limit)
    call(main, *(tokenizer_project / path for path in PATHS))


@pytest.mark.thorough
def test_a_dask_cluster_writes_the_same_bytes(tokenizer_project, monkeypatch, capsys):
    from distributed import LocalCluster

    edit(tokenizer_project, "download", train_size=3000)
    add_reviews(tokenizer_project)
    call(main, *(tokenizer_project / path for path in PATHS))
    expected = tokenized(tokenizer_project)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        call(main, *(tokenizer_project / path for path in PATHS))
    assert f"on 2 threads of the cluster at {cluster.scheduler_address}" in capsys.readouterr().out
    assert tokenized(tokenizer_project) == expected


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere"])
def test_a_cluster_that_does_not_answer_is_reported(tokenizer_project, monkeypatch, address):
    import dask
    import distributed  # noqa: F401  # adds its defaults before one is set for a while

    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        message = fails_here(main, *PATHS)
    assert message.startswith(f"DASK_SCHEDULER_ADDRESS is {address!r}: ")
    assert message.endswith("; start a scheduler and workers, or unset it")
    assert not (tokenizer_project / "tokens").exists()
