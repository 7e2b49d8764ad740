"""params.yaml: one typed section per stage, every problem of the file in one error."""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted, shell_word
from yelp_stars.pipeline.yaml_file import read_yaml

# Types that several sections share.
Share = Annotated[float, Field(gt=0, lt=1)]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
HubRepo = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
HubRevision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]

# By kind of an error about a key instead of its value.
PROBLEMS = {
    **dict.fromkeys(("missing", "union_tag_not_found"), "is missing"),
    **dict.fromkeys(("extra_forbidden", "invalid_key"), "is not a parameter"),
}
# What pydantic says in Python's words.
EXPECTED = {
    **dict.fromkeys(("bool_type", "bool_parsing"), "should be true or false"),
    **dict.fromkeys(("dict_type", "model_type"), "should be a mapping of keys to values"),
    "model_attributes_type": "should be a mapping of keys to values",
    "string_type": "should be text; quote a number",
    "union_tag_invalid": "should be {expected_tags}",
    **dict.fromkeys(("missing", "union_tag_not_found"), "add it"),
    **dict.fromkeys(("extra_forbidden", "invalid_key"), "remove it or check its spelling"),
}


class StageParams(BaseModel):
    """A section of params.yaml: frozen, strict types, no unknown keys, no defaults.

    The docstring under a field is its documentation; `stars params` prints it.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
    REPLACED: ClassVar[Mapping[str, str]] = {}
    """Advice for parameters of older versions."""


Model = TypeVar("Model", bound=BaseModel)


def load_params(model: type[Model], section: str, path: Path = Path("params.yaml")) -> Model:
    """Read one section, after the complete file has been checked.

    The other sections are checked too, against the `Params` of their stages: a typo in
    `evaluate` must not surface only after the training.
    """
    tree = read_yaml(path)
    check(tree, {**stage_models(skip=section), section: model}, str(path))
    return model.model_validate(tree[section])


def load_all(skip: str, path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Read all sections as plain values, after they have been checked."""
    tree = read_yaml(path)
    check(tree, stage_models(skip), str(path))
    return tree


def stage_models(skip: str = "") -> dict[str, type[BaseModel]]:
    """Return the `Params` model of every stage that has one, by section.

    Without the stage `skip`, which is running and would be imported a second time.
    """
    # By name at run time, not by import: a stage's result does not depend on another stage's code.
    folder = importlib.import_module("stages").__path__
    names = [module.name for module in pkgutil.iter_modules(folder) if module.name != skip]
    modules = {name: importlib.import_module(f"stages.{name}") for name in names}
    return {name: module.Params for name, module in modules.items() if hasattr(module, "Params")}


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
        raise UserError(problems[0], location=f"{path}:")
    if problems:
        raise UserError(f"{path}: {len(problems):,} problems", *problems)


def variants(model: type[BaseModel]) -> tuple[str | None, dict[str, type[BaseModel]]]:
    """Return the key that chooses between the models of a section, and each value's model.

    A section of a single model has the key None, and that model under "".
    """
    if not issubclass(model, RootModel):
        return None, {"": model}
    root = model.model_fields["root"]
    key = root.discriminator
    assert isinstance(key, str)
    models = {
        get_args(variant.model_fields[key].annotation)[0]: variant
        for variant in get_args(root.annotation)
    }
    return key, models


def _problems(
    section: str, model: type[BaseModel], values: Any, error: ValidationError
) -> list[str]:
    """Write one line for each key that is wrong; the branches of a union share one."""
    discriminator, _ = variants(model)
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        kind, given, location = item["type"], item["input"], item["loc"]
        context = item.get("ctx", {})
        message = re.sub("^(Value error, |Input |String )", "", item["msg"])
        if kind in EXPECTED:
            message = EXPECTED[kind].format_map(context)
        if "[key]" in location:  # of a mapping
            location = location[: location.index("[key]") - 1]
            problem = f"has the key {_written(given)}"
        elif kind in PROBLEMS:
            problem = PROBLEMS[kind]
            if kind == "extra_forbidden":
                message = getattr(model, "REPLACED", {}).get(location[-1], message)
        elif kind == "union_tag_invalid":
            problem = f"is {_written(context['tag'])}"
        elif kind == "value_error" and isinstance(given, dict):
            problem = "is inconsistent"
        else:
            problem = f"is {_written(given)}"
        if kind == "string_pattern_mismatch":
            message += f"; run `stars params {shell_word(section)}` for its meaning"
        key = ".".join([section, *_keys(values, location, kind, discriminator)])
        messages = problems.setdefault(f"{key} {problem}", [])
        message = message.removeprefix("should be ") if messages else message
        if message not in messages:
            messages.append(message)
    return [f"{problem}: {', or '.join(messages)}" for problem, messages in problems.items()]


def _written(value: Any) -> str:
    """Write a value as YAML does, cut at 80 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value)


def _keys(
    values: Any, location: tuple[int | str, ...], kind: str, discriminator: str | None
) -> list[str]:
    """Return the keys of an error, without the names of union branches: no file has those."""
    if kind.startswith("union_tag"):
        return [str(discriminator)]
    # The location in a section with a discriminator begins with the chosen model's name.
    if discriminator and isinstance(values, dict) and location[:1] == (values.get(discriminator),):
        location = location[1:]
    keys = []
    for depth, part in enumerate(location):
        named_last = depth == len(location) - 1 and kind in PROBLEMS
        in_list = isinstance(values, list) and isinstance(part, int)
        if in_list or (isinstance(values, dict) and part in values):
            values = values[part]
        elif not named_last:
            continue
        plain = isinstance(part, int) or re.fullmatch(r"[\w-]{1,80}", part)
        keys.append(str(part) if plain else quoted(part))
    return keys
