"""Intermediate training: short synthetic reviews, of which nothing is left but the weights."""

from pathlib import Path

import pytest
import torch
from helpers import SENTENCES, make_trainer, max_difference, review_dataset
from transformers import AutoTokenizer

from stages.train import Params
from yelp_stars.data import synthetic
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import load_params
from yelp_stars.training import intermediate
from yelp_stars.training.arguments import make_optimizer
from yelp_stars.training.trainer import ResumableTrainer

RATES = {"learning_rate": 1e-3, "head_learning_rate": 1e-3, "weight_decay": 0.01}


def train(trainer: ResumableTrainer, optimizer: torch.optim.Optimizer, size: int) -> None:
    pretrained = Path("models", "pretrained")
    intermediate.train(trainer, optimizer, sentences=SENTENCES, pretrained=pretrained, size=size)


def test_the_examples_are_synthetic_reviews_cut_as_the_checkpoints_own_tokenizer_does(
    tiny_checkpoint,
):
    examples = intermediate.compose_examples(SENTENCES, tiny_checkpoint, 40, 3, 32)
    bank = synthetic.read_bank(SENTENCES, "train")
    reviews = synthetic.reviews(bank, 40, median_words=20, label_noise=0.0, seed=3, split="train")
    labels, texts = zip(*reviews)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    expected = tokenizer(list(texts), truncation=True, max_length=32)["input_ids"]
    assert [list(example["input_ids"]) for example in examples] == expected
    assert [example["labels"] for example in examples] == [*labels]
    assert sorted(labels) == sorted([0, 1, 2, 3, 4] * 8)
    assert min(map(len, expected)) < max(map(len, expected)) == 32  # some are cut


@pytest.mark.slow
def test_afterwards_nothing_is_left_but_the_weights(train_project, capsys):
    params = load_params(Params, "train")
    trainer = make_trainer(params)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    optimizer = make_optimizer(trainer.model, **RATES)
    train(trainer, optimizer, 40)
    assert max_difference(before, trainer.model.state_dict()) > 0
    state = torch.get_rng_state()
    torch.manual_seed(params.seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert trainer.optimizer is not optimizer
    assert not trainer.optimizer.state  # its moments do not know of the examples
    assert "intermediate training: 100%" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "ordered", "difference"),
    [
        ("ab", True, "5 labels in order and yours have 2"),
        ("abcde", False, "yours have 5 without one"),
    ],
)
def test_other_labels_than_stars_are_reported(train_project, names, ordered, difference):
    trainer = make_trainer(load_params(Params, "train"))
    trainer.train_dataset = review_dataset(names, ordered=ordered)
    trainer.model.config.num_labels = len(names)
    with pytest.raises(UserError, match=difference) as raised:
        train(trainer, make_optimizer(trainer.model, **RATES), 20)
    assert raised.value.setting == "train.intermediate_size"
