"""A transformer reads texts as they were cut in training."""

import json
import shutil

import pytest
from helpers import FUZZ_EXAMPLES, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from yelp_stars import load_classifier
from yelp_stars.checkpoint.tokenizer import TRUNCATION
from yelp_stars.classifier.transformer import read_cut

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
def test_texts_are_cut_as_the_folder_says(folder, tmp_path, truncation):
    copy = shutil.copytree(folder, tmp_path / "ft")
    content = {"max_length": 16, "truncation": truncation}
    (copy / TRUNCATION).unlink()  # a link into the cache
    (copy / TRUNCATION).write_text(json.dumps(content))
    classify = load_classifier(copy, precision="fp32")
    words = " ".join(f"word{number}" for number in range(60))
    ids = classify.model.encode([words]).ids[0]
    whole = AutoTokenizer.from_pretrained(copy)(words, truncation=False)["input_ids"]
    head = {"head": 15, "tail": 1, "head_tail": 1 + 4}[truncation]
    assert ids == whole[:head] + whole[len(whole) - (16 - head) :]
    assert classify([words])[0].truncated


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.text(max_size=20)
    | st.fixed_dictionaries(
        {}, optional={"max_length": VALUES, "truncation": VALUES | st.just("head")}
    ).map(lambda values: json.dumps(values, allow_nan=True))
)
def test_any_file_of_the_truncation_is_read_or_one_line(tmp_path, content):
    (tmp_path / TRUNCATION).write_text(content, encoding="utf-8")
    found = result_or_line(lambda: read_cut(tmp_path, 512))
    assert isinstance(found, str) or 0 < found.max_length <= 512
