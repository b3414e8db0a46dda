"""The evaluation against a model that is known to be perfect, blurred, or copying: the scores have to say so."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from dopsd.config.study import Evaluate
from dopsd.evaluation import by_world, rows, scores
from dopsd.evaluation.drawing import Asked
from dopsd.evaluation.instruments import Panel, world_frechet
from dopsd.evaluation.rows import NAMELESS, NEW, ORDINARY, REFERENCE, REWRITE, of_kind
from dopsd.evaluation.scores import Cell, Drawn, score_cell
from dopsd.evaluation.sheets import Sheet, along, files, keep, kept
from dopsd.report import cells
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.support.pictures import contact_sheet, from_pil, tiles
from dopsd.world.concepts import load_training, write_concept_set
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import render

SETTINGS = Evaluate(nfe=(2, 3), nfe_sweep=(1, 2, 3), batch_size=5)
INSTRUMENTS = {
    "reader": {"model": "none"},
    "sharpness": {},
    "mini_clip": {"model": "none"},
    "frechet": {"features": "reader"},
    "kid": {"features": "reader"},
    "world_frechet": {"features": "reader", "renders": 12},
}


class Painter:
    """A backbone whose context is the picture to be drawn: its velocity field leads straight to it from any noise."""

    device = torch.device("cpu")

    def __init__(self, asked, change=lambda images: images):
        pictures = change(render(by_world.scenes_of(asked)))
        self.pictures = {r.text: p for r, p in zip(asked, pictures, strict=True)}

    def latent_shape(self, height, width):
        return 3, height, width

    def step_grid(self, steps, size=None):
        return torch.linspace(0, 1, steps + 1)

    def context(self, texts, images=None, references=None):
        return [self.pictures[t] for t in texts]

    def velocity(self, x_t, t, context):
        return (torch.stack(context) - x_t) / (1 - t[:, None, None, None])

    def decode(self, latents):
        return latents.clamp(-1, 1)


class Oracle:
    """Reads a picture as the known scene that it is nearest to."""

    def __init__(self, asked):
        scenes = by_world.scenes_of(asked)
        self.images, self.attributes = self.features(render(scenes)), scenes.attributes

    def features(self, images):
        return F.avg_pool2d(images, 16).flatten(1)

    def read(self, images):
        return self.attributes[torch.cdist(self.features(images), self.images).argmin(1)]


class Eyes:
    def image_features(self, images):
        return F.normalize(F.avg_pool2d(images, 8).flatten(1), dim=1)

    def text_features(self, texts):
        return F.normalize(torch.randn(len(texts), 192, generator=torch.Generator().manual_seed(0)), dim=1)


def panel(asked) -> Panel:
    """The study's instruments, with an oracle in the place of the reader and plain pixels in the CLIP's."""
    made = Panel(INSTRUMENTS, torch.device("cpu"), "a test")
    for name, attribute, eye in (("reader", "reader", Oracle(asked)), ("mini_clip", "clip", Eyes())):
        instrument = object.__new__(made.kinds[name])
        setattr(instrument, attribute, eye)
        instrument.device = made.device
        made._open[name] = instrument
    world_frechet.held_out.cache_clear()  # it keeps features, of the reader that saw it last
    return made


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A concept's set, its prompts, and what the untouched, perfect model drew of the ordinary ones."""
    folder = tmp_path_factory.mktemp("study")
    write_concept_set("beacon", folder / "beacon", 3, 0)
    asked = by_world.for_concept("beacon", 4, 2, 0, load_training(folder / "beacon").attributes, 1.0)
    asked = [*asked, *by_world.ordinary("beacon", 10, 0, 0.8)]
    plain = [Sheet(0, ORDINARY, nfe) for nfe in (1, 2, 3)]
    items, own = read_set(folder / "beacon" / "data.jsonl"), CONCEPTS["beacon"].attributes
    out = SimpleNamespace(asked=asked, items=items, own=own, plain=Drawn(folder / "plain", plain), folder=folder)
    draw(out, Painter(asked), plain, out.plain.folder)
    return out


