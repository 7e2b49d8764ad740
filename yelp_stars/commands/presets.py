"""`stars use` and `stars params`: list or copy presets, and explain parameters."""

from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import printable, quoted, shell_word

PARAMS = Path("params.yaml")


def use(
    preset: Annotated[
        str | None, typer.Argument(help="Name of a file in presets/, without .yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Discard uncommitted changes")] = False,
) -> None:
    """List the presets, or copy one to params.yaml.

    List the stages that will run. Overwrite uncommitted edits only with --force.

    \b
    Examples:
      stars use
      stars use notebook
    """  # noqa: D301
    presets = find_presets()
    if preset is None:
        for name, path in presets.items():
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            print(f"{printable(name):<12}{printable(first.lstrip('# '), 200)}")
        print("\nRun `stars use NAME` to copy one over params.yaml.")
        return
    # Late: help must be fast.
    from yelp_stars.commands.runs.git import ask_git
    from yelp_stars.commands.runs.pipeline_file import affected, changed
    from yelp_stars.pipeline.params import check, stage_models
    from yelp_stars.pipeline.yaml_file import read_yaml

    if preset not in presets:
        raise UserError(f"no preset {quoted(preset)}; the presets are {', '.join(presets)}")
    check(read_yaml(presets[preset]), stage_models(), str(presets[preset]))
    text = PARAMS.read_text(encoding="utf-8") if PARAMS.is_file() else ""
    known = {"", *(path.read_text(encoding="utf-8") for path in presets.values())}
    is_known = text in known or text.rstrip("\n") == ask_git("show", "HEAD:./params.yaml")
    if not is_known and not force:
        raise UserError(
            f"params.yaml has changes that are not committed; commit them, or run "
            f"`stars use {shell_word(preset)} --force` to discard them"
        )
    PARAMS.write_text(presets[preset].read_text(encoding="utf-8"), encoding="utf-8")
    print(f"params.yaml is now {printable(presets[preset], 200)}")
    stages = affected({*changed()})
    print(f"`dvc repro` will run: {', '.join(stages) or 'nothing'}")


def params(
    section: Annotated[
        str | None, typer.Argument(help="Section of params.yaml, such as train")
    ] = None,
) -> None:
    """Explain the parameters and show their values.

    A * marks values that differ from the closest preset.

    \b
    Examples:
      stars params
      stars params train
    """  # noqa: D301
    from yelp_stars.commands.parameters import print_params

    print_params(section, PARAMS, find_presets().values())


def find_presets() -> dict[str, Path]:
    """Return the presets by name."""
    return {path.stem: path for path in sorted(Path("presets").glob("*.yaml"))}
