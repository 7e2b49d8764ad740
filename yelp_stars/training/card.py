"""The model card: README.md beside the weights, in the format of the Hugging Face Hub.

It holds no text of a user: the examples are synthetic reviews.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from yelp_stars.data import synthetic
from yelp_stars.modeling.batching import ReviewDataset
from yelp_stars.pipeline.text import counted, markdown_cell
from yelp_stars.training.saving import Result

FILE = "README.md"
TEMPLATE = Path(__file__).with_name("card.md")
HUB = re.compile(r"[\w.-]+/[\w.-]+")
# The parameters of `train` that it shows.
PARAMS = {"num_train_epochs", "learning_rate", "batch_size", "precision", "seed"}
SHOWN = 20  # labels


class Source(NamedTuple):
    """The origin of the reviews, for people and for the Hub."""

    name: str
    repo: str | None


def source_of(source: str) -> Source:
    """Name the source that the stage `download` wrote into the data."""
    if HUB.fullmatch(source):
        return Source(source, source)
    names = {"synthetic": "synthetic reviews", "files": "own files"}
    return Source(names.get(source, source if source.isidentifier() else "unknown"), None)


def write(result: Result, params: dict[str, Any], sentences: Path, target: Path) -> None:
    """Write the card of a model: its training data, validation scores, how to load it."""
    train, scores = result.train, result.scores
    source = source_of(train.source)
    interval = [scores["accuracy_low"], scores["accuracy_high"]]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["yelp-stars"],
        datasets=[source.repo] if source.repo else None,
        metrics=["accuracy"],
        model_name="yelp-stars",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type=source.repo or "unknown",
                dataset_name=source.name,
                dataset_split="validation",
                metric_type="accuracy",
                metric_value=scores["accuracy"],
                metric_args={"interval_95": interval, "n": scores["n"]},
            )
        ],
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        source=source,
        architecture=type(result.model).__name__,
        parameters=f"{result.model.num_parameters() / 1e6:.1f}M",
        max_length=train.max_length,
        truncation=train.truncation,
        n_labels=len(train.label_names),
        labels=labels_table(train, sentences, params["seed"]),
        parameters_table=parameters_table(train, source, params),
        scores=scores,
        fitted=result.fitted,
    )
    card.save(target / FILE)


def labels_table(train: ReviewDataset, sentences: Path, seed: int) -> str:
    """List name, training rows and, if they are stars, a synthetic review of each label."""
    counts = train.label_counts
    examples: dict[int, str] = {}
    if train.ordered and len(counts) == len(synthetic.LABEL_NAMES):
        bank = synthetic.read_bank(sentences, "train")
        examples = dict(
            synthetic.reviews(
                bank, len(counts), median_words=20, label_noise=0.0, seed=seed, split="train"
            )
        )
    lines = ["| label | training reviews | a synthetic review |", "|---|---|---|"]
    for label, (name, rows) in enumerate(zip(train.label_names[:SHOWN], counts)):
        example = markdown_cell(examples.get(label, "-"), 300)
        lines.append(f"| {markdown_cell(name)} | {rows:,} | {example} |")
    if len(counts) > SHOWN:
        lines += [
            "",
            f"{counted(len(counts) - SHOWN, 'more label is', 'more labels are')} in config.json.",
        ]
    return "\n".join(lines)


def parameters_table(train: ReviewDataset, source: Source, params: dict[str, Any]) -> str:
    """List the training data and parameters."""
    longest = float((train.lengths >= train.max_length).mean())
    rows = {
        "reviews": f"{len(train):,}, {source.name}",
        f"of {train.max_length} tokens, the largest length": f"{longest:.1%}",
        **params,
    }
    lines = ["| | |", "|---|---|"]
    lines += [f"| {markdown_cell(name)} | {markdown_cell(value)} |" for name, value in rows.items()]
    return "\n".join(lines)
