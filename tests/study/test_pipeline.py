"""How a stage's cells are kept and published."""

import pytest

from dopsd.evaluation import rows
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, OTHER
from dopsd.evaluation.scores import Drawn
from dopsd.evaluation.sheets import Sheet
from dopsd.evaluation.step_size import COLUMNS, choose
from dopsd.study.grid import Cell, fetched, scored, trained
from dopsd.study.pipeline import Study
from dopsd.study.plan import forwards
from dopsd.study.prompts import ordinary_texts, written
from dopsd.study.sets import write_concept
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.world.outside import CONCEPTS


def write(text, work, device):
    work.mkdir(parents=True)
    (work / "x").write_text(text)
    return work


@pytest.fixture
def study(params, tmp_path):
    one = params.model_copy(update={"execute": params.execute.model_copy(update={"jobs": 1})})
    return Study(one, tmp_path / "store")


def test_cells_of_one_key_are_made_once_and_all_published(study, tmp_path, capsys):
    """Two methods that trained the same weights draw the same pictures: neither is left out."""
    cells = {Cell("a", "beacon", 0): "k1", Cell("b", "beacon", 0): "k1", Cell("a", "beacon", 1): "k2"}
    keyed = {cell: (k, (write, (k, study.store.work(k)))) for cell, k in cells.items()}

    def place(method, concept, seed):
        return tmp_path / "out" / method / concept / str(seed)

    finished = study._published("test", keyed, place, tmp_path / "out")
    assert "test: 2 cells, 0 kept, 2 to run" in capsys.readouterr().out
    assert {c: (place(*c) / "x").read_text() for c in cells} == cells and set(finished) == set(cells)
    study._published("test", keyed, place, tmp_path / "out")
    assert "test: 2 cells, 2 kept, 0 to run" in capsys.readouterr().out


CHANCES = (None, 0.5, 1.0)


@pytest.fixture
def built(params, tmp_path, monkeypatch):
    """built(grid's fields) -> a study of the world with every reference, whose models are a file each: nothing opens them."""
    monkeypatch.chdir(tmp_path)
    for name in ("turbo", "one", "two", "vlm", "base"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "x.safetensors").write_text(name)
    models = {"model": "models/turbo", "vlm": "models/vlm", "base": "models/base"}
    entries = {"dopsd_wrong": {"like": "dopsd", "shown": "another"}, "sft_twin": {"like": "sft"}}
    entries |= {"sft_long": {"like": "sft", "train": {"steps": 90}}}
    asked = {"new": 2, "ordinary": 8, "also_said": CHANCES[1:]}
    small = params.model_copy(
        update={
            "backbone": params.backbone.model_copy(update=models),
            "prompts": params.prompts.model_copy(update=asked),
            "methods": params.methods | entries,
        }
    )
    every = {"references": ("untouched", "described", "teacher", "base", "again"), "seeds": (0, 1)}
    every |= {"concepts": ("beacon", "pebble"), "turbos": ("models/one", "models/two")}

    def build(backbone=None, step_size=None, **fields) -> Study:
        changed = small.model_copy(
            update={
                "grid": small.grid.model_copy(update=every | fields),
                "backbone": small.backbone.model_copy(update=backbone or {}),
                "step_size": small.step_size.model_copy(update=step_size or {}),
            }
        )
        for concept in fetched(changed):
            if not paths.concept_set(concept).exists():
                write_concept(concept, changed.fetch, paths.concept_set(concept))
        for file, mine in written(changed, None).items():
            rows.write(mine, file)
        return Study(changed, tmp_path / "store")

    return build


def training(study, who, concept="beacon", seed=0):
    """-> its key, and what its worker is given."""
    key, (_, arguments) = study._training(who, concept, seed, 1e-3)
    return key, arguments


def drawing(study, who, concept="beacon", seed=0, weights=None):
    cell = Cell(who, concept, seed)
    key, (_, arguments) = study._drawing(weights, cell, study.todo(cell))
    return key, dict(zip(("model", "at", "rows", "items", "seed", "told", "todo"), arguments, strict=False))


