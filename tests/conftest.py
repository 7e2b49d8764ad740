"""A project in miniature: a tiny random BERT, a few hundred synthetic reviews."""

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import toy
from helpers import (
    FUZZ_EXAMPLES,
    SECRETS,
    SENTENCES,
    SOAK,
    lay_out,
    made_once,
    run,
)
from hypothesis import settings
from small import make_small

from benchmarks.workspace import commit, stage_command
from yelp_stars.commands import show
from yelp_stars.pipeline.entrypoint import call

# Before torch is imported. More threads only spin on models this small.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the promises of a CPU, on any machine
os.environ["TOKENIZERS_PARALLELISM"] = "true"
# The suite has no network, whatever the machine has.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # in processes that import ONNX Runtime themselves
# Stages and DVC start `python` and git by name: those of this environment, with a committer.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
for role in ("AUTHOR", "COMMITTER"):
    os.environ[f"GIT_{role}_NAME"] = "test"
    os.environ[f"GIT_{role}_EMAIL"] = "test@example.org"
# A job in a shell's background ignores Ctrl-C, and one of `nohup` a closed terminal. So would every
# stage that a test stops; a process gets back the default of a signal that its parent handles.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# The first call imports; its duration is not a promise. `make test` draws the same inputs every
# time, and fails because of a change only; `make soak` draws others.
settings.register_profile("plain", deadline=None, derandomize=not SOAK, max_examples=FUZZ_EXAMPLES)
settings.load_profile("plain")


def pytest_xdist_auto_num_workers() -> int:
    """One worker for each core: one more ends earlier, but costs 30 seconds of imports."""
    return os.cpu_count() or 1


@pytest.fixture
def data_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own files without a checkpoint: the working folder. Needs no torch."""
    monkeypatch.chdir(lay_out(tmp_path / "project", None))
    return tmp_path / "project"


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `tiny_checkpoint` that the stage `tokenize` reads, made without torch."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer().save(str(folder / "tokenizer.json"))
    config = {"model_type": "bert", "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 64}))
    return folder


def train_tokenizer() -> Any:
    """A WordPiece tokenizer of 600 pieces, learned from our sentences."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    sentences = SENTENCES.read_text("utf-8").splitlines()
    tokenizer.train_from_iterator((line.split("\t")[3] for line in sentences), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded BERT of one layer, with a tokenizer of 600 pieces learned from our sentences.

    One for all workers: learning the pieces has ties, which each process may break in its own way.
    """
    return made_once(tmp_path_factory, "tiny", make_checkpoint)


def make_checkpoint(folder: Path) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(),
        model_max_length=64,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL_TOKENS},
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=600,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    set_seed(0)
    BertModel(config).save_pretrained(folder)


@pytest.fixture
def project(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """The project's own files in a new folder, with small parameters; nothing has run yet."""
    return lay_out(tmp_path / "project", tiny_checkpoint)


@pytest.fixture(scope="session")
def finished_repo(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A git and DVC repository in which `dvc repro` has run; copy it before you change it."""

    def make(folder: Path) -> None:
        lay_out(folder, tiny_checkpoint)
        commit(folder)
        output = run("dvc", "repro", cwd=folder, **SECRETS)
        assert not [name for name, value in SECRETS.items() if value in output]
        commit(folder, "first run")

    # Each worker has a copy, with its links into DVC's cache: two would wait for DVC's lock.
    target = tmp_path_factory.mktemp("finished") / "project"
    first = made_once(tmp_path_factory, "finished", make)
    run("cp", "-a", str(first), str(target), cwd=target.parent)
    return target


@pytest.fixture
def repo(finished_repo: Path, tmp_path: Path) -> Path:
    """A copy of the finished repository, to change at will."""
    shutil.copytree(finished_repo, tmp_path / "repo", symlinks=True)
    return tmp_path / "repo"


@pytest.fixture
def small_repo(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A repository of two stages that have run: the working folder. Needs no torch."""
    run("cp", "-a", str(made_once(tmp_path_factory, "small", make_small)), "small", cwd=tmp_path)
    monkeypatch.chdir(tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def toy_project(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A repository whose training takes a second: the working folder."""
    first = made_once(tmp_path_factory, "toy", toy.lay_out)
    shutil.copytree(first, tmp_path / "toy", symlinks=True)
    monkeypatch.chdir(tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture(scope="session")
def sampled_project(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A project in miniature up to its sample; copy it before you change it."""
    return made_once(tmp_path_factory, "sampled", lambda folder: sample_in(folder, tiny_checkpoint))


def sample_in(project: Path, checkpoint: Path) -> None:
    commit(lay_out(project, checkpoint))
    shutil.copytree(checkpoint, project / "models" / "pretrained")
    with contextlib.chdir(project):
        for name in ("download", "audit", "tokenize", "sample", "baseline"):
            _, _, module, *paths = stage_command(name)
            call(importlib.import_module(module).main, *map(Path, paths))


@pytest.fixture
def train_project(sampled_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to train in: the working folder."""
    shutil.copytree(sampled_project, tmp_path / "train_project")
    monkeypatch.chdir(tmp_path / "train_project")
    return tmp_path / "train_project"


# --- Another revision -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def experimented(tmp_path_factory: pytest.TempPathFactory, finished_repo: Path) -> Path:
    """The finished repository after the experiment that `stars show` suggests, as `slower`.

    What DVC printed is in .dvc/tmp/printed.txt. Copy it before you change it.
    """

    def make(folder: Path) -> None:
        shutil.copytree(finished_repo, folder, symlinks=True)
        _, suggested, *_ = show.NEXT
        printed = run(*suggested.split(), "-n", "slower", cwd=folder)
        (folder / ".dvc" / "tmp" / "printed.txt").write_text(printed)

    return made_once(tmp_path_factory, "experimented", make)


@pytest.fixture
def second_run(experimented: Path, tmp_path: Path) -> Path:
    """A copy of it, to change at will: HEAD is the first run, the workspace the second."""
    shutil.copytree(experimented, tmp_path / "second", symlinks=True)
    return tmp_path / "second"
