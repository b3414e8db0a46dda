"""dvc.yaml against the code: every stage names the source files that it imports, and says what it is for."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dopsd"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def module_file(name: str) -> Path | None:
    """The file of a dotted dopsd module; None where there is none (a function, a namespace)."""
    path = ROOT / "src" / Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists():
            return file
    return None


def imported(file: Path) -> set[str]:
    """Dotted names that a file imports from dopsd, at any depth, each with its packages."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names = {n for n in names if n.split(".")[0] == "dopsd"}
    return {".".join(n.split(".")[:k]) for n in names for k in range(1, n.count(".") + 2)}


def closure(module: str) -> set[str]:
    """Paths, from the root, of every source file that a module reaches by imports, itself included."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        file = module_file(name)
        if file and file not in seen:
            seen.add(file)
            package = [".".join(name.split(".")[:k]) for k in range(1, name.count(".") + 1)]
            todo += [*imported(file), *package]
    return {f.relative_to(ROOT).as_posix() for f in seen}


def stage_of(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def command_module(name: str) -> str | None:
    command = stage_of(name)["cmd"]
    words = (command if isinstance(command, str) else command[0]).split()
    return words[words.index("-m") + 1] if "-m" in words else None


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_source_files_it_imports(name):
    module = command_module(name)
    if module is None:
        pytest.skip("not a Python module")
    declared = [d for d in stage_of(name)["deps"] if isinstance(d, str) and d.startswith("src/") and d.endswith(".py")]
    assert sorted(declared) == sorted(closure(module))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_is_for(name):
    assert len(stage_of(name)["desc"]) > 20


def test_the_template_of_the_report_is_a_dependency():
    assert "src/dopsd/report/report.md.j2" in stage_of("report")["deps"]


def test_nothing_imports_the_stages():
    for file in SOURCE.rglob("*.py"):
        if "stages" not in file.relative_to(SOURCE).parts:
            assert not any(n.startswith("dopsd.stages") for n in imported(file)), file
