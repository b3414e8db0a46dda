"""What code a cell runs: the modules that it reaches by imports, as syntax without comments and docstrings.

A module that is chosen by name (a method, a backbone) is imported by `importlib` and so is in no closure but that of the
cells which name it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "dopsd"
SOURCE = Path(__file__).parents[1]  # the code that runs, wherever it was imported from


def module_file(name: str) -> Path | None:
    """The file of a dotted module of the package; None where there is none (a function, say)."""
    path = SOURCE.joinpath(*name.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports from the package, at any depth of its code, and the packages that hold them."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                yield from (".".join(parts[:k]) for k in range(1, len(parts) + 1))


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _spelled(node: object) -> str:
    """A syntax tree as text, the same under every version of Python: fields that are empty or not there are left out."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        inside = ",".join(f"{n}={_spelled(v)}" for n, v in fields if v not in (None, []))
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return f"[{','.join(map(_spelled, node))}]"
    return repr(node)


@cache
def _module(file: Path) -> tuple[str, tuple[str, ...]]:
    """(digest of what a file does, the names that it imports)."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = tuple(sorted(set(_imports(tree))))
    return hashlib.sha256(_spelled(_without_docstrings(tree)).encode()).hexdigest(), names


def closure(modules: Iterable[str]) -> dict[str, str]:
    """Every module that some modules reach by imports, themselves and their packages included -> digest of each.

    ValueError where a module is none of the package's.
    """
    out: dict[str, str] = {}
    todo = []
    for name in modules:
        if module_file(name) is None:
            raise ValueError(f"no module {name}")
        parts = name.split(".")
        todo += [".".join(parts[:k]) for k in range(1, len(parts) + 1)]
    while todo:
        file = module_file(name := todo.pop())
        if file is None:
            continue
        key = name.removesuffix(".__init__")
        if key not in out:
            out[key], names = _module(file)
            todo += names
    return dict(sorted(out.items()))


def digest(modules: Iterable[str]) -> str:
    """What the code of some modules does, with all that they reach, in sixteen hex digits."""
    return hashlib.sha256(repr(closure(modules)).encode()).hexdigest()[:16]


def imported(text: str) -> list[str]:
    """The package's modules that a Python text imports."""
    return sorted({name for name in _imports(ast.parse(text)) if module_file(name)})
