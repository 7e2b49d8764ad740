"""The checkpoint's tokenizer: its own limits, and what truncation keeps."""

import json
import shutil

import pytest
from helpers import thorough
from tokenizers import Tokenizer

from yelp_stars.checkpoint.tokenizer import (
    AFTER_PADDING,
    UNLIMITED,
    head_tail_budget,
    length_limit,
    load_tokenizer,
    read_json,
    truncate,
)
from yelp_stars.pipeline.errors import Damaged, UserError


def test_a_budget_spends_all_of_the_room_and_head_tail_is_that_of_the_paper():
    assert head_tail_budget(510, "head_tail") == (128, 382)
    for room in range(100):
        assert head_tail_budget(room, "head") == (room, 0)
        assert head_tail_budget(room, "tail") == (0, room)
        assert sum(head_tail_budget(room, "head_tail")) == room


@pytest.fixture
def folder(tokenizer_files, tmp_path):
    """The files of a tokenizer, to change at will."""
    return shutil.copytree(tokenizer_files, tmp_path / "tokenizer")


def test_a_tokenizer_files_own_truncation_and_padding_do_not_count(folder):
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.enable_truncation(4)
    own.enable_padding(length=4)
    own.save(str(folder / "tokenizer.json"))
    tokenizer, _ = load_tokenizer(folder)
    texts = ["good", "the food was very good"]
    first, second = (len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))
    assert first < second
    assert second > 4


ROBERTA = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
DEBERTA = {"model_type": "deberta-v2", "max_position_embeddings": 512}


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "expected"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": 512}, {"model_max_length": 1e30}, 512),
        ({"max_position_embeddings": 512}, {"model_max_length": None}, 512),
        ({"max_position_embeddings": None}, {"model_max_length": 256.0}, 256),
        ({}, {}, UNLIMITED),
        (ROBERTA, {"model_max_length": 514}, 512),
        ({**ROBERTA, "pad_token_id": 3}, {}, 510),
        ({**ROBERTA, "model_type": "mpnet", "pad_token_id": 5}, {}, 512),
        ({**ROBERTA, "model_type": "bert"}, {}, 512),
        (DEBERTA, {}, 512),
        ({**DEBERTA, "position_biased_input": False}, {}, UNLIMITED),
    ],
)
def test_the_models_length_is_the_smaller_of_both_limits(
    folder, config, tokenizer_config, expected
):
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    assert load_tokenizer(folder)[1] == expected


OTHERS = ("albert", "distilbert", "electra", "nystromformer")


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    ["roberta", "mpnet", "bert", *thorough(*sorted(AFTER_PADDING - {"roberta"}), *OTHERS)],
)
def test_the_limit_is_that_of_transformers_own_class(tmp_path, architecture):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(
        architecture,
        **{"vocab_size": 20, "hidden_size": 24, "dim": 24, "embedding_size": 24},
        **{"num_hidden_layers": 1, "n_layers": 1, "num_attention_heads": 2, "n_heads": 2},
        **{"intermediate_size": 8, "hidden_dim": 8, "attention_window": 8},
        **{"max_position_embeddings": 48, "pad_token_id": 3, "entity_vocab_size": 20},
    )
    if architecture == "xmod":
        config.languages, config.default_language = ["en_XX"], "en_XX"
    config.save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    limit = length_limit(tmp_path).tokens
    model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False).eval()
    with torch.inference_mode():
        assert model(torch.full((1, limit), 7)).logits.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, limit + 1), 7))


@pytest.mark.parametrize("value", [0, "512", True, [512], float("nan"), 1.5])
@pytest.mark.parametrize(
    ("name", "key"),
    [("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")],
)
def test_a_limit_that_is_not_a_number_of_tokens_is_reported(folder, name, key, value):
    (folder / name).write_text(json.dumps({key: value}))
    with pytest.raises(UserError) as caught:
        length_limit(folder)
    assert caught.value.problem == f"'{folder / name}' has {key} {value!r}"


def test_positions_that_leave_no_token_are_reported(folder):
    (folder / "config.json").write_text(json.dumps({**ROBERTA, "max_position_embeddings": 2}))
    with pytest.raises(UserError, match="has max_position_embeddings 2, which leaves no token"):
        length_limit(folder)


@pytest.mark.parametrize(
    "content", [b"[]", b"", b"\xff", b"[" * 100_000, b"9" * 5_000], ids=list("abcde")
)
def test_a_json_file_that_is_not_an_object_is_one_line(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(Damaged, match="is not a JSON object"):
        read_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model": {"type": "BPE"}},
        {"model": {"type": "WordPiece", "vocab": {}}},
        {"model": {"type": "Nope", "vocab": {"a": 1}}},
        {"model": {"type": "WordLevel", "vocab": {"b": 0}, "unk_token": "[UNK]"}},
    ],
)
def test_a_file_that_is_not_a_tokenizer_is_reported(folder, content):
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not a fast-tokenizer file") as caught:
        load_tokenizer(folder)
    assert caught.value.advice == "choose another checkpoint"


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        ("head", "[CLS] a b c [SEP]"),
        ("tail", "[CLS] f g h [SEP]"),
        ("head_tail", "[CLS] a g h [SEP]"),
    ],
)
def test_only_a_longer_text_is_truncated_between_its_special_tokens(
    tokenizer_files, truncation, expected
):
    tokenizer, _ = load_tokenizer(tokenizer_files)
    encodings = tokenizer.encode_batch_fast(["a b c d e f g h", "a b c"])
    (first, second), n_truncated = truncate(encodings, (1, 1), 5, truncation)
    assert n_truncated == 1
    assert " ".join(tokenizer.id_to_token(number) for number in first) == expected
    assert second == encodings[1].ids
