"""What a study asks all its methods."""

import pytest

from dopsd.config.study import Prompts
from dopsd.evaluation import rows
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER
from dopsd.study.prompts import asked, written
from dopsd.study.sets import write_concept
from dopsd.support import paths
from dopsd.support.errors import UserError


@pytest.fixture
def study(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for concept in ("beacon", "medal"):
        write_concept(concept, params.fetch, paths.concept_set(concept))
    grid = params.grid.model_copy(update={"concepts": ("beacon",), "seeds": (0, 2)})
    return params.model_copy(update={"grid": grid})


def test_the_worlds_rows_are_a_file_a_concept_for_each_seed(study):
    files = written(study, None)
    assert set(files) == {paths.prompts(n) for n in ("beacon", "medal", "ordinary")}
    beacon, medal, plain = (files[paths.prompts(n)] for n in ("beacon", "medal", "ordinary"))
    assert [r.seed for r in beacon] == [0] * 88 + [2] * 88 and {r.seed for r in medal} == {study.step_size.seed}
    assert plain == [] and [len(rows.of_kind(beacon, ORDINARY, s)) for s in (0, 2)] == [study.prompts.ordinary] * 2
    assert len(rows.of_kind(medal, ORDINARY)) == study.prompts.ordinary
    every = [r for mine in files.values() for r in mine]
    assert len({r.id for r in every}) == len(every)
    own = [
        r for r in every if r.kind in (NEW, ORDINARY)
    ]  # without the name, or with another: the noise of the named one
    assert len({r.noise for r in own}) == len({r.noise for r in every}) == len(own)
    assert files == written(study, None)


def test_a_seed_more_leaves_the_others_rows_as_they_were(study):
    before = written(study, None)[paths.prompts("beacon")]
    grid = study.grid.model_copy(update={"seeds": (0, 1, 2)})
    after = written(study.model_copy(update={"grid": grid}), None)[paths.prompts("beacon")]
    assert [r for r in after if r.seed != 1] == before


def test_rows_by_hand_are_taken_from_a_folder(study, tmp_path):
    for file, mine in written(study, None).items():
        rows.write(mine, tmp_path / "mine" / file.name)
    by_hand = Prompts(source="files", folder=str(tmp_path / "mine"), new=1, ordinary=8)
    assert written(study.model_copy(update={"prompts": by_hand}), None) == written(study, None)


def test_a_cell_answers_its_concepts_rows_and_the_ordinary_ones(study):
    for file, mine in written(study, None).items():
        rows.write(mine, file)
    assert {r.kind for r in asked("beacon")} == {NEW, NAMELESS, OTHER, ORDINARY}
    assert asked(paths.ORDINARY) == []


def test_other_opennesses_are_asked_of_the_grids_concepts_only(study):
    asked_of = study.model_copy(update={"prompts": study.prompts.model_copy(update={"also_said": (0.5, 1.0)})})
    before, after = written(study, None), written(asked_of, None)
    beacon, medal = (paths.prompts(n) for n in ("beacon", "medal"))
    assert after[medal] == before[medal]
    assert [r for r in after[beacon] if r.chance is None] == before[beacon]
    for chance in (0.5, 1.0):
        for kind in (NEW, ORDINARY):
            usual, other = (rows.of_kind(after[beacon], kind, 0, p) for p in (None, chance))
            assert [(r.truth, r.noise) for r in other] == [(r.truth, r.noise) for r in usual]
        assert not rows.of_kind(after[beacon], NAMELESS, 0, chance)


def test_a_concept_of_the_grid_has_the_grids_prompts_though_a_search_that_is_not_run_names_it(study):
    rates = {"given": {"sft": 1e-3, "dopsd": 1e-3}, "concepts": ("beacon",)}
    given = study.model_copy(update={"step_size": study.step_size.model_copy(update=rates)})
    assert written(given, None)[paths.prompts("beacon")] == written(study, None)[paths.prompts("beacon")]


def test_rows_by_hand_without_any_ordinary_ones_are_refused(study, tmp_path):
    for file, mine in written(study, None).items():
        rows.write([r for r in mine if r.kind != ORDINARY], tmp_path / "mine" / file.name)
    by_hand = Prompts(source="files", folder=str(tmp_path / "mine"), new=1, ordinary=8)
    with pytest.raises(UserError, match=r"ordinary\.jsonl: no prompts"):
        written(study.model_copy(update={"prompts": by_hand}), None)
