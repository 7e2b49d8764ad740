"""params.yaml: one typed section per stage, every problem of the file in one error."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from yelp_stars.pipeline.errors import UserError, quoted
from yelp_stars.pipeline.yaml_file import read_yaml

# Types that several sections share.
Precision = Literal["auto", "fp32", "bf16", "fp16"]
HubRepo = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
HubRevision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class StageParams(BaseModel):
    """One section of params.yaml: frozen, strict types, no unknown keys, no defaults.

    The docstring under a field is its documentation; `stars params` prints it.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


Model = TypeVar("Model", bound=BaseModel)


def load_params(model: type[Model], section: str, path: Path = Path("params.yaml")) -> Model:
    """Read one section, after the complete file has been checked.

    The other sections are checked too, against the `Params` of their stages: a typo in
    `evaluate` must not surface only after the training.

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


def check(tree: Any, models: Mapping[str, type[BaseModel]], path: str) -> None:
    """Raise one `UserError` with every problem of a params file's content."""
    if not isinstance(tree, dict):
        raise UserError(f"{path} must have the sections {', '.join(models)}")
    problems = [
        f"{quoted(name)} is not a section; the sections are {', '.join(models)}"
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
            problems.extend(_problems(name, model, tree[name], error))
    if len(problems) == 1:
        raise UserError(f"{path}: {problems[0]}")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(f"{path}: {len(problems)} problems\n{lines}")


def variants(model: type[BaseModel]) -> tuple[str | None, dict[str, type[BaseModel]]]:
    """The key that chooses between the models of a section, and each value's model.

    A section of a single model has the key None, and that model under "".
    """
    if not issubclass(model, RootModel):
        return None, {"": model}
    root = model.model_fields["root"]
    key = root.discriminator
    assert isinstance(key, str)
    models = {
        get_args(one.model_fields[key].annotation)[0]: one for one in get_args(root.annotation)
    }
    return key, models


def _problems(
    section: str, model: type[BaseModel], values: Any, error: ValidationError
) -> Iterable[str]:
    """One line for each key that is wrong; the branches of a union share one."""
    discriminator, _ = variants(model)
    found: dict[str, tuple[str, list[str]]] = {}
    for item in error.errors(include_url=False):
        keys = _keys(values, item["loc"], item["type"], discriminator)
        key = ".".join([section, *keys])
        message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if item["type"] == "missing":
            value, message = "is missing", "add it"
        elif item["type"] == "extra_forbidden":
            value, message = "is not a parameter", "remove it or check its spelling"
        elif item["type"] == "union_tag_invalid":
            value = f"is {quoted(item['ctx']['tag'])}"
            message = f"should be {item['ctx']['expected_tags']}"
        elif item["type"] == "union_tag_not_found":
            value, message = "is missing", "add it"
        elif item["type"] == "value_error" and isinstance(item["input"], dict):
            value = "is inconsistent"
        else:
            value = f"is {quoted(item['input'])}"
        found.setdefault(key, (value, []))[1].append(message)
    return [f"{key} {value}: {', or '.join(messages)}" for key, (value, messages) in found.items()]


def _keys(
    values: Any, location: tuple[int | str, ...], kind: str, discriminator: str | None
) -> list[str]:
    """The keys of an error, without the names of union branches: those are not in the file."""
    if kind.startswith("union_tag"):
        return [str(discriminator)]
    # The location in a section with a discriminator begins with the chosen model's name.
    if discriminator and isinstance(values, dict) and location[:1] == (values.get(discriminator),):
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
