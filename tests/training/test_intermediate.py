"""Intermediate training: short synthetic reviews, of which nothing is left but the weights."""

import pyarrow as pa
import pytest
import torch
from helpers import SENTENCES, edit, make_trainer, max_difference
from transformers import AutoTokenizer

from stages.train import Params
from yelp_stars.data import synthetic
from yelp_stars.pipeline.params import load_params
from yelp_stars.training import intermediate
from yelp_stars.training.optimizer import make_optimizer

RATES = {"learning_rate": 1e-3, "head_learning_rate": 1e-3, "weight_decay": 0.01}


@pytest.mark.parametrize("max_length", [32, 64])
def test_token_ids_are_those_of_the_checkpoints_own_tokenizer(tiny_checkpoint, max_length):
    examples = intermediate.compose_examples(SENTENCES, tiny_checkpoint, 40, 3, max_length)
    bank = synthetic.read_bank(SENTENCES, "train")
    reviews = list(
        synthetic.reviews(bank, 40, median_words=20, label_noise=0.0, seed=3, split="train")
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    texts = [text for _, text in reviews]
    expected = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    assert [list(example["input_ids"]) for example in examples] == expected
    assert [example["labels"] for example in examples] == [label for label, _ in reviews]
    lengths = [len(ids) for ids in expected]
    assert max(lengths) == max_length  # some are truncated
    assert min(lengths) < max_length


def test_every_label_has_as_many_examples(tiny_checkpoint):
    examples = intermediate.compose_examples(SENTENCES, tiny_checkpoint, 40, 0, 32)
    labels = [example["labels"] for example in examples]
    assert sorted(labels) == sorted([0, 1, 2, 3, 4] * 8)
    assert max(len(example["input_ids"]) for example in examples) <= 32


def test_more_examples_begin_with_the_same_ones(tiny_checkpoint):
    few, many = (
        intermediate.compose_examples(SENTENCES, tiny_checkpoint, size, 0, 32) for size in (5, 20)
    )
    assert pa.array([example["input_ids"] for example in few]) == pa.array(
        [example["input_ids"] for example in many[:5]]
    )


@pytest.mark.slow
def test_afterwards_nothing_is_left_but_the_weights(train_project, capsys):
    params = load_params(Params, "train")
    trainer = make_trainer(params)
    pretrained = train_project / "models" / "pretrained"
    examples = intermediate.compose_examples(SENTENCES, pretrained, 40, 0, 32)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    optimizer = make_optimizer(trainer.model, **RATES)
    intermediate.train(trainer, examples, optimizer)
    assert max_difference(before, trainer.model.state_dict()) > 0
    state = torch.get_rng_state()
    torch.manual_seed(params.seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert trainer.optimizer is not optimizer
    assert not trainer.optimizer.state  # its moments do not know of the examples
    assert "intermediate training: 100%" in capsys.readouterr().err


@pytest.mark.slow
def test_accumulated_batches_give_the_weights_of_one_batch(train_project):
    pretrained = train_project / "models" / "pretrained"
    examples = intermediate.compose_examples(SENTENCES, pretrained, 48, 0, 32)
    weights = []
    for steps in (1, 4):
        edit(train_project, "train", batch_size=16, gradient_accumulation_steps=steps)
        trainer = make_trainer(load_params(Params, "train"))
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        intermediate.train(trainer, examples, make_optimizer(trainer.model, **RATES))
        weights.append(trainer.model.state_dict())
    assert max_difference(*weights) < 1e-4
