"""The notebooks, without outputs, and their executed copies, as a host shows them; and the stage that makes these."""

import ast
import base64
import io
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from dopsd.stages import notebooks as stage
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / stage.NOTEBOOKS).glob("*.ipynb"))
NAMES = [f.stem for f in SOURCES]
ABSOLUTE = re.compile(r"(?<![\w.])/(?:home|work|root|tmp|usr|opt|Users|var|mnt)/|file://|[A-Z]:\\\\|\bat 0x[0-9a-f]+")
RUN = (
    "",
    "studies/full",
    "studies/questions",
    "studies/rewrites",
    "studies/eight",
    "studies/base",
    "studies/pictures",
    "studies/contexts",
    "studies/domain",
    "studies/domain-words",
    "studies/domain-open",
    "studies/continual",
)
LEDGERS = [ROOT / name / "reports/CLAIMS.md" for name in RUN]


def read(file):
    return nbformat.read(file, as_version=4)


def copy(name):
    return read(ROOT / stage.EXECUTED / f"{name}.ipynb")


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def shown(notebook, kind):
    """What its outputs hold of a kind, "text/markdown" say."""
    return [o["data"][kind] for c in code(notebook) for o in c.outputs if kind in o.get("data", {})]


def test_each_question_has_its_notebook():
    assert NAMES[1:] == [
        "01-collapse",
        "02-names-and-the-eye",
        "03-the-comparison",
        "04-baselines",
        "05-questions",
        "06-full-and-continual",
        "07-two-commits",
    ]
    assert sorted(f.stem for f in (ROOT / stage.EXECUTED).iterdir()) == NAMES


@pytest.mark.parametrize("file", SOURCES, ids=NAMES)
def test_a_notebook_has_no_outputs_opens_with_a_question_and_closes_with_an_answer(file):
    notebook = read(file)
    nbformat.validate(notebook)
    assert all(not c.outputs and c.execution_count is None for c in code(notebook))
    first, *_ = notebook.cells
    assert first.cell_type == "markdown" and re.match(r"# .+\n\n\*\*.+\?\*\*\n", first.source)
    heads = [k for k, c in enumerate(notebook.cells) if c.source.startswith("## ")]
    last = notebook.cells[heads[-1] :]
    assert last[0].source == "## Answer" and all(c.cell_type == "code" for c in last[1:])
    assert all(re.match(r"answers\.|Markdown\(compare\.", c.source) for c in last[1:]) and len(last) > 1
    assert stage.by_hand(file) == (file.stem == "07-two-commits")
    if file.stem[:2] not in ("00", "07"):  # a reader has this page alone
        assert [notebook.cells[heads[-2]].source, code(notebook)[-len(last)].source[:13]] == [
            "## Words",
            "tables.words(",
        ]


