"""Chains of trainings: how they are run, drawn and scored, and what is refused."""

from pathlib import Path

import pytest

from dopsd.config.chains import SEEN
from dopsd.config.params import load
from dopsd.evaluation.rows import NEW, ORDINARY, OTHER
from dopsd.sets.jsonl import read_set
from dopsd.stages import continual as stage
from dopsd.stages import fetch, prompts
from dopsd.study import continual, plan
from dopsd.study.chain import renamed
from dopsd.study.continual import Continual, all_stages
from dopsd.study.grid import Cell
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv, read_table, write_json
from dopsd.world.lexicon import FREE, HEARD
from dopsd.world.outside import CONCEPTS

CHAINS = {"sets": [["beacon", "fresco"]], "names": ["[V]", "fibak"]}
GRID = {
    "references": ["untouched", "teacher"],
    "trained": ["dopsd"],
    "concepts": ["beacon", "fresco"],
    "seeds": [0],
}
CHANGES = {
    "grid": GRID,
    "step_size": {"given": {"dopsd": 1e-3, "sft": 1e-3}},
    "compare": {"method": "dopsd", "baseline": "dopsd"},
    "train": {"steps": 2, "checkpoints": []},
    "evaluate": {"nfe": [1, 2], "nfe_sweep": []},
    "instruments": dict.fromkeys(("mini_clip", "frechet", "kid", "world_frechet")),
}


@pytest.fixture
def written(small_study):
    """written(fields of chains.yaml, of params.yaml's sections some fields) -> the params of a tiny study, in whose folder
    the test works."""

    def write(chains=None, **sections):
        return small_study({"chains.yaml": CHAINS | (chains or {})}, CHANGES, sections)

    return write


@pytest.fixture
def built(written):
    """The same, fetched and asked -> the study."""

    def build(chains=None, **sections) -> Continual:
        params = written(chains, **sections)
        fetch.main()
        prompts.main()
        write_json({m: {"value": 1e-3} for m in params.grid.trained}, paths.STEP_SIZE)
        return Continual(params)

    return build


def test_a_tiny_study_from_end_to_end(built, capsys):
    study = built()
    stage.main("keys")
    counted = {(r.stage, r.cells, r.kept) for r in plan.plan(study)}
    assert counted == {("train", 2, 0), ("draw", 2, 0), ("draw", 8, 0)}
    with pytest.raises(UserError, match=r"models/lora/dopsd/beacon-fresco/0: the adapter is missing"):
        stage.main("draw")
    for part, cells in (("train", 2), ("draw", 12), ("evaluate", 12)):
        capsys.readouterr()
        stage.main(part)
        assert f"{part}: {cells} cells, 0 kept, {cells} to run" in capsys.readouterr().out
    Continual(load()).draw()
    assert "draw: 12 cells, 12 kept, 0 to run" in capsys.readouterr().out
    assert {(r.stage, r.cells, r.kept) for r in plan.plan(Continual(load()))} == {(s, n, n) for s, n, _ in counted}
    table = read_table(paths.TABLE)
    assert tuple(table) == continual.COLUMNS and set(table.chain) == {"", "beacon-fresco", "fresco-beacon"}
    mine = table[table.chain == "fresco-beacon"]
    assert set(mine.concept) == {"beacon", "fresco"} and set(mine.step) == {1, 2}
    assert {(k, n) for k, n in zip(mine.kind, mine.nfe, strict=True) if k in (NEW, ORDINARY, OTHER)} == {
        (NEW, 1), (NEW, 2), (ORDINARY, 1), (ORDINARY, 2), (OTHER, 1)
    }  # fmt: skip
    assert set(mine[mine.kind == SEEN].step) == {1, 2} and set(mine[mine.kind == SEEN].method) == {"dopsd"}
    stage.main("report")
    report = Path("reports/REPORT.md").read_text(encoding="utf-8")
    assert "| the first concept: fidelity " in report and "after the second" in report and "no `claims.yaml`" in report
    assert Path("reports/figures/continual.png").stat().st_size > 5000
    rows = read_csv(paths.TABLES / "continual.csv")
    assert set(rows.training[rows.method == "dopsd"]) == {1, 2} and set(rows.training[rows.method == "untouched"]) == {
        0
    }
    assert {f"reports/keys/{s}.json" for s in ("train", "draw", "evaluate", "report")} <= set(
        map(str, Path().rglob("*.json"))
    )


