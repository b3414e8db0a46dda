"""What is seen beside a prompt, what of it is drawn, and what instruments say of pictures whose answer is known."""

from pathlib import Path

import pytest
import torch

from dopsd.evaluation import by_world, drawing, fidelity, leaks, seen
from dopsd.evaluation.instruments import blur
from dopsd.evaluation.instruments.reader import load_reader
from dopsd.evaluation.rows import NEW, of_kind
from dopsd.evaluation.seen import KNOWN, Seen
from dopsd.sets.jsonl import read_set
from dopsd.support.pictures import to_bytes, to_pil
from dopsd.world.concepts import load_training, write_concept_set
from dopsd.world.scenes import ATTRIBUTES, NAMES, index

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """{concept: (its set's folder, its training pictures, 12 rows of new scenes)} of two objects and a look."""
    out = {}
    for name in ("pebble", "comet", "riso"):
        folder = tmp_path_factory.mktemp(name)
        write_concept_set(name, folder, 4, 0)
        pictures = load_training(folder)
        rows = by_world.for_concept(name, 6, 2, 0, pictures.attributes, 0.15)
        out[name] = folder, pictures, of_kind(rows, NEW)
    return out


def beside(sets, sees, name="pebble", other="comet"):
    return seen.beside(sees, sets[name][2], sets[name][1], sets[other][1])


def test_the_teacher_sees_the_training_pictures_in_turn_as_the_row_teacher_does(sets):
    folder, pictures, rows = sets["pebble"]
    same = drawing._seen(rows, read_set(folder / "data.jsonl"))
    mine = beside(sets, "training")
    assert [to_pil(x).tobytes() for x in mine.images] == [image.tobytes() for image in same]
    assert torch.equal(mine.attributes, pictures.attributes[torch.arange(12) % 4])
    next_one = beside(sets, "next")
    assert torch.equal(next_one.images[:11], mine.images[1:]) and torch.equal(
        next_one.attributes[0], mine.attributes[1]
    )


def test_what_else_may_be_seen(sets):
    rows = sets["pebble"][2]
    target = beside(sets, "target")
    assert torch.equal(target.attributes, by_world.scenes_of(rows).attributes)
    other = beside(sets, "other")
    assert torch.equal(other.images, beside(sets, "training", "comet").images) and other.own["shape"] == "star"
    blank = beside(sets, "blank")
    assert len(to_bytes(blank.images).unique()) == 1
    for unseen in (blank, beside(sets, None)):  # held against what the teacher would have seen
        assert torch.equal(unseen.attributes, beside(sets, "training").attributes)


def test_what_the_training_pictures_share_is_the_concepts_own(sets):
    fixed = {a for a, varies in zip(NAMES, beside(sets, "training").varies.tolist(), strict=True) if not varies}
    assert fixed == {"shape", "colour", "texture", "outline", "style"}  # an object's pictures are all photos
    assert beside(sets, "target").varies.tolist() == beside(sets, "training").varies.tolist()


def attributes(**words):
    """(1, 9): the first value of each attribute, but for these."""
    known = {a: values[0] for a, values in ATTRIBUTES.items()} | words
    return torch.tensor([[index(a, known[a]) for a in NAMES]])


def mask(*names):
    return torch.tensor([[a in names for a in NAMES]])


def of(**words):
    picture = attributes(**words)
    return Seen(torch.zeros(1, 3, 64, 64), picture, mask("size", "position", "background")[0], {})


def test_a_leak_is_what_the_seen_picture_shows_and_the_prompt_leaves_open():
    read, wanted = attributes(size="large", position="left"), attributes(size="small", position="top")
    found = leaks.of_seen(read, wanted, mask("position"), of(size="large", position="left", background="banded"))
    values = {name: v.item() for name, v in found.items()}
    assert values["leaks_size"] == 1.0 and values["leaks_background"] == 0.0
    assert all(values[f"leaks_{a}"] != values[f"leaks_{a}"] for a in NAMES if a not in ("size", "background"))
    assert (values["overrules"], values["obeys"]) == (1.0, 0.0)  # of the position, which the prompt says otherwise
    found = leaks.of_seen(attributes(position="top"), wanted, mask("position"), of(position="left"))
    assert (found["overrules"].item(), found["obeys"].item()) == (0.0, 1.0)
    found = leaks.of_seen(read, wanted, mask(), of(position="left"))
    assert found["leaks_position"].item() == 1.0 and found["overrules"].isnan().all()  # nothing is said


def test_what_a_style_hides_is_no_leak():
    plain = attributes()
    for picture, read in ((of(style="sketch"), plain), (of(), attributes(style="sketch"))):
        found = leaks.of_seen(read, plain, mask(), picture)
        assert found["leaks_background"].isnan().all() and found["leaks_size"].item() == 1.0


@pytest.fixture(scope="module")
def read(sets):
    """{known pictures of the pebble: (the reader's attributes, contrast, blur)}."""
    reader, rows = load_reader(str(ROOT / "models/mini-reader"), torch.device("cpu")), sets["pebble"][2]
    out = {}
    for name in KNOWN:
        images = seen.known(name, rows, sets["comet"][2], sets["pebble"][1], sets["comet"][1])
        out[name] = reader.read(images), blur.contrast(images).mean(), reader.damages(images)[:, 0].mean()
    return out


def test_what_is_degraded_scores_as_it_must(sets, read):
    _, pictures, rows = sets["pebble"]
    wanted, stated = by_world.scenes_of(rows).attributes, by_world.stated(rows)
    shown = beside(sets, "training")

    def fidelity_of(name):
        return fidelity.concept_fidelity(read[name][0], wanted, pictures.concept.attributes).mean()

    def adherence(name):
        return fidelity.adherence(read[name][0], wanted, stated).mean()

    def leak(name):
        found = leaks.of_seen(read[name][0], wanted, stated, shown)
        values = torch.stack([v for k, v in found.items() if k.startswith("leaks_")])
        return values[~values.isnan()].mean()

    assert fidelity_of("renders") > 0.95 and fidelity_of("copies") > 0.95
    assert fidelity_of("swapped") < 0.1 and fidelity_of("noise") < 0.5
    assert adherence("renders") > 0.9 > 0.6 > adherence("copies")
    assert leak("copies") > 0.9 > 0.5 > leak("renders")
    assert read["fogged"][1] < 0.6 * read["renders"][1] and read["fogged"][2] > 1 > 0.3 > read["renders"][2]


def test_the_concept_that_is_shown_is_scored_whichever_is_asked_for(sets, read):
    other = beside(sets, "other")
    assert leaks.shown_fidelity(read["swapped"][0], other).mean() > 0.95
    assert leaks.shown_fidelity(read["renders"][0], other).mean() < 0.1


def test_a_look_without_words_is_seen_too(sets):
    look = beside(sets, "target", "riso")
    plain = beside(sets, None, "riso")
    assert look.images.shape == plain.images.shape and look.own == {}


def test_known_pictures_are_the_same_again_and_others_are_refused(sets):
    given = sets["pebble"][2], sets["comet"][2], sets["pebble"][1], sets["comet"][1]
    for name in KNOWN:
        assert torch.equal(seen.known(name, *given), seen.known(name, *given))
    with pytest.raises(ValueError, match="unknown pictures 'render'"):
        seen.known("render", *given)