def test_a_seeds_cells_are_trained_and_drawn_with_its_own_transformer(built, tmp_path):
    (tmp_path / "models/copy").mkdir()
    (tmp_path / "models/copy/x.safetensors").write_text("two")  # another name, the same weights
    two, same, copied = built(), built(turbos=("models/one",) * 2), built(turbos=("models/one", "models/copy"))
    none = built(turbos=())
    assert [training(two, "sft", seed=s)[1][0].transformer for s in (0, 1)] == ["models/one", "models/two"]
    assert [drawing(two, "untouched", seed=s)[1]["model"].transformer for s in (0, 1)] == ["models/one", "models/two"]
    assert training(none, "sft")[1][0].transformer is None and two.model(100).transformer is None
    for what in (training, drawing):
        for who in ("dopsd",) if what is training else ("untouched", "again", "described", "teacher"):
            first, second = ([what(study, who, seed=s)[0] for s in (0, 1)] for study in (two, same))
            assert first[0] == second[0] and first[1] != second[1]
            assert what(copied, who, seed=1)[0] == first[1]
    for study in (two, same):
        assert drawing(study, "base", seed=1)[1]["model"].transformer == "models/base"
    assert drawing(two, "base", seed=1)[0] == drawing(same, "base", seed=1)[0]
    (tmp_path / "models/one/x.safetensors").write_text("trained anew")
    again = built()
    assert [training(again, "sft", seed=s)[0] == training(two, "sft", seed=s)[0] for s in (0, 1)] == [False, True]


def test_again_answers_the_same_prompts_from_other_noise_that_a_scenes_kinds_share(built):
    study = built()
    (k, plain), (other_k, other) = drawing(study, "untouched"), drawing(study, "again")
    assert k != other_k and other["told"] == plain["told"] == "said" and other["todo"] == plain["todo"]
    assert not {r.noise for r in plain["rows"]} & {r.noise for r in other["rows"]}
    same = {"noise": 0}
    assert [r.model_copy(update=same) for r in plain["rows"]] == [r.model_copy(update=same) for r in other["rows"]]
    partners = [{r.noise: mine.noise for r, mine in zip(plain["rows"], other["rows"], strict=True)}, {}]
    for r, mine in zip(plain["rows"], other["rows"], strict=True):
        assert partners[0][r.noise] == mine.noise  # of every kind and openness
    assert len(set(partners[0].values())) == len(partners[0]) < len(plain["rows"])


def test_what_rows_without_training_are_given(built):
    study, told = built(), {}
    for who in study.params.grid.references:
        _, given = drawing(study, who)
        told[who] = given["told"], {(s.kind, s.chance) for s in given["todo"]}, {s.nfe for s in given["todo"]}
        assert given["at"] == {} and {s.step for s in given["todo"]} == {0}
        assert len(given["items"]) == study.params.fetch.images
    new, ordinary = ({(kind, p) for p in CHANCES} for kind in (NEW, ORDINARY))
    every = new | ordinary | {(NAMELESS, None), (OTHER, None)}
    assert told["untouched"] == told["base"] == told["again"] == ("said", every, {1, 2, 4, 8})
    assert told["described"] == ("described", new, {4, 8}) and told["teacher"] == ("seen", new, {4})


def test_how_the_teacher_sees_is_its_own_drawings_business(built):
    one, other = built(), built(backbone={"teacher_layer": -3})
    moved = {w for w in one.params.grid.references if drawing(one, w)[0] != drawing(other, w)[0]}
    assert moved == {"teacher"}


def test_another_openness_is_asked_of_trainings_at_the_last_step_in_few_steps(built, tmp_path):
    study = built()
    (tmp_path / "weights").mkdir()
    _, given = drawing(study, "sft", weights=tmp_path / "weights")
    other = [s for s in given["todo"] if s.chance is not None]
    assert {(s.step, s.nfe, s.guidance) for s in other} == {(40, 4, 0.0)}
    assert {(s.kind, s.chance) for s in other} == {(kind, p) for kind in (NEW, ORDINARY) for p in CHANCES[1:]}
    assert given["at"] == {s: tmp_path / "weights" / f"step-00{s}" for s in (10, 20, 40)}


