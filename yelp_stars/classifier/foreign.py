"""What `--model` accepts: classifiers whose numbers are those that transformers gives."""

from pathlib import Path

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.copying import CONVERT, check_text_files, weight_files
from yelp_stars.checkpoint.tokenizer import read_json
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

ADVICE = "run `dvc repro` or `dvc pull`, or choose another folder"
ANOTHER = "choose a classifier of one label per text"


def check_classifier(folder: Path) -> None:
    """Refuse a folder that is not a classifier of one label per text; say what it is."""
    where = quoted(str(folder))
    if not folder.is_dir():
        problem = f"{where} is a file, not a folder" if folder.exists() else f"no folder {where}"
        raise UserError(problem, advice=ADVICE)
    if (folder / "adapter_config.json").exists():
        raise UserError(
            f"{where} is an adapter without its model",
            advice="merge them with peft's `merge_and_unload()`, and save model and tokenizer",
        )
    check_text_files(folder, CONVERT if any(folder.glob("*vocab*")) else ADVICE)
    weight_files(folder, CONVERT if any(folder.rglob("*model*.*")) else ADVICE)
    config = architecture.read_config(folder)
    names = [str(config.id2label.get(label)) for label in range(len(config.id2label))]
    problem, advice = "", ANOTHER
    if len(names) < 2:
        problem = "has one output: it is a regression"
    elif config.problem_type not in (None, "single_label_classification"):
        problem = f"is for the problem_type {quoted(config.problem_type)}"
    elif getattr(config, "function_to_apply", None) not in (None, "softmax"):
        problem = f"has the function_to_apply {quoted(config.function_to_apply)}, not 'softmax'"
    elif sorted(config.id2label) != [*range(len(names))]:
        problem = f"has labels with the ids {quoted(sorted(config.id2label))}"
        advice = f"number them in its config.json from 0 to {len(names) - 1}"
    elif len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        problem = f"has the label {quoted(twice)} more than once"
        advice = "give each its own name in its config.json"
    elif read_json(folder / "tokenizer_config.json").get("padding_side") == "left":
        problem = "pads texts on the left, as a decoder"
    if problem:
        raise UserError(f"{where} {problem}", advice=advice)
