"""What a change touches, and what it does not."""

import pytest
import tiny
import yaml

from dopsd.config.params import load
from dopsd.evaluation.rows import Row
from dopsd.evaluation.sheets import Sheet
from dopsd.study import grid, keys
from dopsd.study.grid import Cell
from dopsd.support.errors import UserError


@pytest.fixture
def changed(params, monkeypatch, request):
    """The keys of all stages after a change of params.yaml -> the names of those that moved."""
    monkeypatch.chdir(request.config.rootpath)
    before = keys.all_stages(params)

    def moved(**sections) -> dict[str, object]:
        text = (request.config.rootpath / "params.yaml").read_text(encoding="utf-8")
        tree = tiny.searching(yaml.safe_load(text))
        for name, fields in sections.items():
            tree[name] = tree[name] | fields
        file = request.getfixturevalue("tmp_path") / "params.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        after = keys.all_stages(load(file))
        return {s: after[s] for s in after if after[s] != before[s]}

    moved.before = before
    return moved


def test_who_runs_the_cells_and_how_often_they_save_moves_no_key(changed):
    assert changed(execute={"jobs": 7, "jobs_per_gpu": 2}, backbone={"device": "cpu"}) == {}
    moved = changed(train={"save_every": 5, "states": 7, "cuda_graphs": True})
    assert set(moved) == {"report"}  # which shows the settings as they are


def test_a_methods_own_setting_moves_its_own_cells_only(changed):
    tree = {"sft": {}, "dopsd": {"loss": "x0", "teacher": "ema", "ema": 0.9, "rollout_steps": 4}}
    moved = changed(methods=tree)
    assert set(moved) == {"train", "step_size", "report"}
    for stage in ("train", "step_size"):
        before = changed.before[stage]["methods"]
        assert moved[stage]["methods"]["sft"] == before["sft"] and moved[stage]["methods"]["dopsd"] != before["dopsd"]


def test_a_seed_more_moves_no_cell(changed):
    moved = changed(grid={"seeds": [0, 1, 2, 3]})
    assert moved["train"]["methods"] == changed.before["train"]["methods"] and moved["train"]["seeds"] == [0, 1, 2, 3]
    assert moved["draw"]["code"] == changed.before["draw"]["code"]
    assert set(moved) == {"prompts", "train", "draw", "evaluate", "report"}


def test_the_eyes_settings_are_no_business_of_a_method_that_sees_nothing(changed):
    moved = changed(backbone={"max_pixels": 8192})
    before = changed.before["train"]["methods"]
    assert moved["train"]["methods"]["sft"] == before["sft"] and moved["train"]["methods"]["dopsd"] != before["dopsd"]
    assert "draw" not in moved and "evaluate" not in moved


def test_more_prompts_are_drawn_but_not_trained(changed):
    assert set(changed(prompts={"ordinary": 24})) == {"prompts", "report"}  # whose rows are what the others read
    assert set(changed(evaluate={"batch_size": 32})) == {"probe", "report"}


@pytest.mark.parametrize("study", ["zimage", "klein"])
def test_what_is_drawn_with_a_picture_seen_is_another_picture(study, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath / "studies" / study)
    params = load()
    assert keys.draw(params, seen=True) != keys.draw(params, seen=False)


def test_what_a_picture_depends_on_of_its_prompt():
    row = Row(id="a", kind="new", group="0", text="a [V]", described="a star", height=64, width=64, noise=7)
    before = keys.drawn([row], "said")
    for change in ({"stated": ("shape",)}, {"group": "1"}, {"said": 0.5}, {"id": "b"}, {"described": "a disc"}):
        assert keys.drawn([row.model_copy(update=change)], "said") == before, change
    for change in ({"text": "the [V]"}, {"noise": 8}, {"width": 32}, {"kind": "ordinary"}):
        assert keys.drawn([row.model_copy(update=change)], "said") != before, change
    assert keys.drawn([row], "described") != before


def test_an_instrument_more_scores_again_and_draws_nothing(changed, params):
    moved = set(changed(instruments=params.instruments | {"blur": None}))
    assert moved == {"evaluate", "step_size", "report"}


def test_the_concept_of_the_search_is_written_too(changed):
    own = {"folders": {"marble": {"images": "marbles", "name": "marble"}}}
    moved = changed(step_size={"concepts": ["marble"]}, fetch=own)
    assert set(moved) == {"fetch", "prompts", "step_size", "report"} and moved["fetch"]["concepts"][-1] == "marble"


def asking(*kinds, chances=(None,)) -> list[Row]:
    """A row of each kind, at each openness."""
    plain = {"group": "0", "text": "x", "described": "y", "height": 64, "width": 64, "noise": 7}
    return [Row(id=f"{kind} {p}", kind=kind, chance=p, **plain) for kind in kinds for p in chances]


