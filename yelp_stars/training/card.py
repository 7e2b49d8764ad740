"""Write the model card: README.md beside the weights, in the Hugging Face Hub's format.

It holds no text of a user: the examples are synthetic reviews.
"""

import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from yelp_stars.data import synthetic
from yelp_stars.pipeline.text import markdown_cell
from yelp_stars.training.saving import Result

FILE = "README.md"
TEMPLATE = Path(__file__).with_name("card.md")
HUB = re.compile(r"[\w.-]+/[\w.-]+")
SOURCES = {"synthetic": "synthetic reviews", "files": "own files"}
# The parameters of `train` that it shows.
PARAMS = {"num_train_epochs", "learning_rate", "batch_size", "precision", "seed"}
SHOWN = 20  # labels


def write(result: Result, params: dict[str, Any], sentences: Path, target: Path) -> None:
    """Write the card of a model: its training data, validation scores, how to load it."""
    train, scores = result.train, result.scores
    repo = train.source if HUB.fullmatch(train.source) else None
    source = repo or SOURCES.get(train.source, train.source)
    interval = [scores["accuracy_low"], scores["accuracy_high"]]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
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
    )
    examples: dict[int, str] = {}
    if train.ordered and len(train.label_names) == len(synthetic.LABEL_NAMES):
        bank = synthetic.read_bank(sentences, "train")
        examples = dict(
            synthetic.reviews(
                bank,
                len(train.label_names),
                median_words=20,
                label_noise=0.0,
                seed=params["seed"],
                split="train",
            )
        )
    longest = float((train.lengths >= train.max_length).mean())
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        cell=markdown_cell,
        source=source,
        model=result.model,
        train=train,
        labels=list(zip(train.label_names, train.label_counts))[:SHOWN],
        examples=examples,
        parameters={
            "reviews": f"{len(train):,}, {source}",
            f"of {train.max_length} tokens, the largest length": f"{longest:.1%}",
            **params,
        },
        scores=scores,
        fitted=result.fitted,
    )
    card.save(target / FILE)