def draw(study, backbone, todo, folder):
    for sheet in todo:
        mine = of_kind(study.asked, sheet.kind)
        keep(Asked.of(backbone, mine).drawn(backbone, sheet.nfe, sheet.guidance, 5), folder, sheet, mine)


def cell(study, *drawn: Drawn) -> Cell:
    return Cell(drawn, study.plain, study.asked, 0, study.items, study.own)


def run(study, backbone, steps, folder, every_nfe=False) -> pd.DataFrame:
    todo = along(SETTINGS, steps, (NEW, ORDINARY), every_nfe)
    draw(study, backbone, todo, folder)
    return score_cell(cell(study, Drawn(folder, todo)), panel(study.asked), True)


def flat(study, table) -> dict[int, dict[str, float]]:
    """As the report reads it, with the untouched model's rows beside it."""
    before = score_cell(cell(study, study.plain), panel(study.asked), True).assign(method="untouched")
    both = pd.concat([before, table.assign(method="mine")]).assign(concept="beacon", seed=0)
    return cells.flat(both, 2, 3)["mine", "beacon", 0]


def test_what_a_cell_draws():
    every = [Sheet(s, NEW, 2) for s in (1, 9)] + [Sheet(s, ORDINARY, n) for s in (1, 9) for n in (2, 3)]
    assert sorted(along(SETTINGS, [1, 9], (NEW, ORDINARY), True)) == sorted(
        [*every, Sheet(9, NEW, 3), Sheet(9, ORDINARY, 1)]
    )
    assert Sheet(9, ORDINARY, 1) not in along(SETTINGS, [1, 9], (NEW, ORDINARY), False)
    assert along(SETTINGS, [1, 9], (NEW, REWRITE), True) == [*every[:2], Sheet(9, REWRITE, 2), Sheet(9, NEW, 3)]


def test_another_openness_is_drawn_at_the_last_step_only_and_in_few_steps():
    plain = along(SETTINGS, [1, 9], (NEW, NAMELESS, ORDINARY), True)
    asked = along(SETTINGS, [1, 9], (NEW, NAMELESS, ORDINARY), True, (0.5, 1.0))
    assert asked[: len(plain)] == plain
    assert asked[len(plain) :] == [Sheet(9, kind, 2, chance=p) for p in (0.5, 1.0) for kind in (NEW, ORDINARY)]
    assert (
        len({s.name for s in asked}) == len(asked) and Sheet(9, NEW, 2, chance=0.5).name == "step-0009/new-2-said-0.5"
    )
    assert [s.kind for s in along(SETTINGS, [9], (NEW,), True, (0.5,)) if s.chance] == [NEW]


def test_many_steps_are_drawn_at_the_checkpoints_that_are_named_and_at_the_last():
    def many(**changes):
        of = SETTINGS.model_copy(update=changes)
        return [(s.step, s.kind) for s in along(of, [1, 5, 9], (NEW, ORDINARY), False) if s.nfe == of.many]

    assert many() == [(9, NEW), (1, ORDINARY), (5, ORDINARY), (9, ORDINARY)]
    assert many(many_at=(5, 7)) == [(9, NEW), (5, ORDINARY), (9, ORDINARY)]
    assert many(many_at=()) == [(9, NEW), (9, ORDINARY)]


def test_a_score_says_of_which_openness_it_is_and_is_held_against_the_same(study, tmp_path):
    """The untouched model is grey where all is said: what is drawn there is held against grey, all else against its own."""
    more = by_world.ordinary("beacon", 10, 0, 1.0, 1.0)
    both = SimpleNamespace(**vars(study) | {"asked": [*study.asked, *more]})
    usual, other = Sheet(0, ORDINARY, 2), Sheet(0, ORDINARY, 2, chance=1.0)
    grey, sharp = Painter(more, lambda images: images * 0.5), Painter(study.asked)
    for sheet, painter in ((usual, sharp), (other, grey)):
        mine = of_kind(both.asked, ORDINARY, chance=sheet.chance)
        keep(Asked.of(painter, mine).drawn(painter, 2, 0.0, 5), tmp_path, sheet, mine)
    drawn = Drawn(tmp_path, [usual, other])
    table = score_cell(replace(cell(both, drawn), plain=drawn), panel(both.asked), True)
    assert sorted(set(table.said.dropna())) == [1.0] and table.said.isna().sum() * 2 == len(table)
    whole = table[(table.score == "retention_frechet") & (table.group == "")]
    assert len(whole) == 2 and whole.value.tolist() == pytest.approx([0, 0], abs=1e-3)
    each = table[(table.score == "adherence") & (table.said == 1.0)]
    assert list(each.prompt) == [r.id for r in more]


