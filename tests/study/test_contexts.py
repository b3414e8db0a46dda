"""A study of contexts: how it is drawn and scored, what moves a key, and what is refused."""

from pathlib import Path

import pytest
import tiny
import yaml

from dopsd.config.contexts import load as load_contexts
from dopsd.config.params import load
from dopsd.evaluation.rows import NEW
from dopsd.evaluation.seen import KNOWN
from dopsd.stages import contexts as stage
from dopsd.stages import fetch, prompts
from dopsd.study import plan
from dopsd.study.contexts import Contextual, all_stages, eyed
from dopsd.study.grid import Cell
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_table

CONTEXTS = {
    "text": {"label": "Text"},
    "image_text": {"label": "Seen", "sees": "training"},
    "image": {"label": "Picture alone", "says": "nothing", "sees": "training"},
    "full_text": {"label": "Full", "says": "described"},
    "wrong_picture": {"label": "Wrong", "sees": "other"},
}
CHANGES = {
    "grid": {"references": ["untouched"], "trained": [], "concepts": ["beacon", "riso"], "seeds": [0]},
    "evaluate": {"nfe": [1], "nfe_sweep": []},
    "instruments": dict.fromkeys(("mini_clip", "frechet", "kid", "world_frechet")),
}


@pytest.fixture
def written(request, tmp_path, monkeypatch):
    """written(contexts beside `CONTEXTS`, of params.yaml's sections some fields) -> the params of a tiny study, in whose
    folder the test works."""
    root = request.config.rootpath
    (tmp_path / "models").mkdir()
    for model in (root / "models").glob("mini-*"):
        (tmp_path / "models" / model.name).symlink_to(model)
    monkeypatch.chdir(tmp_path)

    def write(more=None, **sections):
        tree = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
        del tree["probe"], tree["miniature"]
        for changes in ({k: v for k, v in tiny.STUDY.items() if k in tree}, CHANGES, sections):
            for name, fields in changes.items():
                tree[name] = tree[name] | fields
        Path("params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        asked = {"student": "text", "teacher": "image_text", "contexts": CONTEXTS | (more or {})}
        Path("contexts.yaml").write_text(yaml.safe_dump(asked, sort_keys=False), encoding="utf-8")
        return load()

    return write


@pytest.fixture
def built(written):
    """The same, fetched and asked -> the study."""

    def build(more=None, **sections) -> Contextual:
        params = written(more, **sections)
        fetch.main()
        prompts.main()
        return Contextual(params)

    return build


def test_a_tiny_study_from_end_to_end(built, capsys):
    study = built()
    n = 2 * (len(CONTEXTS) + len(KNOWN)) - 1  # no words describe riso
    assert len(study.cells()) == n and Cell("full_text", "riso", 0) not in study.cells()
    stage.main("keys")
    assert {f.stem for f in paths.KEYS.iterdir()} == {"fetch", "prompts", "draw", "evaluate", "report"}
    assert {r.method: (r.cells, r.kept, r.forwards) for r in plan.plan(plan.opened(load()))} == {
        name: (k, 0, 4 * k) for name, k in zip(CONTEXTS, (2, 2, 2, 1, 2), strict=True)
    }
    with pytest.raises(UserError, match=r"samples/cells/text/beacon/0: no pictures; run"):
        stage.main("evaluate")
    for part in ("draw", "evaluate"):
        for kept in (0, n):
            capsys.readouterr()
            stage.main(part)
            assert f"{part}: {n} cells, {kept} kept, {n - kept} to run" in capsys.readouterr().out
    assert {(r.cells, r.kept) for r in plan.plan(plan.opened(load()))} == {(2, 2), (1, 1)}
    table = read_table(paths.TABLE)
    assert set(table.method) == {*CONTEXTS, *KNOWN} and set(table.kind) == {NEW} and set(table.step) == {0}
    assert table.value.notna().all()
    stage.main("report")
    report = Path("reports/REPORT.md").read_text(encoding="utf-8")
    assert "no `claims.yaml`" in report and "| Picture alone " in report and "All cells ran on: cpu." in report
    for figure in ("contexts", "sheet"):
        assert Path(f"reports/figures/{figure}.png").stat().st_size > 5000
    rows = read_csv(paths.TABLES / "contexts.csv")
    assert set(rows.context) == {*CONTEXTS, *KNOWN}
    assert (rows.loc[rows.context == "text", "less_student"].isna()).all()


@pytest.mark.parametrize(
    ("more", "sections", "said"),
    [
        ({"noise": {"label": "x"}}, {}, "contexts.noise: pictures of this name are known ones"),
        ({}, {"grid": {"trained": ["sft"]}}, "grid.trained: 'sft'; contexts train nothing"),
        ({}, {"instruments": {"reader": None, "blur": None}}, "instruments.reader: missing"),
        ({}, {"prompts": {"source": "captions"}}, "prompts.source captions: contexts need scenes that are known"),
    ],
)
def test_what_is_refused_before_anything_runs(written, more, sections, said):
    params = written(more, **sections)
    with pytest.raises(UserError) as error:
        Contextual(params)
    assert said in str(error.value)


def keys_of(study: Contextual) -> dict[Cell, str]:
    return {cell: study.drawing(cell)[0] for cell in study.cells()}


def moved(before, after):
    """The cells of both whose keys differ, by their context and concept."""
    return {(c.method, c.concept) for c in before if c in after and before[c] != after[c]}


def test_what_moves_a_drawing(built):
    grid = {"grid": {"concepts": ["beacon", "comet", "fresco", "dusk"]}}
    before = keys_of(built(**grid))
    assert len(set(before.values())) == len(before)
    renamed = {"text": {"label": "Other words"}, "more": {"label": "More", "sees": "next"}}
    assert moved(before, keys_of(built(renamed, **grid))) == set()
    layer = {"image_text": {"label": "Seen", "sees": "training", "layer": -1}}
    assert {m for m, _ in moved(before, keys_of(built(layer, **grid)))} == {"image_text"}
    plain = {"image_text": {"label": "Seen", "sees": "training", "vlm": "models/mini-vlm-plain"}}
    assert {m for m, _ in moved(before, keys_of(built(plain, **grid)))} == {"image_text"}
    turned = built(grid={"concepts": ["beacon", "fresco", "comet", "dusk"]})
    assert moved(before, keys_of(turned)) == set()  # each is still shown the next of its kind
    (paths.concept_set("comet") / "more").touch()
    theirs = moved(before, keys_of(Contextual(load())))
    of_beacon = {m for m, concept in theirs if concept == "beacon"}
    assert of_beacon == {"wrong_picture", *KNOWN} and {c for _, c in theirs} == {"beacon", "comet"}


def test_the_stages_keys_know_the_contexts(written):
    before = all_stages(written())
    after = all_stages(written({"image": {"label": "Picture alone", "says": "nothing", "sees": "next"}}))
    assert {s for s in before if before[s] != after[s]} == {"draw", "evaluate", "report"}
    named = all_stages(written({"image": CONTEXTS["image"] | {"label": "Other words"}}))
    assert {s for s in before if before[s] != named[s]} == {"report"}
    assert before["report"]["templates"]


def test_a_context_may_have_another_eye(written):
    params = written()
    contexts = load_contexts().contexts
    assert eyed(params.backbone, contexts["image_text"]) == params.backbone
    other = contexts["image_text"].model_copy(update={"vlm": "models/mini-vlm-plain"})
    assert eyed(params.backbone, other).vlm == "models/mini-vlm-plain"


def test_the_studys_contexts_answer_the_full_studys_prompts(request, monkeypatch):
    root = request.config.rootpath
    monkeypatch.chdir(root / "studies/contexts")
    mine, study = load(), Contextual(load())
    monkeypatch.chdir(root / "studies/full")
    full = load()
    assert mine.grid.concepts == full.grid.concepts and mine.grid.turbos == full.grid.turbos
    for field in ("new", "noises", "said", "source"):
        assert getattr(mine.prompts, field) == getattr(full.prompts, field)
    assert mine.evaluate.few == full.evaluate.few and mine.fetch == full.fetch
    assert study.contexts.contexts["image_text"].layer is None and full.backbone.teacher_layer == -2
