"""Rows that are trained on the first so many pictures of a concept: their sets, what moves them, and all of a tiny study."""

import json
from pathlib import Path

import pytest

from dopsd.config.params import load
from dopsd.sets.jsonl import read_set
from dopsd.stages import draw, evaluate, prompts, step_size
from dopsd.stages import pictures as stage
from dopsd.study import plan
from dopsd.study.grid import Cell
from dopsd.study.pictures import Pictures, all_stages, first, write_firsts
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.support.files import read_csv
from dopsd.training.encoded import content

ROWS = {"sft_1": 1, "sft_2": 2}
CHANGES = {
    "fetch": {"images": 3},
    "grid": {"references": ["untouched"], "trained": ["sft_1", "sft_2"], "concepts": ["beacon"], "seeds": [0]},
    "methods": {row: {"like": "sft", "label": row} for row in ROWS},
    "step_size": {"given": dict.fromkeys(ROWS, 0.001)},
    "compare": {"method": "sft_1", "baseline": "sft_2"},
    "train": {"steps": 2, "checkpoints": []},
    "evaluate": {"nfe": [1, 2], "nfe_sweep": []},
    "instruments": dict.fromkeys(("mini_clip", "frechet", "kid", "world_frechet")),
}


@pytest.fixture
def written(small_study):
    """written(rows of pictures.yaml, of params.yaml's sections some fields) -> the params of a tiny study."""

    def write(rows=None, **sections):
        return small_study({"pictures.yaml": {"rows": rows or ROWS}}, CHANGES, sections)

    return write


def items_of(name: str) -> list[dict]:
    """All that a training depends on of each picture of a set."""
    return [content(item) for item in read_set(paths.concept_set(name) / "data.jsonl")]


def keys_of(study: Pictures) -> dict[str, str]:
    return {cell.method: study.training(cell, 1e-3)[0] for cell in study.trained()}


def test_a_set_is_the_first_pictures_of_its_concepts_and_a_row_is_trained_on_its_own(written):
    study = Pictures(written())
    stage.main("fetch")
    whole = items_of("beacon")
    assert len({item["image"] for item in whole}) == 3
    for row, n in ROWS.items():
        assert items_of(first("beacon", n)) == whole[:n]
        _, (_, arguments) = study.training(Cell(row, "beacon", 0), 1e-3)
        assert [content(item) for item in read_set(arguments[3])] == whole[:n]
    stage.main("fetch")  # again, over what is there
    assert {f.name for f in paths.CONCEPTS.iterdir()} == {"beacon", first("beacon", 1), first("beacon", 2)}
    written({"sft_1": 1, "sft_2": 3})
    stage.main("fetch")
    assert {f.name for f in paths.CONCEPTS.iterdir()} == {"beacon", first("beacon", 1), first("beacon", 3)}
    assert items_of(first("beacon", 3)) == items_of("beacon") == whole


def test_a_row_moves_with_its_own_number_alone(written):
    params = written()
    stage.main("fetch")
    before = keys_of(Pictures(params))
    more = written({"sft_1": 1, "sft_2": 3})
    stage.main("fetch")
    after = keys_of(Pictures(more))
    assert len(set(before.values())) == 2 and after["sft_1"] == before["sft_1"] and after["sft_2"] != before["sft_2"]
    turned = written({"sft_1": 2, "sft_2": 1})
    stage.main("fetch")
    assert keys_of(Pictures(turned)) == {"sft_1": before["sft_2"], "sft_2": before["sft_1"]}  # equal but for the set


def test_the_stages_keys_know_the_numbers(written):
    before = all_stages(written())
    turned, more = all_stages(written({"sft_1": 2, "sft_2": 1})), all_stages(written({"sft_1": 1, "sft_2": 3}))
    assert {s for s in before if before[s] != turned[s]} == {"train"}
    assert {s for s in before if before[s] != more[s]} == {"fetch", "train"}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"step_size": {"given": {"sft_1": 1e-3}}}, "params.yaml: step_size.given: no learning rate of 'sft_2'; rates"),
        (
            {"methods": {"sft_1": {"like": "dopsd", "shown": "another"}}},
            "params.yaml: grid.trained: 'sft_1' is shown another concept's pictures",
        ),
        ({"fetch": {"images": 1}}, "pictures.yaml: rows.sft_2: 2 pictures, and fetch.images is 1"),
    ],
)
def test_what_is_refused_before_anything_runs(written, sections, said):
    params = written(**sections)
    for begin in (Pictures, all_stages):
        with pytest.raises(UserError) as error:
            begin(params)
        assert str(error.value).startswith(said)


def test_a_set_with_too_few_pictures_is_no_set_of_fewer(written):
    params = written()
    stage.main("fetch")
    manifest = paths.concept_set("beacon") / "data.jsonl"
    manifest.write_text(manifest.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"beacon/data.jsonl: 1 pictures, and pictures.yaml asks for 2; take fewer"):
        write_firsts(params)


def test_a_stage_that_is_none_is_said(written):
    written()
    with pytest.raises(UserError, match="unknown stage 'trian'; did you mean 'train'"):
        stage.main("trian")


def test_a_tiny_study_from_end_to_end(written, capsys):
    written()
    for part in ("keys", "fetch"):
        stage.main(part)
    prompts.main()
    step_size.main()
    study = plan.opened(load())
    assert type(study) is Pictures
    counted = {(r.stage, r.method, r.cells) for r in plan.plan(study) if r.stage == "train"}
    assert counted == {("train", "sft_1", 1), ("train", "sft_2", 1)}
    stage.main("train")
    assert "train: 2 cells, 0 kept, 2 to run" in capsys.readouterr().out
    pictures = [item["image"] for item in items_of("beacon")]
    for row, n in ROWS.items():  # what the training itself has written down of the pictures that it read
        identity = json.loads((paths.adapters(row, "beacon", 0) / "identity.json").read_text(encoding="utf-8"))
        assert [p.split()[0] for p in identity["parts"]["pictures"]] == pictures[:n]
    for run, name in ((draw.main, "draw"), (evaluate.main, "evaluate")):
        run()
        assert f"{name}: 3 cells, 0 kept, 3 to run" in capsys.readouterr().out
    stage.main("report")
    report = Path("reports/REPORT.md").read_text(encoding="utf-8")
    assert stage.OWN in report and "same training pictures" not in report
    assert set(read_csv(paths.TABLES / "summary.csv").method) == {"untouched", *ROWS}
