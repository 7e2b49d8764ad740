"""The checkpoint's tokenizer: its own limits, and what truncation keeps."""

import json

import pytest
from helpers import TOKENIZER_FILES
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.data.tokenizer import head_tail_budget, load_tokenizer, truncate
from yelp_stars.pipeline.errors import UserError


def test_head_tail_is_that_of_the_paper():
    assert head_tail_budget(510, "head_tail") == (128, 382)


@given(room=st.integers(0, 1000))
def test_a_budget_spends_all_of_the_room(room):
    assert head_tail_budget(room, "head") == (room, 0)
    assert head_tail_budget(room, "tail") == (0, room)
    assert sum(head_tail_budget(room, "head_tail")) == room


def test_a_tokenizer_files_own_truncation_and_padding_do_not_count(tokenizer_files, tmp_path):
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(tokenizer_files / "tokenizer.json"))
    own.enable_truncation(4)
    own.enable_padding(length=4)
    own.save(str(tmp_path / "tokenizer.json"))
    others = (tokenizer_files / name for name in TOKENIZER_FILES[1:])
    tokenizer, _ = load_tokenizer(tmp_path / "tokenizer.json", *others)
    texts = ["good", "the food was very good"]
    first, second = (len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))
    assert first < second
    assert second > 4


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "expected"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": 512}, {"model_max_length": int(1e30)}, 512),
        ({"max_position_embeddings": 512}, {}, 512),
        ({}, {"model_max_length": 256}, 256),
        ({}, {}, 2**31 - 1),
    ],
)  # fmt: skip
def test_the_models_length_is_the_smaller_of_both_limits(
    tokenizer_files, tmp_path, config, tokenizer_config, expected
):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    paths = (tmp_path / name for name in TOKENIZER_FILES[1:])
    assert load_tokenizer(tokenizer_files / "tokenizer.json", *paths)[1] == expected


@pytest.mark.parametrize("content", ["{}", "[]", "not JSON", b"\xff"])
def test_a_file_that_is_not_a_tokenizer_is_reported(tokenizer_files, tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    paths = (tokenizer_files / name for name in TOKENIZER_FILES[1:])
    with pytest.raises(UserError) as caught:
        load_tokenizer(path, *paths)
    assert str(caught.value) == (
        f"'{path}' is not a fast-tokenizer file; choose another checkpoint"
    )


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
    tokenizer, _ = load_tokenizer(*(tokenizer_files / name for name in TOKENIZER_FILES))
    encodings = tokenizer.encode_batch_fast(["a b c d e f g h", "a b c"])
    (first, second), n_truncated = truncate(encodings, (1, 1), 5, truncation)
    assert n_truncated == 1
    assert " ".join(tokenizer.id_to_token(number) for number in first) == expected
    assert second == encodings[1].ids