@pytest.mark.parametrize(
    ("chains", "sections", "said"),
    [
        ({"sets": [["beacon", "frescoe"]]}, {}, "chains.yaml: sets: 'frescoe' is none of grid.concepts; did you mean"),
        ({"sets": [["beacon", "beacon"]]}, {}, "chains.yaml: sets: 'beacon' stands twice"),
        ({"sets": [["beacon"]]}, {}, "chains.yaml: sets: beacon: 1 concepts, and 2 names"),
        ({}, {"grid": {"concepts": ["beacon", "fresco", "kite"]}}, "chains.yaml: sets: none has 'kite'"),
        ({"names": ["[V]", "[V]"]}, {}, "chains.yaml: names: one stands twice"),
        ({"names": ["[V]", "my dog"]}, {}, "chains.yaml: names: 'my dog' is not one word"),
        ({"names": ["[V]", "namon"]}, {}, "chains.yaml: names: 'namon' is the name that nothing is taught of"),
        ({}, {"grid": {"trained": ["odd"]}, "methods": {"odd": {"like": "dopsd", "shown": "another"}}}, "trained: 'odd'"),
        ({}, {"grid": {"trained": ["dreambooth"]}, "methods": {"dreambooth": {}}}, "grid.trained: 'dreambooth' needs"),
        ({}, {"train": {"tune": "full"}}, "params.yaml: train.tune: full; a chain puts LoRAs into the weights"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_runs(written, chains, sections, said):
    given = dict.fromkeys(sections.get("grid", {}).get("trained", ["dopsd"]), 0.001)
    asked = {"method": next(iter(given)), "baseline": next(iter(given))}
    params = written(chains, step_size={"given": given}, compare=asked, **sections)
    for begin in (Continual, all_stages):
        with pytest.raises(UserError) as error:
            begin(params)
        assert said in str(error.value)


def test_a_study_without_chains_is_told_to_write_them(written):
    params = written()
    Path("chains.yaml").unlink()
    with pytest.raises(UserError, match=r"chains.yaml: missing; name the sets"):
        Continual(params)
    assert type(plan.opened(params)) is not Continual


def test_a_name_that_the_model_has_no_word_for_is_said(built):
    study = built({"names": ["[V]", "xyzzy"]})
    with pytest.raises(UserError, match="the model has no word for xyzzy"):
        study.train()


FOUR = {"concepts": ["beacon", "fresco", "kite", "dusk"]}
BOTH = [["beacon", "fresco"], ["kite", "dusk"]]


def keys_of(study: Continual) -> dict[str, str]:
    return {cell.concept: study.training(cell, 1e-3)[0] for cell in study.trained()}


def test_what_moves_a_chain(built):
    study = built({"sets": BOTH}, grid=FOUR)
    before = keys_of(study)
    assert (
        set(before) == {"beacon-fresco", "fresco-beacon", "kite-dusk", "dusk-kite"} and len(set(before.values())) == 4
    )
    one = built()
    assert keys_of(one) == {k: v for k, v in before.items() if "beacon" in k}  # a set more moves no other
    renames = keys_of(built({"sets": BOTH, "names": ["[V]", "zimem"]}, grid=FOUR))
    assert not set(renames.values()) & set(before.values())
    turned = keys_of(built({"sets": [BOTH[0][::-1], BOTH[1]]}, grid=FOUR))  # its concepts change their names
    assert {k for k in before if before[k] != turned[k]} == {"beacon-fresco", "fresco-beacon"}
    (paths.concept_set("dusk") / "more").touch()
    after = keys_of(built({"sets": BOTH}, grid=FOUR))
    assert {k for k in before if before[k] != after[k]} == {"kite-dusk", "dusk-kite"}


def test_the_stages_keys_know_the_chains(written):
    before = all_stages(written({"sets": BOTH}, grid=FOUR))
    after = all_stages(written({"sets": [BOTH[0], BOTH[1][::-1]]}, grid=FOUR))
    assert {s for s in before if before[s] != after[s]} == {"train", "draw", "evaluate", "report"}
    again = all_stages(written({"sets": BOTH}, grid=FOUR, train={"steps": 3, "checkpoints": []}))
    assert {s for s in before if before[s] != again[s]} == {"train", "report"}


def test_a_concept_is_asked_for_by_its_own_name(built):
    study = built()
    for concept, name, other in (("beacon", "[V]", "fibak"), ("fresco", "fibak", "[V]")):
        for row in study.rows(concept, 0):
            assert (name in row.text) == (row.kind == NEW) and other not in row.text
    _, (_, arguments) = study.training(Cell("dopsd", "fresco-beacon", 0), 1e-3)
    assert [(t.concept, t.name) for t in arguments[3]] == [("fresco", "fibak"), ("beacon", "[V]")]
    for item in read_set(arguments[3][0].manifest):
        texts = renamed(item, "fibak").captions.values()
        assert all("fibak" in text and "[V]" not in text for text in texts)


def test_a_chain_is_drawn_after_every_training_and_in_many_steps_at_the_end(built):
    study = built()
    sheets = {(s.step, s.kind, s.nfe) for s in study.sheets()}
    assert {(k, n) for s, k, n in sheets if s == 1} == {(k, 1) for k in continual.KINDS}
    assert {(k, n) for s, k, n in sheets if s == 2} == {(k, 1) for k in continual.KINDS} | {(NEW, 2), (ORDINARY, 2)}
    mine = [d for d in study.drawings() if d.weights]
    chains = ("beacon-fresco", "fresco-beacon")
    names = [f"dopsd/{c}/{x}/{s}0" for c in chains for x in c.split("-") for s in ("", "seen/")]
    assert [d.place.name for d in mine] == names
    seen = [d for d in mine if d.cell.method == "teacher"]
    assert {(s.step, s.kind, s.nfe) for d in seen for s in d.todo} == {(1, NEW, 1), (2, NEW, 1)}
    _, (_, arguments) = study._drawing(None, seen[0].cell, seen[0].todo)
    assert arguments[5] == "seen" and len(seen) == 4
    assert {d.weights for d in study.drawings() if d.weights} == {
        paths.adapters("dopsd", c, 0) for c in ("beacon-fresco", "fresco-beacon")
    }


def test_the_studys_sets_have_two_objects_without_a_word_in_common_and_a_style(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath / "studies" / "continual")
    study = Continual(load())
    assert [study.methods[m].kind for m in study.params.grid.trained] == ["sft", "off_policy", "dopsd"]
    assert set(study.chains.called.values()) <= set(FREE) - set(HEARD)
    for mine in study.chains.sets:
        kinds = [CONCEPTS[c].kind for c in mine]
        assert sorted(kinds) == ["object", "object", "style"]
        one, other = (set(CONCEPTS[c].attributes.values()) for c in mine if CONCEPTS[c].kind == "object")
        assert not one & other
