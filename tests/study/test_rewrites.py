"""A study that asks for its training pictures again."""

import pytest

from dopsd.config.study import Prompts
from dopsd.evaluation import rows
from dopsd.evaluation.rows import NEW, ORDINARY, REWRITE
from dopsd.evaluation.sheets import Sheet
from dopsd.stages import rewrites
from dopsd.study import grid
from dopsd.study.grid import Cell
from dopsd.study.keys import all_stages
from dopsd.study.prompts import written
from dopsd.study.sets import write_concept
from dopsd.support import paths
from dopsd.support.errors import UserError


@pytest.fixture
def study(request, params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(request.config.rootpath / "models")
    write_concept("beacon", params.fetch, paths.concept_set("beacon"))
    over = params.grid.model_copy(update={"concepts": ("beacon",), "seeds": (0, 1)})
    asks = Prompts(source="files", folder="data/asked", new=2, noises=2, said=0.5, ordinary=8)
    rates = params.step_size.model_copy(update={"given": {"sft": 1e-3, "dopsd": 1e-3}})
    return params.model_copy(update={"grid": over, "prompts": asks, "step_size": rates})


def test_its_prompts_are_new_scenes_ordinary_ones_and_all_training_pictures_again(study):
    rewrites.write(study)
    files = written(study, None)
    assert files[paths.prompts(paths.ORDINARY)] == []
    mine = files[paths.prompts("beacon")]
    for seed in (0, 1):
        kinds = {kind: rows.of_kind(mine, kind, seed) for kind in (NEW, ORDINARY, REWRITE)}
        assert {kind: len(found) for kind, found in kinds.items()} == {NEW: 4, ORDINARY: 8, REWRITE: 16}
        again = kinds[REWRITE]
        assert {r.picture for r in again} == {f"0{i}.png" for i in range(4)} and len({r.text for r in again}) == 8
        assert {len([r for r in again if r.text == text]) for text in {r.text for r in again}} == {2}
    assert len({r.id for r in mine}) == len({r.noise for r in mine}) == len(mine) == 56
    rewrites.write(study)
    assert files == written(study, None)


def test_every_row_draws_them_at_its_last_step(study):
    rewrites.write(study)
    asked = written(study, None)[paths.prompts("beacon")]
    for who, step in (("untouched", 0), ("described", 0), ("dopsd", study.train.steps)):
        sheets = grid.drawings(study, Cell(who, "beacon", 0), asked, shared=False)
        assert [s for s in sheets if s.kind == REWRITE] == [Sheet(step, REWRITE, study.evaluate.few)]


def test_its_stage_depends_on_its_code_and_on_what_it_is_asked(study):
    (before,) = {k: v for k, v in rewrites.depends(study).items() if k not in all_stages(study)}.values()
    more = study.model_copy(update={"prompts": study.prompts.model_copy(update={"noises": 3})})
    assert before["code"] != all_stages(study)["prompts"]["code"] and rewrites.depends(more)["rewrites"] != before


def test_prompts_that_are_not_read_from_its_folder_are_refused(study, params):
    world = study.model_copy(update={"prompts": params.prompts})
    with pytest.raises(UserError, match=r"prompts.source: 'world'; write files"):
        rewrites.write(world)
