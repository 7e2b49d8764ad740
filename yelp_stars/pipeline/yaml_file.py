"""YAML files, read and written by the library that DVC uses, with one line for every fault."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

MAX_BYTES = 1_000_000


class _Constructor(SafeConstructor):
    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if type(value) is int:
                str(value)  # a hexadecimal number may have more digits than Python prints
            return value
        except (ValueError, OverflowError):
            problem = f"{quoted(node.value)} is not a valid number or date; quote it if it is text"
            raise MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; an empty one is None. An error has the line of the first fault."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r} here; run from the project's folder") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, name: str) -> Any:
    """Parse YAML that the user knows as `name`; empty content is None."""
    if len(content) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name} is not UTF-8 text: line {line}: {error.reason}") from None
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        constructor, _ = yaml.get_constructor_parser(text)
        return constructor.get_single_data()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed"
    except MarkedYAMLError as error:
        line = (error.problem_mark or yaml.reader).line + 1
        problem = ", ".join(filter(None, [error.context, error.problem]))
    except (ValueError, OverflowError):
        line, problem = yaml.reader.line + 1, "an escape sequence is out of range"
    except RecursionError:
        line, problem = yaml.reader.line + 1, "nested too deep"
    raise UserError(f"{name} is not valid YAML: line {line}: {problem}")


def dump_yaml(tree: Any) -> str:
    """Write mappings, lists and scalars as text that `read_yaml` and DVC read back unchanged."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(tree, text)
    return text.getvalue()