def test_a_control_is_shown_the_next_concepts_pictures(built):
    study = built(trained=("sft", "dopsd", "dopsd_wrong"))
    assert training(study, "dopsd")[1][-1] is None
    assert training(study, "dopsd_wrong")[1][-1] == paths.concept_set("pebble") / "data.jsonl"
    assert training(study, "dopsd_wrong", "pebble")[1][-1] == paths.concept_set("beacon") / "data.jsonl"
    before = {m: training(study, m)[0] for m in study.methods}
    (paths.concept_set("pebble") / "more").touch()
    after = built(trained=("sft", "dopsd", "dopsd_wrong"))
    assert {m for m in before if training(after, m)[0] != before[m]} == {"dopsd_wrong"}


def test_a_methods_own_training_is_what_its_cells_run_and_what_is_counted(built):
    study = built(trained=("sft", "sft_long"))
    assert [training(study, m)[1][2].steps for m in study.methods] == [40, 90]
    assert [forwards(study, m) for m in study.methods] == [40 * 2 * 3, 90 * 2 * 3]
    assert {s.step for s in study.todo(Cell("sft_long", "beacon", 0))} == {10, 20, 90}


def test_a_look_without_words_is_not_described_and_is_scored_as_a_look(built, tmp_path):
    study = built(concepts=("beacon", "riso"))
    cells = scored(study.params.grid)
    assert {c.concept for c in cells if c.method == "described"} == {"beacon"}
    assert {c.method for c in cells if c.concept == "riso"} == {*study.params.grid.methods} - {"described"}
    (tmp_path / "drawn").mkdir()
    drawn = Drawn(tmp_path / "drawn", [])
    own = {c: study._scoring([drawn], drawn, c, 0)[1][1][5] for c in ("beacon", "riso")}
    assert own == {"beacon": CONCEPTS["beacon"].attributes, "riso": {"look": "riso"}}


def test_cells_are_held_against_the_untouched_models_ordinary_prompts_of_their_concept(built, monkeypatch):
    study, found = built(), {}
    for cell in scored(study.params.grid):
        paths.samples(*cell).mkdir(parents=True)
    monkeypatch.setattr(study, "_scoring", lambda drawn, plain, *of: (drawn, plain))
    monkeypatch.setattr(study, "_published", lambda what, cells, *_: found.update(cells) or {})
    with pytest.raises(ValueError, match="No objects to concatenate"):
        study.evaluate()
    untouched = paths.samples("untouched", "beacon", 1)
    for who in study.params.grid.methods:
        drawn, plain = found[Cell(who, "beacon", 1)]
        assert plain.folder == untouched and {s.kind for s in plain.todo} == {ORDINARY}
        assert {s.chance for s in plain.todo} == set(CHANCES)
        folders = [paths.samples(who, "beacon", 1)] + ([untouched] if who == "described" else [])
        assert [d.folder for d in drawn] == folders


def test_a_search_runs_over_its_concepts_and_over_methods_that_are_set_up_alike(built, monkeypatch, tmp_path):
    asked = {"concepts": ("medal", "tapestry"), "candidates": (1e-3, 1e-2), "same": {"dopsd": "sft"}}
    study, ran = built(trained=("sft", "sft_twin", "dopsd"), step_size=asked), []

    def searched(candidates):
        ran.extend(candidates.values())
        return {k: [{"step": 40, "fidelity": c[1], "retention": 1.0, "binding": None}] for k, c in candidates.items()}

    monkeypatch.setattr(study, "_searched", searched)
    table = study.search(tmp_path / "none.csv")
    assert {(c.concept, c.seed, rate) for c, rate in ran} == {
        (concept, study.params.step_size.seed, rate) for concept in asked["concepts"] for rate in asked["candidates"]
    }
    assert len(ran) == 4  # the twin's are the same
    assert list(table) == COLUMNS and len(table) == 8 and set(table.method) == {"sft", "sft_twin"}
    chosen = choose(table, {}, study.params.step_size.same)
    assert {m: c["value"] for m, c in chosen.items()} == dict.fromkeys(("sft", "sft_twin", "dopsd"), 1e-2)
    table.to_csv(tmp_path / "kept.csv", index=False)
    renamed = built(trained=("sft_twin", "dopsd"), step_size=asked | {"same": {"dopsd": "sft_twin"}})
    monkeypatch.setattr(renamed, "_searched", lambda candidates: {} if not candidates else pytest.fail("it is kept"))
    only = table[table.method == "sft"]
    only.to_csv(tmp_path / "old.csv", index=False)
    assert set(renamed.search(tmp_path / "old.csv").method) == {"sft_twin"}


