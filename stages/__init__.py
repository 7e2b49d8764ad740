"""The stages: one script each, run as `python -m stages.NAME`."""

import importlib.machinery
import signal
import sys
from pathlib import Path

# While `python -m` imports a stage, nothing has been written: Ctrl-C ends it as SIGTERM does,
# without a traceback. `yelp_stars.pipeline.entrypoint` takes over afterwards.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# Python's own `test` is imported by nobody.
OURS = {"stages", "yelp_stars", "benchmarks", "tests", "test"}


def refuse_shadows(folder: Path) -> None:
    """Exit if a file of this folder would be imported in place of a library of the same name.

    `python -m` looks into the current folder first: one's own evaluate.py or datasets.py there
    would run in the middle of a stage.
    """
    for path in [*folder.glob("*.py"), *folder.glob("*/__init__.py")]:
        name = path.parent.name if path.name == "__init__.py" else path.stem
        if name in OURS:
            continue
        others = [entry for entry in sys.path if entry and Path(entry).resolve() != folder]
        library = importlib.machinery.PathFinder.find_spec(name, others)
        if library or name in sys.stdlib_module_names:
            sys.exit(
                f"error: {str(path)!r} has the name of a library that a stage imports; "
                f"move it to another folder, or rename it"
            )


if sys.argv[:1] == ["-m"]:
    refuse_shadows(Path.cwd())