def test_an_instrument_that_says_nothing_of_a_concept_leaves_no_row(study):
    silent = panel(study.asked)
    opened = silent.opened("reader")
    silent._open["reader"] = SimpleNamespace(
        score=lambda name, view: None if name == "adherence" else opened.score(name, view),
        reader=opened.reader,
        features=opened.features,
        images=opened.images,
    )
    scored = set(score_cell(cell(study, study.plain), silent, True).score)
    assert "adherence" not in scored and "leakage" in scored


def test_kept_pictures_are_those_that_were_drawn(study, tmp_path):
    mine = of_kind(study.asked, NEW)
    images = [from_pil(i.image()) for i in study.items][:1] * len(mine)
    keep(images, tmp_path, Sheet(3, NEW, 4, 1.5), mine)
    assert [f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*.png")] == ["step-0003/new-4-g1.5.png"]
    assert all(torch.equal(a, b) for a, b in zip(kept(tmp_path, Sheet(3, NEW, 4, 1.5), mine), images, strict=True))
    with pytest.raises(UserError, match=r"new-8\.png: missing; run `dvc repro draw`"):
        kept(tmp_path, Sheet(3, NEW, 8), mine)


def test_large_pictures_and_those_of_other_sizes_have_files_of_their_own(study, tmp_path):
    row = of_kind(study.asked, NEW)[0]
    sizes = [(1024, 1024), (64, 32), (1024, 1024), (64, 32)]
    mine = [row.model_copy(update={"id": str(i), "height": h, "width": w}) for i, (h, w) in enumerate(sizes)]
    images = [torch.rand(3, h, w, generator=torch.Generator().manual_seed(i)) for i, (h, w) in enumerate(sizes)]
    keep(images, tmp_path, Sheet(0, NEW, 8), mine)
    parts = [(f.relative_to(tmp_path).as_posix(), ks) for f, ks in files(tmp_path, Sheet(0, NEW, 8), mine)]
    assert parts == [(f"step-0000/new-8/{i:03d}.png", ks) for i, ks in enumerate(([0], [2], [1, 3]))]
    again = kept(tmp_path, Sheet(0, NEW, 8), mine)
    assert all(torch.allclose(a, b, atol=0.01) for a, b in zip(again, images, strict=True))


def test_a_perfect_model_scores_full_marks(study, tmp_path):
    table = run(study, Painter(study.asked), [10, 20], tmp_path, every_nfe=True)
    assert list(table) == scores.COLUMNS and set(table.score[table.value.isna()]) <= {"leakage_named", "leakage_open"}
    by_step = flat(study, table)
    assert list(by_step) == [10, 20]
    assert {n.split("@")[1] for n in by_step[20] if "@" in n} == {"1", "2", "3"}
    scene = by_step[20]
    for name in ("concept_fidelity", "adherence", "style"):
        assert scene[name] == 1.0
    assert scene["sharpness"] == pytest.approx(1, abs=0.01)
    assert scene["diversity"] == pytest.approx(0, abs=1e-5)
    assert scene["copying"] == pytest.approx(scene["copying_renders"], abs=1e-3)
    assert scene["retention_frechet@2"] == pytest.approx(0, abs=1e-3)
    assert scene["retention_adherence@2"] == scene["retention_sharpness@2"] == pytest.approx(1, abs=1e-3)
    for step in (10, 20):
        assert by_step[step]["few_step_sharpness"] == pytest.approx(1, abs=1e-3)


def test_every_picture_has_its_row_and_sets_have_their_blocks(study, tmp_path):
    table = run(study, Painter(study.asked), [10], tmp_path)
    each = table[(table.score == "adherence") & (table.kind == NEW) & (table.nfe == 2)]
    assert list(each.prompt) == [r.id for r in of_kind(study.asked, NEW)] and list(each.group) == list("00112233")
    whole = table[(table.score == "retention_frechet") & (table.nfe == 2)]
    assert list(whole.group) == ["", *(f"without {b}" for b in range(8))] and set(whole.prompt) == {""}
    plain = cell(study, study.plain)
    with_blocks, without = (score_cell(plain, panel(study.asked), blocks) for blocks in (True, False))
    pd.testing.assert_frame_equal(
        with_blocks[~with_blocks.group.str.startswith("without")].reset_index(drop=True), without
    )


def test_blur_shows_in_sharpness_and_retention(study, tmp_path):
    blurred = Painter(study.asked, lambda images: F.avg_pool2d(images, 5, stride=1, padding=2))
    row = flat(study, run(study, blurred, [10], tmp_path))[10]
    assert row["sharpness"] < 0.5 and row["retention_sharpness@2"] < 0.5
    assert row["retention_frechet@2"] > 1e-3


def test_collapse_in_few_steps_shows_in_the_gap(study, tmp_path):
    sharp, blurred = (
        Painter(study.asked, change) for change in (lambda x: x, lambda x: F.avg_pool2d(x, 5, stride=1, padding=2))
    )
    todo = along(SETTINGS, [10], (NEW, ORDINARY), False)
    for sheet in todo:
        draw(study, blurred if sheet.nfe == 2 else sharp, [sheet], tmp_path)
    row = flat(study, score_cell(cell(study, Drawn(tmp_path, todo)), panel(study.asked), True))[10]
    assert row["few_step_sharpness"] < 0.5


def test_copying_a_training_picture_is_seen(study, tmp_path):
    picture = from_pil(study.items[0].image())
    copy = Painter(study.asked, lambda images: picture.expand_as(images))
    row = flat(study, run(study, copy, [10], tmp_path))[10]
    assert row["copying"] == pytest.approx(1, abs=1e-4) and row["copying"] > row["copying_renders"]


def test_reference_rows_are_what_sets_are_held_against(study, tmp_path):
    """With ordinary prompts from other noise, the untouched model's own distance is no longer zero."""
    other = [r.model_copy(update={"id": f"x{r.id}", "kind": REFERENCE}) for r in of_kind(study.asked, ORDINARY)]
    with_reference = SimpleNamespace(**vars(study) | {"asked": [*study.asked, *other]})
    grey = Painter(study.asked, lambda images: images * 0.5)
    draw(with_reference, grey, [Sheet(0, REFERENCE, 2)], tmp_path)
    draw(with_reference, Painter(study.asked), [Sheet(0, ORDINARY, 2)], tmp_path)
    plain = Drawn(tmp_path, [Sheet(0, ORDINARY, 2), Sheet(0, REFERENCE, 2)])
    table = score_cell(replace(cell(with_reference, plain), plain=plain), panel(study.asked), True)
    assert set(table.kind) == {ORDINARY}
    assert table[(table.score == "retention_frechet") & (table.group == "")].value.item() > 0.01


def test_a_reference_that_was_not_drawn_is_an_error(study, tmp_path):
    todo = [Sheet(10, ORDINARY, 7)]
    draw(study, Painter(study.asked), todo, tmp_path)
    with pytest.raises(UserError, match="no 7 NFE, which"):
        score_cell(cell(study, Drawn(tmp_path, todo)), panel(study.asked), True)


def test_a_contact_sheet_comes_apart_again():
    images = torch.rand(5, 3, 4, 2)
    sheet = contact_sheet(images, columns=3)
    assert sheet.shape == (3, 8, 6)
    assert torch.equal(tiles(sheet, 4, 2)[:5], images)
    assert (tiles(sheet, 4, 2)[5] == 1).all()


def test_rows_of_a_file_are_scored_as_those_in_memory(study, tmp_path):
    rows.write(study.asked, tmp_path / "prompts.jsonl")
    again = rows.read(tmp_path / "prompts.jsonl")
    assert torch.equal(render(by_world.scenes_of(again)), render(by_world.scenes_of(study.asked)))