@pytest.mark.parametrize("file", SOURCES, ids=NAMES)
def test_a_notebook_imports_and_defines_nothing(file):
    first, *others = code(read(file))
    for cell in (first, *others):
        tree = ast.parse(cell.source)
        odd = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.With, ast.Try)
        assert not [node for node in ast.walk(tree) if isinstance(node, odd)], cell.source
        assert cell is first or not [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
        assert max(map(len, cell.source.splitlines())) <= 105, cell.source  # a host's page cuts longer ones
    typed = [n.value for c in others for n in ast.walk(ast.parse(c.source)) if isinstance(n, ast.Constant)]
    assert not [v for v in typed if isinstance(v, float) or (isinstance(v, str) and re.search(r"\d\.\d", v))]


@pytest.mark.parametrize("name", NAMES)
def test_an_executed_copy_is_of_its_notebook_and_of_no_machine(name):
    source, made = read(ROOT / stage.NOTEBOOKS / f"{name}.ipynb"), copy(name)
    nbformat.validate(made)
    assert [(c.id, c.cell_type, c.source, c.metadata) for c in made.cells] == [
        (c.id, c.cell_type, c.source, c.metadata) for c in source.cells
    ]
    assert made.metadata == source.metadata and "version" not in made.metadata.language_info
    assert [c.execution_count for c in code(made)] == list(range(1, len(code(made)) + 1))
    outputs = [o for c in code(made) for o in c.outputs]
    assert {o.output_type for o in outputs} <= {"display_data", "execute_result", "stream"}
    assert not [o for o in outputs if o.get("name") == "stderr"] and all(c.outputs for c in code(made)[1:])
    texts = [
        str(v) for o in outputs for k, v in [*o.get("data", {}).items(), ("", o.get("text", ""))] if "image" not in k
    ]
    assert not [t for t in texts if ABSOLUTE.search(t) or re.search(r"Warning|it/s\]", t)]


@pytest.mark.parametrize("name", NAMES)
def test_an_executed_copy_is_small_and_shows_pictures(name):
    assert (ROOT / stage.EXECUTED / f"{name}.ipynb").stat().st_size <= stage.MOST
    made = copy(name)
    pictures = shown(made, "image/png") + shown(made, "image/jpeg")
    assert pictures
    held = [(o, k) for c in code(made) for o in c.outputs for k in o.get("data", {}) if k.startswith("image/")]
    assert all(o.metadata[k]["alt"] for o, k in held)  # what a host says of a picture that it does not show
    for data in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        image.load()
        assert image.width <= 1000 and image.info.get("Software") is None


@pytest.mark.parametrize("name", [n for n in NAMES if n[:2] not in ("00", "07")])
def test_every_number_of_an_answer_stands_in_a_ledger_or_a_report(name):
    answers = [c for c in code(copy(name)) if c.source.startswith("answers.answer") or "cheapest" in c.source]
    told = " ".join(o["data"]["text/markdown"] for c in answers for o in c.outputs)
    ledger = " ".join(
        f.read_text(encoding="utf-8") + f.with_name("REPORT.md").read_text(encoding="utf-8") for f in LEDGERS
    )
    numbers = re.findall(r"[+-]?\d+\.\d+ \[[^\]]+\]", told)
    assert [n for n in numbers if n not in ledger] == []
    assert numbers or "**Not on record here.**" in told


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with a notebook whose code is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    stage.NOTEBOOKS.mkdir()

    def written(name, *cells, **metadata):
        notebook = nbformat.v4.new_notebook(metadata=json.loads(json.dumps(dict(copy(NAMES[0]).metadata))) | metadata)
        notebook.cells = [nbformat.v4.new_code_cell(c, id=f"c{k}") for k, c in enumerate(cells)]
        nbformat.write(notebook, stage.NOTEBOOKS / f"{name}.ipynb")

    return written


def test_the_stage_writes_equal_bytes_and_leaves_what_is_run_by_hand(folder):
    folder("a", "import sys\nprint('seen')\nprint('noise', file=sys.stderr)", "1 + 1")
    folder("by-hand", "1 / 0", by_hand=True)
    for old in ("by-hand.ipynb", "gone.ipynb", "a.html"):
        stage.EXECUTED.mkdir(parents=True, exist_ok=True)
        (stage.EXECUTED / old).write_text("old")
    stage.main()
    first = (stage.EXECUTED / "a.ipynb").read_bytes()
    assert {f.name for f in stage.EXECUTED.iterdir()} == {"a.ipynb", "by-hand.ipynb"}
    assert (stage.EXECUTED / "by-hand.ipynb").read_text() == "old"
    assert [
        o.get("text") or o["data"]["text/plain"] for c in read(stage.EXECUTED / "a.ipynb").cells for o in c.outputs
    ] == [
        "seen\n",
        "2",
    ]
    stage.main("a")
    assert (stage.EXECUTED / "a.ipynb").read_bytes() == first and b"iopub" not in first
    assert sys.version.split()[0].encode() not in first


def test_a_cell_that_fails_and_a_name_that_is_none_are_one_clear_error(folder, monkeypatch):
    folder("a", "1 / 0")
    with pytest.raises(UserError, match=r"notebooks/a\.ipynb: ZeroDivisionError: division by zero"):
        stage.main()
    assert not (stage.EXECUTED / "a.ipynb").exists()
    with pytest.raises(UserError, match=r"notebooks: no notebook 'b'; known: a"):
        stage.main("b")
    folder("a", "print('x' * 100)")
    monkeypatch.setattr(stage, "MOST", 100)
    with pytest.raises(
        UserError, match=r"notebooks/a\.ipynb: .* bytes with its outputs, more than 100; show less in it"
    ):
        stage.main()