def test_a_search_draws_what_its_concept_is_asked_and_nothing_else(built, monkeypatch, tmp_path):
    """A domain's name is in no prompt: there is nothing to draw without it."""
    asked = {"concepts": ("medal", "tapestry"), "candidates": (1e-3,)}
    study, drawn = built(trained=("sft",), step_size=asked), {}
    mine = [r for r in rows.read(paths.prompts("medal")) if r.kind != NAMELESS]
    rows.write(mine, paths.prompts("medal"))
    study = Study(study.params, tmp_path / "store")

    def run(what, jobs):
        if what == "step_size draw":
            drawn.update(jobs)
            raise KeyboardInterrupt
        return dict.fromkeys(jobs, tmp_path)

    monkeypatch.setattr(study, "_run", run)
    with pytest.raises(KeyboardInterrupt):
        study.search(tmp_path / "none.csv")
    trained = {items[0].file.parts[-3]: todo for _, (_, at, _, items, *_, todo, _, _) in drawn.values() if at}
    assert {s.kind for s in trained["medal"]} == {NEW, ORDINARY}
    assert {s.kind for s in trained["tapestry"]} == {NEW, NAMELESS, ORDINARY}
    with pytest.raises(UserError, match=r"medal\.jsonl: no prompts of kind nameless; run `dvc repro prompts`"):
        study._drawing(None, Cell("untouched", "medal", study.params.step_size.seed), [Sheet(0, NAMELESS, 4)])


REMEDIES = ("sft", "base_lora", "pso", "distill_adapter", "repair_lora")


def test_a_method_on_the_base_trains_it_and_one_that_draws_trains_the_seeds_own_model(built, tmp_path):
    study = built(trained=REMEDIES)
    assert training(study, "base_lora", seed=1)[1][0].transformer == "models/base"
    assert training(study, "pso", seed=1)[1][0].transformer == "models/two"
    before = {who: training(study, who)[0] for who in REMEDIES}
    (tmp_path / "models/base/x.safetensors").write_text("another base")
    after = built(trained=REMEDIES)
    assert [who for who in REMEDIES if training(after, who)[0] != before[who]] == ["base_lora"]


def test_an_adapter_is_made_once_for_each_few_step_model_and_only_for_trainings_that_are_to_run(built, monkeypatch):
    study, ran = built(trained=REMEDIES), []
    monkeypatch.setattr(study, "_run", lambda what, jobs: ran.append((what, list(jobs))))
    cells = {c: training(study, *c) for c in trained(study.params.grid) if c.method == "distill_adapter"}
    places = {c: arguments[8] for c, (_, arguments) in cells.items()}
    assert len(cells) == 4 and len(set(places.values())) == 2  # two concepts share what each turbo has
    assert {places[c] for c in cells if c.seed == 0}.isdisjoint({places[c] for c in cells if c.seed == 1})
    study._make_adapters({k: None for k, _ in cells.values()})
    ((what, jobs),) = ran
    assert what == "adapters" and {study.store.place(k) for k in jobs} == set(places.values()) and len(jobs) == 2
    for key, _ in cells.values():
        study.store.put(key, write("done", study.store.work(key), "cpu"))
    study._make_adapters({k: None for k, _ in cells.values()})
    assert len(ran) == 1
    other = {training(study, "repair_lora", seed=0)[1][8], training(study, "distill_adapter", seed=0)[1][8]}
    assert len(other) == 2 and training(study, "pso")[1][8] is None


def test_texts_of_a_models_own_pictures_are_no_prompts_of_a_cell(built):
    study = built()
    texts = ordinary_texts(study.params, 16)
    asked = {r.text for c in ("beacon", "pebble") for s in (0, 1) for r in study.rows(c, s) if r.kind == ORDINARY}
    assert len(texts) == 16 and len(set(texts) - asked) > 8
