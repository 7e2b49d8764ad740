"""The result of a training: a folder that anyone can load, the scores of the model in it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import SENTENCES, own_markdown, review_dataset
from huggingface_hub import ModelCard
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    TrainerState,
)

from yelp_stars.checkpoint.card import FACTS
from yelp_stars.data import synthetic
from yelp_stars.scoring import calibration
from yelp_stars.training.saving import Result, describe, save, validation_scores, write_card

SCORES = {"n": 500, "accuracy": 0.76, "accuracy_low": 0.721, "accuracy_high": 0.795}
HOSTILE = (
    "<script>|x|</script>\n---\n[a](http://b) `c` \u202e {{ 7 }} @octocat GH-1 a32b112 u@v.example"
)
NOISE = 0.123456789


def evaluated(step: int, accuracy: float) -> dict:
    """The log entry of an epoch's validation."""
    scores = {"eval_accuracy": accuracy, "eval_loss": 1 + NOISE, "eval_n": 20}
    return {"step": step, **scores, "eval_quadratic_kappa": None, "eval_runtime": 2.5}


def test_the_validation_scores_are_those_of_the_epoch_that_is_kept():
    state = TrainerState(best_global_step=20)
    state.log_history = [
        *(evaluated(10, 0.6), evaluated(20, 0.7), evaluated(30, 0.5)),
        {"step": 30, "train_runtime": 9.0, "train_loss": NOISE},
    ]
    scores = {"loss": 1.12, "n": 20, "quadratic_kappa": None}
    assert validation_scores(state, best=False) == {"accuracy": 0.5, **scores}
    assert validation_scores(state, best=True) == {"accuracy": 0.7, **scores}


def finished(checkpoint: Path) -> Result:
    """A training of three labels that ends without a step."""
    labels = np.random.default_rng(0).integers(0, 3, 100)
    logits = np.random.default_rng(1).normal(size=(100, 3)) + 2 * np.eye(3)[labels]
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=3)
    return Result(model, review_dataset("abc"), SCORES, calibration.fit(logits, labels, True))


def test_the_saved_model_loads_with_a_tokenizer_that_obeys_its_caller(tiny_checkpoint, tmp_path):
    # A checkpoint whose tokenizer truncates and pads to 6, as all-MiniLM's does to 128.
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "pretrained")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.backend_tokenizer.enable_truncation(6)
    tokenizer.backend_tokenizer.enable_padding(length=6)
    tokenizer.backend_tokenizer.save(str(checkpoint / "tokenizer.json"))
    result = finished(checkpoint)
    save(result, checkpoint, tmp_path / "ft")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ft")
    assert loaded.config.num_labels == 3
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "ft")
    assert len(tokenizer("food " * 100, truncation=True)["input_ids"]) == 8
    stored = json.loads((tmp_path / "ft" / "tokenizer.json").read_text())
    assert (stored["truncation"], stored["padding"]) == (None, None)
    assert calibration.read(tmp_path / "ft") == result.fitted
    cut = json.loads((tmp_path / "ft" / "truncation.json").read_text())
    assert cut == {"max_length": 8, "truncation": "head"}
    assert not [*(tmp_path / "ft").glob("*.bin")]


def test_the_last_lines_have_the_time_the_accuracy_and_the_temperature(tiny_checkpoint):
    result = finished(tiny_checkpoint)
    first, second = describe(result, 1.4, {"tokens_per_second": 2000.0}).splitlines()
    assert "1 s, 2,000 tokens/s; validation accuracy 0.760 [0.721, 0.795] on 500 rows" in first
    assert f"temperature {result.fitted.temperature}: " in second


def written(folder, train) -> str:
    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, num_labels=len(train.label_names),
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    params = {"learning_rate": 1e-4, "seed": 42}
    write_card(
        Result(
            model,
            train,
            SCORES,
            calibration.Calibration(1.4, 0.9, 0.9, 50, 1.0, 0.9, 0.1, 0.05, True),
        ),
        params,
        SENTENCES,
        folder,
        folder,
    )
    return (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "name", "repos"),
    [("synthetic", "synthetic reviews", None), ("files", "own files", None),
     ("pigeons", "pigeons", None),
     ("Yelp/yelp_review_full", "Yelp/yelp_review_full", ["Yelp/yelp_review_full"])],
)  # fmt: skip
def test_the_hub_reads_the_accuracy_with_its_interval(tmp_path, source, name, repos):
    text = written(tmp_path, review_dataset(list("abc"), source))
    loaded = ModelCard.load(tmp_path / "README.md")
    (result,) = loaded.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.76)
    assert result.metric_args == {"interval_95": [0.721, 0.795], "n": 500}
    assert (result.dataset_name, loaded.data.datasets) == (name, repos)
    assert loaded.data.pipeline_tag == "text-classification"
    assert ("says nothing about real reviews" in text.replace("say ", "says ")) == (
        source == "synthetic"
    )


@pytest.mark.parametrize(
    ("noun", "example"),
    [("review", "The soup was cold, but the staff were lovely."), ("ticket", "A text.")],
)
def test_the_hub_reads_what_is_known_of_the_checkpoint_and_an_example(tmp_path, noun, example):
    facts = {"license": "apache-2.0", "language": "en", "base_model": "google-bert/bert"}
    (tmp_path / FACTS).write_text(json.dumps(facts))
    train = review_dataset(list("abc"), "files")
    train.origin["noun"] = noun
    text = written(tmp_path, train)
    data = ModelCard.load(tmp_path / "README.md").data.to_dict()
    assert facts.items() <= data.items()
    assert data["widget"] == [{"text": example}]
    assert f'print(classify("{example}"))' in text


def test_of_an_unknown_checkpoint_the_card_claims_nothing(tmp_path):
    written(tmp_path, review_dataset(list("abc")))
    data = ModelCard.load(tmp_path / "README.md").data.to_dict()
    assert not {"license", "language", "base_model"} & data.keys()


def test_every_label_has_its_rows_and_stars_have_a_synthetic_review(tmp_path):
    text = written(tmp_path, review_dataset(synthetic.LABEL_NAMES))
    assert text == written(tmp_path, review_dataset(synthetic.LABEL_NAMES))
    assert "\n\n\n" not in text
    assert "cut to 8 tokens, the first ones, as in training" in text
    rows = re.findall(r"^\| (\d stars?) \| (\d+) \| (.{10,}) \|$", text, re.M)
    assert [row[:2] for row in rows] == [(name, "2") for name in synthetic.LABEL_NAMES]
    assert "# Stars of a review" in text
    started = ["a", "not started", "started", "starred", "startled"]
    for names, ordered in ((list("abcde"), False), (list("ab"), True), (started, True)):
        text = written(tmp_path, review_dataset(names, "files", ordered, "head_tail"))
        assert "# Label of a review" in text
        assert "| a | 2 |\n" in text
        assert 'by "head_tail"; the pipeline above keeps the first ones' in text


def test_names_of_labels_cannot_break_the_card(tmp_path):
    text = written(tmp_path, review_dataset([HOSTILE, "x" * 1000, *map(str, range(98))]))
    table = [line for line in text.splitlines() if line.startswith("| ")]
    card = text.split("---\n", 2)[2]
    own = ("paragraph", "heading", "bullet_list", "list_item", "fence", "strong", "softbreak")
    assert own_markdown(card, *own) == []
    assert "\u202e" not in text
    assert max(map(len, table)) < 400
    assert "80 more labels are in config.json." in text
    assert ModelCard.load(tmp_path / "README.md").data.library_name == "transformers"
