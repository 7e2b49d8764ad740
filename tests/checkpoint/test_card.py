"""What the card of a checkpoint says: read as far as it means something, whatever it holds."""

import pytest

from yelp_stars.checkpoint.card import CARD, read_facts


@pytest.mark.parametrize(
    ("metadata", "facts"),
    [
        ("license: apache-2.0\nlanguage: en\n", {"license": "apache-2.0", "language": "en"}),
        ("language:\n- de\nlibrary_name: x\n", {"language": "de"}),
        ("language: [de, en]\nlicense: other\n", {}),
        ("license: [mit]\nbase_model: a/b\n", {"license": "mit", "base_model": "a/b"}),
        ("license: My own, see LICENSE\nlanguage: English\nbase_model: ../b\n", {}),
        ("license: 7\nlanguage: {en: 1}\n", {}),
        ("license: !!python/object:os.system x\n", {}),
        ("license: mit\nlicense: mit\n", {}),
        ("- license: mit\n", {}),
        ("", {}),
    ],
)
def test_facts_are_those_with_one_value_that_the_hub_knows(tmp_path, metadata, facts):
    (tmp_path / CARD).write_text(f"---\n{metadata}---\n# A model\n")
    assert read_facts(tmp_path) == facts


@pytest.mark.parametrize("content", [b"# A model\n", b"---\n\xff\n---\n", b""])
def test_a_card_without_metadata_says_nothing_and_so_does_none(tmp_path, content):
    assert read_facts(tmp_path) == {}
    (tmp_path / CARD).write_bytes(content)
    assert read_facts(tmp_path) == {}


def test_a_card_of_windows_is_read(tmp_path):
    (tmp_path / CARD).write_bytes(b"---\r\nlicense: mit\r\n---\r\nText.\r\n")
    assert read_facts(tmp_path) == {"license": "mit"}
