"""Any text, whatever is in it, gives a value that is valid, or one UserError; never another error."""

from __future__ import annotations

import json
import math

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dopsd.commands import arguments
from dopsd.config import yaml as ours
from dopsd.config.params import load, load_preset
from dopsd.evaluation import rows
from dopsd.support import markdown, text
from dopsd.support.errors import UserError, printable

FEW = {"max_examples": 150, "derandomize": True, "deadline": None, "database": None}
FEW |= {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029"), max_size=12)  # which PyYAML itself folds away
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
TREE = st.recursive(PLAIN, lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXT, x, max_size=3), max_leaves=8)
FIELDS = [
    "train.steps",
    "train.betas",
    "train.lora_targets",
    "tune.size",
    "tune.previews",
    "backbone.name",
    "methods",
    "extends",
]
WORDS = st.text(st.sampled_from("ab01:-.,[]{}&*!|>'\"#%@`?\\ \n\t\0é\ud800\u2028"), max_size=40)


def finite(tree: object) -> bool:
    if isinstance(tree, dict):
        return all(isinstance(k, str) and finite(v) for k, v in tree.items())
    if isinstance(tree, list):
        return all(map(finite, tree))
    return tree is None or isinstance(tree, (str, bool, int)) or (isinstance(tree, float) and math.isfinite(tree))


@settings(**FEW)
@given(st.sampled_from(FIELDS), TREE | WORDS)
def test_a_change_of_a_preset(path, value):
    said = value if isinstance(value, str) else json.dumps(value)
    try:
        preset = load_preset("mini-turbo", [f"{path}={said}"])
    except UserError as error:
        assert str(error).startswith(("--set ", "preset "))
        return
    assert preset.train.steps >= 1 and preset.tune.size % 16 == 0 and all(0 <= b <= 1 for b in preset.train.betas)


@settings(**FEW)
@given(WORDS)
def test_a_text_as_yaml(said):
    try:
        assert finite(ours.value(said, "f"))
    except UserError as error:
        assert str(error).startswith("f: not YAML")


@settings(**FEW)
@given(TREE)
def test_what_yaml_writes_is_read_as_it_was(tree):
    try:
        written = yaml.safe_dump(tree, allow_unicode=True)
        written.encode()
    except (UnicodeEncodeError, yaml.YAMLError):
        return
    if finite(tree):
        try:
            assert ours.value(written, "f") == tree
        except UserError as error:
            assert "is no text" in str(error) or "zero byte" in str(error) or "half a character" in str(error), written


@settings(**FEW)
@given(st.binary(max_size=200) | TREE.map(lambda t: yaml.safe_dump(t).encode(errors="replace")))
def test_a_file_of_params(tmp_path, content):
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.yaml"):
        load(file)


ROW = {"id": "a", "kind": "new", "group": "0", "text": "a [V]", "height": 64, "width": 64, "noise": 0}
NAMES = st.sampled_from([*ROW, "seed", "said", "stated", "truth", "other"])


@settings(**FEW)
@given(st.dictionaries(NAMES, TREE, max_size=3), st.booleans())
def test_a_row(tmp_path, changes, ascii_only):
    file = tmp_path / "prompts.jsonl"
    line = json.dumps(ROW | changes, ensure_ascii=ascii_only)
    file.write_bytes(line.encode(errors="surrogatepass") + b"\n")
    try:
        (row,) = rows.read(file)
    except UserError as error:
        assert str(error).startswith((f"{file}:1: ", f"{file}: not "))
        return
    assert (
        row.text.strip()
        and 0 <= row.noise < 2**32
        and row.height % 16 == 0
        and (row.said is None or 0 <= row.said <= 1)
    )
    rows.write([row], file)
    assert rows.read(file) == [row]


@settings(**FEW)
@given(st.binary(max_size=120))
def test_lines_of_bytes(tmp_path, content):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(content)
    try:
        found = text.json_lines(file)
    except UserError as error:
        assert str(error).startswith(str(file))
        return
    assert all(isinstance(tree, dict) for _, tree in found)


@settings(**FEW)
@given(st.text(max_size=60))
def test_names(name):
    shown = markdown.text(name)
    assert "\n" not in shown and "<" not in shown and markdown.code(name).count("\n") == 0
    plain = name.encode(errors="replace").decode()
    assert yaml.safe_load(f"a: {markdown.scalar(name)}\n") == {"a": plain}
    assert printable(name).isprintable()
    try:
        slug = text.slug(name)
    except UserError:
        return
    assert slug and text.slug(slug) == slug and len(slug.encode()) <= 100 and not set(slug) & set("/\\. \n\0")


@settings(**FEW)
@given(st.lists(st.text(max_size=8), max_size=4))
def test_arguments(given_):
    try:
        arguments.check(given_)
    except UserError as error:
        assert error.status == 2
        return
    assert all(a.strip() and "\0" not in a for a in given_)
