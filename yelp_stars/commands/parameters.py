"""Print the parameters of params.yaml: value, meaning and allowed values."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yelp_stars.commands.runs.lock import flat
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import check, stage_models, variants
from yelp_stars.pipeline.text import printable, quoted
from yelp_stars.pipeline.yaml_file import read_yaml


def print_params(section: str | None, path: Path, presets: Iterable[Path]) -> None:
    """Print the parameters of one section of a file, or of all, as a table."""
    tree, models = read_yaml(path), stage_models()
    check(tree, models, str(path))
    if section is not None and section not in models:
        raise UserError(f"no section {quoted(section)}; the sections are {', '.join(tree)}")
    preset, theirs = closest_preset(tree, presets)
    console = Console()
    for name in [section] if section else tree:
        table = Table("", name, "value", "meaning", box=None, pad_edge=False)
        table.columns[1].no_wrap = True
        table.columns[2].max_width, table.columns[2].overflow = 24, "fold"  # a hash
        for key, value, meaning, allowed in describe(models[name], tree[name]):
            same = key not in tree[name] or (key in theirs[name] and theirs[name][key] == value)
            row = ("" if same else "*", key, _plain(value), f"{meaning} ({allowed})")
            table.add_row(*map(Text, row))
        console.print(table)
        console.print()
    shown = printable(preset, 200)
    console.print(f"* differs from {shown}, the closest preset", markup=False)


def closest_preset(tree: dict[str, Any], presets: Iterable[Path]) -> tuple[Path, dict[str, Any]]:
    """Return the preset that differs from `tree` in the fewest parameters, and its content."""
    ours = _values(tree)
    trees = {path: read_yaml(path) for path in presets}
    path = min(trees, key=lambda path: len(ours ^ _values(trees[path])))
    return path, trees[path]


def _values(tree: dict[str, Any]) -> set[tuple[str, str]]:
    return {(key, repr(value)) for key, value in flat(tree).items()}


def describe(
    params: type[BaseModel], values: dict[str, Any]
) -> Iterator[tuple[str, Any, str, str]]:
    """Yield key, value, meaning and range of the parameters in `values`, then of those left out."""
    discriminator, models = variants(params)
    model = models[values[discriminator] if discriminator else ""]
    schema = model.model_json_schema()["properties"]
    left_out = {
        key: field.default
        for key, field in model.model_fields.items()
        if key not in values and not field.is_required()
    }
    for key, value in {**values, **left_out}.items():
        allowed = " | ".join(models) if key == discriminator else _allowed(schema[key])
        meaning = " ".join((model.model_fields[key].description or "").split())
        yield key, value, meaning, allowed


def _allowed(schema: dict[str, Any]) -> str:
    """Describe the type and range of a JSON schema in a few words."""
    if "anyOf" in schema:
        return " | ".join(map(_allowed, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:,}" for name, sign in bounds.items() if name in schema]
    return ", ".join([schema["type"], *limits])


def _plain(value: Any) -> str:
    """Write a value as params.yaml has it, cut at 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text, 80)
