"""What `--model` accepts: classifiers whose numbers are those that transformers gives."""

import re
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.copying import CONVERT, check_text_files, weight_files
from yelp_stars.checkpoint.tokenizer import read_json, special_tokens
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.labels import canonical_label

ADVICE = "run `dvc repro` or `dvc pull`, or choose another folder"
ANOTHER = "choose a classifier of one label per text"


def check_classifier(folder: Path) -> None:
    """Refuse a folder that is not a classifier of one label per text; say what it is."""
    where = quoted(str(folder))
    if not folder.is_dir():
        problem = f"{where} is a file, not a folder" if folder.exists() else f"no folder {where}"
        raise UserError(problem, advice=ADVICE)
    if (folder / "adapter_config.json").exists():
        advice = "merge them with peft's `merge_and_unload()`, and save model and tokenizer"
        raise UserError(f"{where} is an adapter without its model", advice=advice)
    check_text_files(folder, CONVERT if any(folder.glob("*vocab*")) else ADVICE)
    files = weight_files(folder, CONVERT if any(folder.rglob("*model*.*")) else ADVICE)
    config = architecture.read_config(folder)
    labels = [config.id2label.get(label) for label in range(len(config.id2label))]
    is_text = [isinstance(name, str) and not re.search("[\ud800-\udfff]", name) for name in labels]
    names = [canonical_label(name) if valid else None for name, valid in zip(labels, is_text)]
    problem, advice = "", ANOTHER
    if len(files) > 1 and read_shards(folder) != {file.name for file in files}:
        problem = "has an index of weights that names other files"
    elif len(names) < 2:
        problem = "has one output: it is a regression"
    elif config.problem_type not in (None, "single_label_classification"):
        problem = f"is for the problem_type {quoted(config.problem_type)}"
    elif getattr(config, "function_to_apply", None) not in (None, "softmax"):
        problem = f"has the function_to_apply {quoted(config.function_to_apply)}, not 'softmax'"
    elif sorted(config.id2label) != [*range(len(names))]:
        problem = f"has labels with the ids {quoted(sorted(config.id2label))}"
        advice = f"number them in its config.json from 0 to {len(names) - 1}"
    elif len(set(names)) < len(names) or None in names:
        twice = next(name for name in names if names.count(name) > 1 or name is None)
        problem = "has a label without a name" if twice is None else f"has two labels {twice!r}"
        advice = "give each its own name in its config.json"
    if problem:
        raise UserError(f"{where} {problem}", advice=advice)


def read_shards(folder: Path) -> set[Any]:
    """Read the names of the files that hold the weights of a large model."""
    index = read_json(folder / "model.safetensors.index.json").get("weight_map")
    return {*map(str, index.values())} if isinstance(index, dict) else set()


def check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer whose ids alone do not decide what transformers computes."""
    name = f"the tokenizer of {quoted(str(folder))}"
    with refusing(f"{name} is not valid", ANOTHER):
        has_types = any(tokenizer.backend_tokenizer.encode("a").type_ids)
        special_tokens(tokenizer.backend_tokenizer)
    if has_types:
        raise UserError(f"{name} gives a text other token types than 0", advice=ANOTHER)
    if tokenizer.padding_side != "right":
        raise UserError(f"{name} pads texts on the left", advice=ANOTHER)
