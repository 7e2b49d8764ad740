"""params.yaml: read as DVC reads it, every problem of the file in one error."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stars.stage import UserError


class StageParams(BaseModel):
    """One section of params.yaml: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def load_params(model: type[Model], section: str, path: Path = Path("params.yaml")) -> Model:
    """Read one section, after the whole file has been checked.

    The other sections are checked too, against the `Params` of their stages: a typo in
    `evaluate` should not wait until the training is over.

    Raises:
        UserError: with every problem of the file.
    """
    tree = read_yaml(path)
    check(tree, {**stage_models(skip=section), section: model}, str(path))
    return model.model_validate(tree[section])


def stage_models(skip: str = "") -> dict[str, type[BaseModel]]:
    """The `Params` model of every stage but `skip` (which would be imported a second time)."""
    # By name at run time, not by import: a stage's result does not depend on another stage's code.
    folder = importlib.import_module("stages").__path__
    names = [module.name for module in pkgutil.iter_modules(folder) if module.name != skip]
    return {name: importlib.import_module(f"stages.{name}").Params for name in names}


def read_yaml(path: Path) -> Any:
    """Parse YAML 1.2, as DVC does: 2e-5 is a float (in YAML 1.1 it is a string)."""
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r} here; run from the project's folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason}") from None
    except YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML: {problem}") from None


def check(tree: Any, models: Mapping[str, type[BaseModel]], path: str) -> None:
    """Raise one `UserError` with every problem of a params file's content."""
    if not isinstance(tree, dict):
        raise UserError(f"{path} must have the sections {', '.join(models)}")
    problems = [
        f"{name!r} is no section; the sections are {', '.join(models)}"
        for name in tree
        if name not in models
    ]
    for name, model in models.items():
        if name not in tree:
            problems.append(f"section {name!r} is missing")
            continue
        try:
            model.model_validate(tree[name])
        except ValidationError as error:
            problems.extend(_problems(name, tree[name], error))
    if len(problems) == 1:
        raise UserError(f"{path}: {problems[0]}")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(f"{path}: {len(problems)} problems\n{lines}")


def _problems(section: str, values: Any, error: ValidationError) -> Iterable[str]:
    """A line for each key that is wrong; the branches of a union are told in one."""
    found: dict[str, tuple[str, list[str]]] = {}
    for item in error.errors(include_url=False):
        key = ".".join([section, *_keys(values, item["loc"], item["type"])])
        message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if item["type"] == "missing":
            value, message = "is missing", "add it"
        elif item["type"] == "extra_forbidden":
            value, message = "is not a parameter", "remove it or mend its spelling"
        elif item["type"] == "union_tag_invalid":
            value = f"is {item['ctx']['tag']!r}"
            message = f"should be {item['ctx']['expected_tags']}"
        elif item["type"] == "union_tag_not_found":
            value, message = "is missing", "add it"
        elif item["type"] == "value_error" and isinstance(item["input"], dict):
            value = "does not fit together"
        else:
            value = f"is {item['input']!r}"
        found.setdefault(key, (value, []))[1].append(message)
    return [f"{key} {value}: {', or '.join(messages)}" for key, (value, messages) in found.items()]


def _keys(values: Any, location: tuple[int | str, ...], kind: str) -> list[str]:
    """The keys of an error, without the names of union branches: those are not in the file."""
    if kind.startswith("union_tag"):
        return ["source"]
    # A section with a source has a model for each: its name, not a key, comes first.
    if isinstance(values, dict) and location[:1] == (values.get("source"),):
        location = location[1:]
    keys = []
    for depth, part in enumerate(location):
        named_last = depth == len(location) - 1 and kind in ("missing", "extra_forbidden")
        in_list = isinstance(values, list) and isinstance(part, int)
        if in_list or (isinstance(values, dict) and part in values):
            values = values[part]
            keys.append(str(part))
        elif named_last:
            keys.append(str(part))
    return keys
