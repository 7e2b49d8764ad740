"""The model card: in the Hub's format, with intervals, and without a text of a user."""

import re

import pytest
from helpers import SENTENCES, review_dataset
from huggingface_hub import ModelCard
from transformers import BertConfig, BertForSequenceClassification

from yelp_stars.data import synthetic
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.training import card
from yelp_stars.training.saving import Result

FITTED = Calibration(1.4, 0.9, 0.9, 50, 1.0, 0.9, 0.1, 0.05, True)
SCORES = {"n": 500, "accuracy": 0.76, "accuracy_low": 0.721, "accuracy_high": 0.795}
HOSTILE = "<script>|x|</script>\n---\n[a](http://b) `c` \u202e {{ 7 }}"


def written(folder, train) -> str:
    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, num_labels=len(train.label_names),
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    params = {"learning_rate": 1e-4, "seed": 42}
    card.write(Result(model, train, SCORES, FITTED), params, SENTENCES, folder)
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


def test_every_label_has_its_rows_and_stars_have_a_synthetic_review(tmp_path):
    text = written(tmp_path, review_dataset(synthetic.LABEL_NAMES))
    assert text == written(tmp_path, review_dataset(synthetic.LABEL_NAMES))
    assert "\n\n\n" not in text
    assert "cut to 8 tokens, the first ones, as in training" in text
    rows = re.findall(r"^\| (\d stars?) \| (\d+) \| (.{10,}) \|$", text, re.M)
    assert [row[:2] for row in rows] == [(name, "2") for name in synthetic.LABEL_NAMES]
    for names, ordered in ((list("abcde"), False), (list("ab"), True)):
        text = written(tmp_path, review_dataset(names, "files", ordered, "head_tail"))
        assert "| a | 2 | - |" in text
        assert 'by "head_tail"; the pipeline above keeps the first ones' in text


def test_names_of_labels_cannot_break_the_card(tmp_path):
    text = written(tmp_path, review_dataset([HOSTILE, "x" * 1000, *map(str, range(98))]))
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "{{" not in text.replace("\\{\\{", "")
    assert "&#60;script&#62;\\|x\\|" in text
    assert max(map(len, table)) < 400
    assert "80 more labels are in config.json." in text
    assert ModelCard.load(tmp_path / "README.md").data.library_name == "transformers"
