"""Compare the modules that a stage's script imports with those that the stage declares."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted, shell_word


def undeclared(root: Path, stages: Mapping[str, Any]) -> Iterator[str]:
    """Find code that decides a stage's result, but is not in its deps: an edit reruns nothing."""
    for name, stage in stages.items():
        script = root / "stages" / f"{name.partition('@')[0]}.py"  # of a foreach, all have one
        if script.is_file():
            deps = filter(is_code, stage.get("deps", []))
            declared = set().union(*(modules(root, dep) for dep in deps))
            missing = sorted(({script} | own_imports(root, script)) - declared)
            if missing:
                paths = [path.relative_to(root).as_posix() for path in missing]
                yield (
                    f"stage {quoted(name)} imports {listed(paths)}, which its deps in dvc.yaml "
                    f"lack, so an edit reruns nothing; add it, then run `dvc repro "
                    f"{shell_word(name)}`"
                )


def own_imports(root: Path, script: Path) -> set[Path]:
    """Return the project's own modules that a script imports, and those that they import."""
    found: set[Path] = set()
    todo = [script]
    while todo:
        importing = todo.pop()
        folder = importing.parent.relative_to(root)
        for module in imported(importing, folder.parts):
            path = root / Path(*module.split(".")).with_suffix(".py")
            if is_code(module.replace(".", "/")) and path.is_file() and path not in found:
                found.add(path)
                todo.append(path)
    return found


def imported(path: Path, package: tuple[str, ...] = ()) -> list[str]:
    """Return the names of all modules that a file imports, and of what it imports from them.

    `package` is the one that the file is in: relative imports start there.
    """
    names = []
    try:
        tree = ast.parse(path.read_bytes(), path.name)
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"{quoted(str(path))} is not valid Python: {error}; correct it, or run `git checkout "
            f"HEAD -- {shell_word(path.as_posix())}`"
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.strip(".")]


def is_code(dep: str) -> bool:
    return Path(dep).parts[:1] in (("stages",), ("yelp_stars",))


def modules(root: Path, dep: str) -> set[Path]:
    """Return the modules of a dependency: those below a folder, or the file itself."""
    path = root / dep
    if not path.is_dir():
        return {path}
    return {module for module in path.rglob("*.py") if module.name != "__init__.py"}
