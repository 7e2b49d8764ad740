"""Save the result of training: the model's folder with its card, and its validation scores."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedModel, TrainerState
from transformers.trainer_utils import PredictionOutput

from yelp_stars.checkpoint.architecture import load_auto_tokenizer
from yelp_stars.checkpoint.card import FACTS
from yelp_stars.checkpoint.tokenizer import ORIGIN, TRUNCATION
from yelp_stars.data import synthetic
from yelp_stars.modeling.batching import ReviewDataset
from yelp_stars.pipeline.files import read_object, write_json
from yelp_stars.pipeline.text import are_stars, markdown_cell
from yelp_stars.scoring import calibration
from yelp_stars.scoring.metrics import rounded
from yelp_stars.training.curves import TIMES
from yelp_stars.training.trainer import ResumableTrainer

CARD = Path(__file__).with_name("card.md")
HUB = re.compile(r"[\w.-]+/[\w.-]+")
SOURCES = {"synthetic": "synthetic reviews", "files": "own files"}
# The parameters of `train` that the card shows.
SHOWN = {"num_train_epochs", "learning_rate", "batch_size", "class_weights", "precision", "seed"}
SHOWN_LABELS = 20
EXAMPLE = "The soup was cold, but the staff were lovely."


class Result(NamedTuple):
    """Result of training."""

    model: PreTrainedModel
    train: ReviewDataset
    """Rows that it was trained on."""
    scores: dict[str, Any]
    """Scores on the validation rows, as in metrics/validation.json."""
    fitted: calibration.Calibration
    """Calibration fitted to the validation rows."""


def result_of(trainer: ResumableTrainer, validated: PredictionOutput) -> Result:
    """Describe the model that the trainer has kept; `validated` is its validation."""
    train = trainer.train_dataset
    assert isinstance(validated.predictions, np.ndarray)
    assert isinstance(validated.label_ids, np.ndarray)
    scores = validation_scores(trainer.state, trainer.args.load_best_model_at_end)
    fitted = calibration.fit(validated.predictions, validated.label_ids, train.ordered)
    return Result(trainer.model, train, scores, fitted)


def validation_scores(state: TrainerState, best: bool) -> dict[str, Any]:
    """Return the validation scores of the last epoch, or of the best one."""
    evaluated = [entry for entry in state.log_history if "eval_accuracy" in entry]
    entry = evaluated[-1]
    if best:
        entry = next(entry for entry in evaluated if entry["step"] == state.best_global_step)
    scores = {
        key.removeprefix("eval_"): value
        for key, value in sorted(entry.items())
        if not key.endswith(TIMES) and key not in ("epoch", "step")
    }
    return rounded(scores)


def save(result: Result, pretrained: Path, target: Path) -> None:
    """Write a folder that plain `from_pretrained` loads: safetensors, config, tokenizer.

    With the calibration, how the training rows were read, and how texts were cut: the tokenizer
    knows how long they may be, not which end to keep.
    """
    max_length = result.train.max_length
    result.model.save_pretrained(target)
    tokenizer = load_auto_tokenizer(pretrained, model_max_length=max_length)
    tokenizer.init_kwargs["local_files_only"] = False  # else that of HF_HUB_OFFLINE
    tokenizer.save_pretrained(target)
    cut = {"max_length": max_length, "truncation": result.train.truncation}
    write_json(target / TRUNCATION, cut)
    write_json(target / ORIGIN, result.train.origin)
    write_json(target / calibration.FILE, result.fitted._asdict())


def write_card(
    result: Result, params: dict[str, Any], sentences: Path, pretrained: Path, target: Path
) -> None:
    """Write the model card: README.md beside the weights, in the Hugging Face Hub's format.

    Its license, language and base model are those of the checkpoint's own card. It holds no text of
    a user: the examples are synthetic reviews.
    """
    train, scores = result.train, result.scores
    repo = train.source if HUB.fullmatch(train.source) else None
    source = repo or SOURCES.get(train.source, train.source)
    example = EXAMPLE if train.origin["noun"] == "review" else "A text."
    interval = [scores["accuracy_low"], scores["accuracy_high"]]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        widget=[{"text": example}],
        tags=["yelp-stars"],
        datasets=[repo] if repo else None,
        metrics=["accuracy"],
        model_name="yelp-stars",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type=repo or "unknown",
                dataset_name=source,
                dataset_split="validation",
                metric_type="accuracy",
                metric_value=scores["accuracy"],
                metric_args={"interval_95": interval, "n": scores["n"]},
            )
        ],
        **read_object(pretrained / FACTS),
    )
    examples: dict[int, str] = {}
    stars = are_stars(train.label_names)
    if train.ordered and stars and len(train.label_names) == len(synthetic.LABEL_NAMES):
        bank = synthetic.read_bank(sentences, "train")
        options = {"median_words": 20, "label_noise": 0.0, "seed": params["seed"]}
        examples = dict(synthetic.reviews(bank, len(train.label_names), split="train", **options))
    longest = float((train.lengths >= train.max_length).mean())
    card = ModelCard.from_template(
        data,
        template_path=str(CARD),
        cell=markdown_cell,
        stars=stars,
        source=source,
        labels=list(zip(train.label_names, train.label_counts))[:SHOWN_LABELS],
        example=example,
        examples=examples,
        parameters={
            f"{train.origin['noun']}s": f"{len(train):,}, {source}",
            f"of {train.max_length} tokens, the largest length": f"{longest:.1%}",
            **params,
        },
        **result._asdict(),
    )
    card.save(target / "README.md")


def describe(result: Result, seconds: float, rates: dict[str, float]) -> str:
    """Two lines: how long it took and how good the model is; the temperature."""
    scores, fitted = result.scores, result.fitted
    return (
        f"trained in {seconds:.0f} s, {rates['tokens_per_second']:,.0f} tokens/s; "
        f"validation accuracy {scores['accuracy']:.3f} [{scores['accuracy_low']:.3f}, "
        f"{scores['accuracy_high']:.3f}] on {scores['n']:,} rows\n"
        f"temperature {fitted.temperature}: takes the calibration error on {fitted.n:,} "
        f"validation rows from {fitted.ece_before} to {fitted.ece_after}; too low where those are "
        f"easier than other rows"
    )
