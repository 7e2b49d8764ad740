"""Presets, and what the parameters in params.yaml mean."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yelp_stars.commands.runs.git import ask_git
from yelp_stars.commands.runs.lock import flat
from yelp_stars.commands.runs.pipeline_file import affected
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import check, stage_models, variants
from yelp_stars.pipeline.text import quoted
from yelp_stars.pipeline.yaml_file import read_yaml

PARAMS = Path("params.yaml")


class Parameter(NamedTuple):
    """One parameter of params.yaml."""

    key: str
    value: Any
    allowed: str
    meaning: str


def find_presets() -> dict[str, Path]:
    """The presets by name."""
    return {path.stem: path for path in sorted(Path("presets").glob("*.yaml"))}


def list_presets() -> None:
    """Print each preset with the first line of its file."""
    for name, path in find_presets().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        print(f"{name:<12}{first.lstrip('# ')}")
    print("\nRun `stars use NAME` to copy one over params.yaml.")


def use_preset(name: str, force: bool) -> None:
    """Copy a preset over params.yaml, and print the stages that this reruns.

    Raises:
        UserError: if the preset does not exist or does not fit the stages, or params.yaml has
            changes that would be lost.
    """
    presets = find_presets()
    if name not in presets:
        raise UserError(f"no preset {quoted(name)}; the presets are {', '.join(presets)}")
    check(read_yaml(presets[name]), stage_models(), str(presets[name]))
    text = PARAMS.read_text(encoding="utf-8") if PARAMS.is_file() else ""
    known = {"", *(preset.read_text(encoding="utf-8") for preset in presets.values())}
    is_known = text in known or text.rstrip("\n") == ask_git("show", "HEAD:./params.yaml")
    if not is_known and not force:
        raise UserError(
            f"params.yaml has changes that are not committed; commit them, or run "
            f"`stars use {name} --force` to discard them"
        )
    PARAMS.write_text(presets[name].read_text(encoding="utf-8"), encoding="utf-8")
    print(f"params.yaml is now {presets[name]}")
    # Not `dvc`: the environment need not be active.
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = subprocess.run(command, capture_output=True, text=True)
    if status.returncode != 0:
        raise UserError(f"dvc status: {status.stderr.strip()}")
    stages = affected(set(json.loads(status.stdout)))
    print(f"`dvc repro` will run: {', '.join(stages) or 'nothing'}")


def print_params(section: str | None) -> None:
    """Print the parameters of one section or of all as a table.

    Raises:
        UserError: if params.yaml has problems, or no such section.
    """
    tree, models = read_yaml(PARAMS), stage_models()
    check(tree, models, str(PARAMS))
    if section is not None and section not in models:
        raise UserError(f"no section {quoted(section)}; the sections are {', '.join(tree)}")
    preset, theirs = closest_preset(tree)
    console = Console()
    for name in [section] if section else tree:
        table = Table("", name, "value", "meaning", box=None, pad_edge=False)
        table.columns[1].no_wrap = True
        table.columns[2].max_width, table.columns[2].overflow = 24, "fold"  # a hash
        for key, value, allowed, meaning in describe(models[name], tree[name]):
            same = key not in tree[name] or (key in theirs[name] and theirs[name][key] == value)
            row = ("" if same else "*", key, _plain(value), f"{meaning} ({allowed})")
            table.add_row(*map(Text, row))
        console.print(table)
        console.print()
    console.print(f"* differs from {preset}, the closest preset", markup=False)


def closest_preset(tree: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The preset that differs from `tree` in the fewest parameters, and its content."""
    ours = _values(tree)
    trees = {path: read_yaml(path) for path in find_presets().values()}
    path = min(trees, key=lambda path: len(ours ^ _values(trees[path])))
    return path, trees[path]


def _values(tree: dict[str, Any]) -> set[tuple[str, str]]:
    return {(key, repr(value)) for key, value in flat(tree).items()}


def describe(params: type[BaseModel], values: dict[str, Any]) -> Iterator[Parameter]:
    """Describe the parameters of one section, in the order of `values`, then those left out."""
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
        yield Parameter(key, value, allowed, meaning)


def _allowed(schema: dict[str, Any]) -> str:
    """The type and range of a JSON schema in a few words."""
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
    """A value as params.yaml has it, cut at 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
