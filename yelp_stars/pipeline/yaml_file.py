"""YAML files: PyYAML, with the values that DVC reads and one line for every fault.

PyYAML follows YAML 1.1, where 2e-5 is a string, 010 is 8 and `on` is a boolean. DVC reads with
ruamel.yaml, which follows YAML 1.2.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

TAG = "tag:yaml.org,2002:"
# The same language as the patterns of ruamel.yaml/resolver.py, in the same order.
PLAIN_SCALARS = {
    "bool": "true|True|TRUE|false|False|FALSE",
    "float": r"""[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        |[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)""",
    "int": "(?!_)[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)",
    "merge": "<<",
    "null": "(~|null|Null|NULL)?",
    "timestamp": r"""[0-9]{4}-[0-9]{2}-[0-9]{2}
        |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?
        ([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?""",
    "value": "=",
}
# By first character; None: any.
RESOLVERS = {
    None: [(TAG + name, re.compile(f"({text})$", re.X)) for name, text in PLAIN_SCALARS.items()]
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = RESOLVERS

    def fetch_value(self) -> None:
        if self.flow_level and self.peek(1) not in " \t\n\r\0":  # in YAML 1.2, [a:] is text
            raise _fault("':' needs a space after it", self.get_mark())
        super().fetch_value()

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = set()  # compared here: `<<` adds further keys, and those may be overridden
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _fault("a list or a mapping is not allowed as a key", key_node.start_mark)
            special = key_node.tag in (TAG + "merge", TAG + "value")
            key = key_node.value if special else self.construct_object(key_node)
            if key in keys:
                raise _fault(f"duplicate key {quoted(key)}", key_node.start_mark)
            keys.add(key)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if type(value) is int:
                str(value)  # a hexadecimal number may have more digits than Python prints
            return value
        except (ValueError, OverflowError):
            problem = f"{quoted(node.value)} is not a valid number or date; quote it if it is text"
            raise _fault(problem, node.start_mark) from None

    def construct_int(self, node: Any) -> int:
        text = node.value.replace("_", "")
        return int(text, {"0b": 2, "0o": 8, "0x": 16}.get(text.lstrip("+-")[:2], 10))


_Loader.add_constructor(TAG + "int", _Loader.construct_int)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = RESOLVERS  # quotes '1e-5', which is a string for PyYAML's own


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; an empty one is None. An error has the line of the first fault."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r} here; run from the project's folder") from None
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, name: str) -> Any:
    """Parse YAML that the user knows as `name`; empty content is None."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"{name} is not UTF-8 text: line {line}: {error.reason}"
        raise UserError(problem, advice="save it as UTF-8") from None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed"
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or loader).line + 1
        problem = ", ".join(filter(None, [error.context, error.problem]))
    except (ValueError, OverflowError):
        line, problem = loader.line + 1, "an escape sequence is out of range"
    except RecursionError:
        line, problem = loader.line + 1, "nested too deep"
    raise UserError(f"{name} is not valid YAML: line {line}: {problem}")


def dump_yaml(tree: Any) -> str:
    """Write mappings, lists and scalars as text that `read_yaml` and DVC read back unchanged."""
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False))


def _fault(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
