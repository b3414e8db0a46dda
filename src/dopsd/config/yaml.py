"""YAML as a file of settings may say it: what is read as something else than it looks like is refused, with its line."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from dopsd.support.errors import UserError, told

DEEPEST, LARGEST = 32, 100_000  # levels of a file, and its values with every alias written out
SHOWN = 80  # characters of a value in a message


class _Loader(yaml.SafeLoader):
    """Mappings with text as keys, lists, text, finite numbers, true, false and null; numbers as YAML 1.2 has them (1e-4 is
    one, 010 is none), dates are text."""

    def __init__(self, text: str):
        super().__init__(text)
        self.depth, self.sizes = 0, {}

    def compose_node(self, parent, index):
        aliased, self.depth = self.check_event(yaml.AliasEvent), self.depth + 1
        if self.depth > DEEPEST:
            raise _fault(self.peek_event(), f"nested deeper than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if aliased and id(node) not in self.sizes:
            raise _fault(node, "an alias inside of what it stands for")
        if not aliased:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            inside = [n for part in parts for n in (part if isinstance(part, tuple) else (part,))]
            self.sizes[id(node)] = 1 + sum(self.sizes[id(n)] for n in inside)
        if self.sizes[id(node)] > LARGEST:
            raise _fault(node, f"more than {LARGEST} values once its aliases are written out")
        return node

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise _fault(key, f"the key {shown(key.value)} is no text; write it in quotes")
            if key.value in seen:
                raise _fault(key, f"{shown(key.value)} stands twice (line {seen[key.value]}, too); keep one")
            seen[key.value] = key.start_mark.line + 1
        return node

    def text(self, node) -> str:
        value = self.construct_scalar(node)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _fault(node, "half a character (\\ud800 to \\udfff)") from None
        if "\0" in value:
            raise _fault(node, "a zero byte in a text")
        return value

    def integer(self, node) -> int:
        try:
            return int(self.construct_scalar(node))
        except ValueError as error:  # thousands of digits
            raise _fault(node, f"no number that can be read ({told(error)})") from None

    def number(self, node) -> float:
        try:
            value = float(self.construct_scalar(node))
        except ValueError:  # .nan, and what is tagged as a number
            value = math.nan
        if not math.isfinite(value):
            raise _fault(node, f"{shown(node.value)} is not a finite number; write one")
        return value


def _fault(at: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


KINDS = {"str": _Loader.text, "int": _Loader.integer, "float": _Loader.number}
FLOAT = r"[-+]?(\.\d+|\d+\.\d*)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
FORMS = {"int": (r"[-+]?(0|[1-9]\d*(_\d+)*)", "-+0123456789"), "float": (FLOAT, "-+0123456789.")}
_Loader.yaml_constructors = {
    f"tag:yaml.org,2002:{kind}": getattr(yaml.SafeLoader, f"construct_yaml_{kind}")
    for kind in ("map", "seq", "null", "bool")
} | {f"tag:yaml.org,2002:{kind}": make for kind, make in KINDS.items()}
_Loader.yaml_constructors[None] = yaml.SafeLoader.construct_undefined  # !!python/object, !!binary, !mine
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_form, _first) in FORMS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_form})$", re.ASCII), list(_first))


def value(text: str, where: str) -> Any:
    """What a YAML text holds; `where` names its file or option. UserError with the line where it is none, where a key stands
    twice, or where it holds what no setting is (a number that is not finite, an object of Python, a file within itself)."""
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{where}: not YAML ({line}{error.problem or told(error)}); mend that line") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{where}: not YAML ({told(error)}); mend it") from None
    finally:
        if loader:
            loader.dispose()


def mapping(text: str, where: str) -> dict[str, Any]:
    """`value` of a file, whose top is a mapping; UserError where it is none."""
    tree = value(text, where)
    if not isinstance(tree, dict):
        raise UserError(f"{where}: the file: no sections; write SECTION: and its fields below")
    return tree


def shown(value: object) -> str:
    """A value in a message, of a length that can be read."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