def test_the_cells_of_the_grid(params):
    cells = grid.trained(params.grid)
    assert len(cells) == 20 and cells[0] == Cell("sft", "beacon", 0) and cells[0].name == "sft/beacon/0"
    assert len(grid.scored(params.grid)) == len(grid.drawn(params.grid, False)) == 50
    assert len(grid.drawn(params.grid, True)) == 54  # and two plain ones a seed
    asked = asking("new", "nameless", "ordinary")
    last = [s for s in grid.drawings(params, Cell("dopsd", "beacon", 0), asked, True) if s.step == 40]
    few = [Sheet(40, "nameless", 4), Sheet(40, "new", 4), *(Sheet(40, "ordinary", n) for n in (1, 2, 4))]
    assert sorted(last) == sorted([*few, Sheet(40, "new", 8, 1.5), Sheet(40, "ordinary", 8, 1.5)])
    assert len(grid.drawings(params, Cell("dopsd", "beacon", 1), asked, True)) == 9
    known = [Sheet(0, "new", 4), Sheet(0, "new", 8, 1.5)]
    assert grid.drawings(params, Cell("described", "beacon", 1), asked, True) == known
    plain, alone = Cell("untouched", "ordinary", 1), [Sheet(0, "ordinary", 4), Sheet(0, "ordinary", 8, 1.5)]
    assert grid.drawings(params, plain, asking("ordinary"), True) == alone
    assert grid.drawings(params, Cell("base", "ordinary", 1), asking("ordinary", "reference"), True) == alone
    both = grid.drawings(params, plain, asking("ordinary", "reference"), True)
    assert both[2:] == [Sheet(0, "reference", 4), Sheet(0, "reference", 8, 1.5)]


def test_a_base_that_is_nowhere_is_said_before_anything_runs(params):
    without = params.model_copy(update={"backbone": params.backbone.model_copy(update={"base": None})})
    with pytest.raises(
        UserError, match=r"backbone\.base: missing; name the undistilled model, or take base out of grid"
    ):
        keys.check(without)
    keys.check(without.model_copy(update={"grid": params.grid.model_copy(update={"references": ("untouched",)})}))


def test_the_concept_that_is_shown_in_anothers_place_is_the_next_of_its_kind(params):
    def after(concept, *concepts):
        of = params.model_copy(update={"grid": params.grid.model_copy(update={"concepts": concepts})})
        return grid.another(concept, of)

    every = ("beacon", "fresco", "pebble", "riso", "dusk")
    assert [after(c, *every) for c in every] == ["pebble", "dusk", "beacon", "dusk", "fresco"]
    assert after("medal", *every) == "beacon" and after("tapestry", *every) == "fresco"  # rates are searched on them
    assert after("beacon", "beacon", "fresco") == "fresco"
    with pytest.raises(UserError, match=r"params\.yaml: grid\.concepts: 'beacon' alone: .*name two, or take"):
        after("beacon", "beacon")


def test_an_entrys_own_training_is_the_shared_one_but_for_what_it_says(params):
    def study(**train):
        long = {"like": "sft", "train": train}
        of = params.grid.model_copy(update={"trained": ("sft", "long")})
        return params.model_copy(update={"methods": params.methods | {"long": long}, "grid": of})

    one = study(steps=90, checkpoints=[5, 50])
    assert grid.training(one, "sft") == params.train
    assert grid.training(one, "long") == params.train.model_copy(update={"steps": 90, "checkpoints": (5, 50)})
    steps = {s.step for s in grid.drawings(one, Cell("long", "beacon", 0), asking("new"), False)}
    assert steps == {5, 50, 90}
    of = keys.train(one)
    assert (
        of["sft"] == keys.train(params)["sft"] != of["long"] == keys.train(study(steps=90, checkpoints=[5, 50]))["long"]
    )
    for wrong, said in (
        ({"stepz": 3}, r"methods\.long\.train\.stepz: unknown; did you mean 'steps'"),
        ({"steps": 0}, r"methods\.long\.train\.steps: .*greater than or equal to 1"),
        ({"checkpoints": [3, 2]}, r"methods\.long\.train: checkpoints must rise"),
    ):
        with pytest.raises(UserError, match=rf"params\.yaml: {said}"):
            grid.training(study(**wrong), "long")


def test_a_transformer_of_a_seeds_moves_what_is_trained_and_drawn_and_no_code(changed):
    moved = changed(grid={"turbos": ["models/mini-turbo", "models/mini-turbo-2"]})
    assert {"train", "draw"} <= set(moved) and moved["train"]["methods"] == changed.before["train"]["methods"]
    for stage in ("train", "draw"):
        assert moved[stage]["weights"] != changed.before[stage]["weights"]
