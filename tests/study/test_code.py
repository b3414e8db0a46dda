"""The closure of imports, and what a digest of code sees."""

import ast
import sys

import pytest

from dopsd import objectives
from dopsd.study import code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in place of ours: write(module, text) -> the digest of dopsd.a."""
    monkeypatch.setattr(code, "SOURCE", tmp_path)
    (tmp_path / "room").mkdir()
    for name in ("__init__", "room/__init__"):
        (tmp_path / f"{name}.py").write_text("")

    def write(module: str, text: str) -> str:
        (tmp_path / f"{module}.py").write_text(text)
        code._module.cache_clear()
        return code.digest(["dopsd.a"]) if (tmp_path / "a.py").exists() else ""

    yield write
    code._module.cache_clear()


def test_comments_docstrings_and_layout_are_not_seen_and_all_else_is(package):
    text = '"""A module."""\nimport math\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n'
    before = package("a", text)
    assert package("a", "import math\n# why\ndef f(x):\n    'other'\n    return (x +\n        1)\n") == before
    assert package("a", text.replace("+ 1", "- 1")) != before
    assert package("a", text.replace("+ 1", "+ 2")) != before
    assert package("a", text.replace("f(x)", "f(x=0)")) != before
    assert package("a", text.replace("return x", "return True and x")) != before
    assert package("a", text + "    'not a docstring'\n") != before


def test_what_is_imported_counts_at_any_depth_and_nothing_else(package):
    package("b", "from dopsd.room import c\n")
    package("room/c", "X = 1\n")
    package("d", "X = 1\n")
    before = package("a", "def f():\n    from dopsd.b import g\n")
    assert set(code.closure(["dopsd.a"])) == {"dopsd", "dopsd.a", "dopsd.b", "dopsd.room", "dopsd.room.c"}
    assert package("d", "X = 2\n") == before
    assert package("room/c", "X = 2\n") != before
    assert package("room/c", "X = 1\n") == before


def test_a_digest_is_the_same_under_every_version_of_python():
    """Fields that a later version adds are empty where the code does not use them."""
    newer = ast.parse("def f(x: int) -> str:\n    return f'{x!r} of {x:>3}'\n")
    newer.body[0].type_params = []
    assert code._spelled(newer) == code._spelled(ast.parse("def f(x: int) -> str:\n    return f'{x!r} of {x:>3}'\n"))
    assert "type_params" not in code._spelled(newer) and "lineno" not in code._spelled(newer)


def test_an_unknown_module_is_an_error():
    with pytest.raises(ValueError, match=r"no module dopsd\.nowhere"):
        code.digest(["dopsd.nowhere"])


def test_a_cells_closure_holds_its_own_method_and_backbone_only():
    sft = set(code.closure(["dopsd.study.train", objectives.module("sft"), "dopsd.backbones.zimage"]))
    assert {"dopsd.training.loop", "dopsd.method.flow", "dopsd.backbones.pipeline"} <= sft
    assert not {"dopsd.objectives.dopsd", "dopsd.backbones.klein", "dopsd.study.store", "dopsd.evaluation.scores"} & sft
    draw = set(code.closure(["dopsd.study.draw", "dopsd.backbones.zimage"]))
    assert "dopsd.evaluation.sheets" in draw and "dopsd.training.loop" not in draw
    assert not {m for m in draw if m.startswith(("dopsd.evaluation.instruments", "dopsd.objectives."))}


def test_all_that_a_worker_imports_is_in_its_closure():
    """What Python really loads for a training is what its key is made of (a method and a backbone come by name)."""
    script = (
        "import sys\nimport dopsd.study.train\nprint(*sorted(m for m in sys.modules if m.split('.')[0] == 'dopsd'))"
    )
    import subprocess

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= set(code.closure(["dopsd.study.train"]))
