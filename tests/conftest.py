"""A project in miniature: a tiny random BERT, a few hundred embedded reviews."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from ruamel.yaml import YAML

# Before torch is imported. More threads only spin on models this small.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the promises of a CPU, on any machine
os.environ["TOKENIZERS_PARALLELISM"] = "true"
# The suite has no network, whatever the machine has.
os.environ["HF_HUB_OFFLINE"] = "1"
# Stages and dvc start `python` and git by name: this environment's, with a name to commit under.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
for role in ("AUTHOR", "COMMITTER"):
    os.environ[f"GIT_{role}_NAME"] = "test"
    os.environ[f"GIT_{role}_EMAIL"] = "test@example.org"

# A first call imports; how long it takes is no promise of ours.
settings.register_profile("plain", deadline=None)
settings.load_profile("plain")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

needs_sample = pytest.mark.skipif(
    not (SHARED / "yelp_review_full_sample.jsonl").is_file(), reason="no real reviews here"
)
needs_bert = pytest.mark.skipif(
    not (SHARED / "bert-base-cased" / "tokenizer.json").is_file(), reason="no real tokenizer here"
)

Edit = Callable[..., None]


def run(*command: str, cwd: Path, ok: bool = True, **env: str) -> str:
    """Run a command and give back what it said; it must succeed, or fail, as `ok` says."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, said
    return said


def fails(*command: str, cwd: Path, **env: str) -> str:
    """Run a command that a user's mistake must stop: exit 1, one line, no traceback."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 1, (done.returncode, done.stdout + done.stderr)
    lines = [line for line in done.stderr.splitlines() if "\r" not in line and line.strip()]
    told = [line for line in lines if line.startswith("error: ")]
    assert len(told) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cwd.rglob("*.partial"))
    return told[0].removeprefix("error: ")


def edit(project: Path, section: str, **values: Any) -> None:
    """Change keys of a section of a project's params.yaml."""
    yaml = YAML()
    tree = yaml.load(project / "params.yaml")
    tree[section].update(values)
    yaml.dump(tree, project / "params.yaml")


def replace(project: Path, section: str, values: dict[str, Any]) -> None:
    """Replace a whole section of a project's params.yaml."""
    yaml = YAML()
    tree = yaml.load(project / "params.yaml")
    tree[section] = values
    yaml.dump(tree, project / "params.yaml")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded BERT of one layer, with a tokenizer of 600 pieces learned from our sentences."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    sentences = (ROOT / "corpus" / "sentences.tsv").read_text("utf-8").splitlines()
    tokenizer.train_from_iterator((line.split("\t")[3] for line in sentences), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        **{f"{name[1:-1].lower()}_token": name for name in special},
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
    return folder


@pytest.fixture
def project(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """The project's own files in a new folder, with small parameters; nothing has run yet."""
    return lay_out(tmp_path / "project", tiny_checkpoint)


def lay_out(target: Path, checkpoint: Path) -> Path:
    target.mkdir()
    for name in ("stages", "stars", "corpus", "presets", "input", ".dvc"):
        shutil.copytree(
            ROOT / name,
            target / name,
            ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "*.local"),
        )
    for name in ("dvc.yaml", ".gitignore", ".gitattributes"):
        shutil.copy(ROOT / name, target)
    shutil.copy(ROOT / "presets" / "quickstart.yaml", target / "params.yaml")
    for name in ("reviews", "checkpoint"):  # less what a user keeps there
        for path in (target / "input" / name).iterdir():
            if path.name != ".gitignore":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(checkpoint, target / "input" / "checkpoint" / "tiny")
    edit(target, "download", train_size=200, test_size=100, median_words=10)
    replace(target, "pretrained", {"source": "folder", "folder": "tiny"})
    edit(target, "tokenize", max_length=32)
    edit(target, "sample", train_size=60, validation_size=20, test_size=30)
    edit(target, "train", num_train_epochs=1, logging_steps=2)
    edit(target, "train", learning_rate=1e-3, head_learning_rate=1e-3)
    return target


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A git and DVC repository in which `dvc repro` has run; copy it before you change it."""
    target = lay_out(tmp_path_factory.mktemp("finished") / "project", tiny_checkpoint)
    run("git", "init", "-q", "-b", "main", cwd=target)
    run("git", "add", "-A", cwd=target)
    run("git", "commit", "-qm", "start", cwd=target)
    run("dvc", "repro", cwd=target)
    run("git", "add", "-A", cwd=target)
    run("git", "commit", "-qm", "first run", cwd=target)
    return target


@pytest.fixture
def repo(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished repository, to change at will."""
    shutil.copytree(finished, tmp_path / "repo", symlinks=True)
    return tmp_path / "repo"


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A project in miniature up to its sample."""
    from test_download import DOWNLOAD

    from stages import download, sample, tokenize

    project = lay_out(tmp_path_factory.mktemp("sampled") / "project", tiny_checkpoint)
    run("git", "init", "-q", cwd=project)
    run("git", "add", "dvc.yaml", cwd=project)
    run("git", "commit", "-qm", "start", cwd=project)
    shutil.copytree(tiny_checkpoint, project / "models" / "pretrained")
    files = [tiny_checkpoint / name for name in ("tokenizer.json", "config.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        data = project / "data"
        download.main(project / DOWNLOAD[3], project / DOWNLOAD[4], data / "raw", project / "m")
        tokenize.main(
            data / "raw", *files, tiny_checkpoint / "tokenizer_config.json", data / "tokenized"
        )
        sample.main(data / "tokenized", data / "sample")
    return project


@pytest.fixture
def small(sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to train in: the working folder."""
    shutil.copytree(sampled, tmp_path / "small")
    monkeypatch.chdir(tmp_path / "small")
    return tmp_path / "small"
