"""What `--model` accepts: a folder with a classifier of one label per text."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.labels import canonical_label

ADVICE = "run `dvc repro` or `dvc pull`, or choose another folder"
ANOTHER = "choose a classifier of one label per text"


def check_folder(folder: Path) -> None:
    """Refuse what is no folder with a model of its own."""
    where = quoted(str(folder))
    if not folder.is_dir():
        problem = f"{where} is a file, not a folder" if folder.exists() else f"no folder {where}"
        raise UserError(problem, advice=ADVICE)
    if (folder / "adapter_config.json").exists():
        advice = "merge them with peft's `merge_and_unload()`, and save model and tokenizer"
        raise UserError(f"{where} is an adapter without its model", advice=advice)


def check_labels(
    folder: Path, id2label: Mapping[Any, Any], problem_type: Any, function: Any
) -> list[str]:
    """Refuse labels that are not one per text; return their names.

    They are what config.json says: id2label, problem_type and function_to_apply.
    """
    labels = [id2label.get(label) for label in range(len(id2label))]
    is_text = [isinstance(name, str) and not re.search("[\ud800-\udfff]", name) for name in labels]
    names = [canonical_label(name) if valid else None for name, valid in zip(labels, is_text)]
    problem, advice = "", ANOTHER
    if len(names) < 2:
        problem = "has one output: it is a regression"
    elif problem_type not in (None, "single_label_classification"):
        problem = f"is for the problem_type {quoted(problem_type)}"
    elif function not in (None, "softmax"):
        problem = f"has the function_to_apply {quoted(function)}, not 'softmax'"
    elif sorted(id2label) != [*range(len(names))]:
        problem = f"has labels with the ids {quoted(sorted(id2label))}"
        advice = f"number them in its config.json from 0 to {len(names) - 1}"
    elif len(set(names)) < len(names) or None in names:
        twice = next(name for name in names if names.count(name) > 1 or name is None)
        problem = "has a label without a name" if twice is None else f"has two labels {twice!r}"
        advice = "give each its own name in its config.json"
    if problem:
        raise UserError(f"{quoted(str(folder))} {problem}", advice=advice)
    return [str(name) for name in labels]
