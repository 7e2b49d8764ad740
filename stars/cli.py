"""`stars`: what a user types beside dvc."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stars.params import check, read_yaml, stage_models
from stars.stage import UserError

ROWS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "within_one": "within one star",
    "quadratic_kappa": "quadratic kappa",
    "loss": "loss",
}
NEXT = """
Look:     plots/training/training.svg, plots/test/confusion.svg; dvc plots show
Change:   dvc exp run -S train.learning_rate=5e-5, then dvc exp show --only-changed
Compare:  dvc metrics diff, dvc params diff
Your own: README.md, "Your own reviews"
"""


def show() -> None:
    """Print the scores of the last run, and what to type next."""
    path = Path("metrics/test.json")
    if not path.is_file():
        raise UserError(f"no {str(path)!r} yet; type `make repro`")
    scores = json.loads(path.read_text(encoding="utf-8"))
    print(f"\nTest, {scores['n']:,} rows")
    for key, name in ROWS.items():
        value = scores[key]
        line = f"  {name:<20}{'undefined' if value is None else f'{value:.3f}':>8}"
        if key == "accuracy":
            line += f"  95 % interval {scores['accuracy_low']:.3f} to {scores['accuracy_high']:.3f}"
        print(line)
    print(NEXT, end="")


def use(name: str, force: bool) -> None:
    """Copy a preset over params.yaml, and say which stages that changes.

    Raises:
        UserError: if there is no such preset, it does not fit the stages, or params.yaml has
            changes that would be lost.
    """
    presets = {path.stem: path for path in sorted(Path("presets").glob("*.yaml"))}
    if name not in presets:
        raise UserError(f"no preset {name!r}; there are {', '.join(presets)}")
    new, path = read_yaml(presets[name]), Path("params.yaml")
    check(new, stage_models(), str(presets[name]))
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = {preset.read_text(encoding="utf-8") for preset in presets.values()} | {"", _committed()}
    if text not in known and not force:
        raise UserError(
            f"params.yaml has changes that are not committed; commit them, or type "
            f"`stars use {name} --force` to lose them"
        )
    path.write_text(presets[name].read_text(encoding="utf-8"), encoding="utf-8")
    print(f"params.yaml is now {presets[name]}")
    status = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True)
    if status.returncode != 0:
        raise UserError(f"dvc status: {status.stderr.strip()}")
    again = affected(set(json.loads(status.stdout)))
    print(f"`dvc repro` will run: {', '.join(again) or 'nothing'}")


def _committed() -> str:
    shown = subprocess.run(["git", "show", "HEAD:./params.yaml"], capture_output=True, text=True)
    return shown.stdout


def affected(changed: set[str]) -> list[str]:
    """The stages of dvc.yaml that are among `changed`, and those after them, in order."""
    stages: dict[str, Any] = read_yaml(Path("dvc.yaml"))["stages"]
    again: list[str] = []
    outs: list[Path] = []
    for name, stage in stages.items():  # written in an order in which they can run
        deps = [Path(dep) for dep in stage["deps"]]
        after = any(out == dep or out in dep.parents for out in outs for dep in deps)
        if after or name in changed:
            again.append(name)
            outs += [
                Path(next(iter(out)) if isinstance(out, dict) else out) for out in stage["outs"]
            ]
    return again


def main() -> None:
    parser = argparse.ArgumentParser(prog="stars", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="the scores of the last run, and what to type next")
    using = commands.add_parser("use", help="copy a preset over params.yaml")
    using.add_argument("preset")
    using.add_argument("--force", action="store_true", help="lose uncommitted changes")
    arguments = parser.parse_args()
    try:
        if arguments.command == "show":
            show()
        else:
            use(arguments.preset, arguments.force)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
