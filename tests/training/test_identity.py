"""Two trainings told apart in words, on plain values; test_resume.py has identities of real trainings."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from small import Model, picture

from dopsd.support.errors import UserError
from dopsd.training import identity, state
from dopsd.training.identity import LOG_FILE, Identity, begun, claim


def made(course="c", pictures=("p1 a", "p2 b"), settings=None, **train) -> Identity:
    parts = {"method": "sft", "settings": settings or {}, "train": {"steps": 6} | train, "seed": 0}
    return Identity(
        f"{course}-name", course, parts | {"learning_rate": 0.1, "backbone": {}, "pictures": list(pictures)}
    )


def test_a_difference_is_said_as_it_was_written_and_what_is_not_there_as_none():
    mine, theirs = made(settings={"said": "café", "old": None}), made(settings={"said": "naïve", "new": 2})
    assert mine.differences(theirs) == [
        'methods.sft.said "café" -> "naïve"',
        "methods.sft.old null -> none",
        "methods.sft.new none -> 2",
    ]


def test_a_picture_in_the_place_of_another_is_one_more_and_one_gone():
    assert made().differences(made(pictures=("p1 a", "p3 b"))) == ["1 pictures more", "1 pictures gone"]


@pytest.mark.parametrize(("many", "more"), [(identity.SHOWN, ""), (identity.SHOWN + 1, "; and 1 more")])
def test_of_many_differences_the_first_are_listed_and_the_others_counted(tmp_path, many, more):
    made().write(tmp_path)
    asked = made("another", **{f"field{i}": i for i in range(many)})
    listed = "; ".join(f"train.field{i} none -> {i}" for i in range(identity.SHOWN))
    with pytest.raises(UserError) as raised:
        identity.goes_on(tmp_path, asked)
    assert str(raised.value) == (
        f"{tmp_path}: a training with other settings ({listed}{more}) is there. Give its settings to go on with it, choose "
        f"another --out for a new one, or remove {tmp_path}"
    )


def test_a_finished_training_without_a_state_says_what_can_be_done(tmp_path):
    made().write(tmp_path)
    with pytest.raises(UserError) as raised:
        identity.goes_on(tmp_path, made(steps=9))
    assert str(raised.value) == (
        f"{tmp_path}: finished with 6 steps, and without a state to go on from; choose another --out, or remove it to train "
        "from the start"
    )


def test_all_that_a_result_depends_on_makes_another_training_and_another_course(train_settings, tmp_path):
    base = {
        "backbone": Model(dtype="x", device="cpu"),
        "items": [picture(tmp_path)],
        "method": tiny.method("dopsd"),
        "settings": train_settings,
        "seed": 3,
        "learning_rate": 0.01,
    }
    one = Identity.of(**base)
    others = [
        {"backbone": Model(dtype="y", device="cpu")},
        {"items": [picture(tmp_path, "b.png", "blue")]},
        {"method": tiny.method("off_policy")},
        {"method": tiny.method("dopsd", ema=0.123)},
        {"settings": train_settings.model_copy(update={"batch_size": 8})},
        {"seed": 4},
        {"learning_rate": 0.02},
    ]
    found = [one, *(Identity.of(**base | other) for other in others)]
    assert len({i.name for i in found} | {i.course for i in found}) == 2 * len(found)
    longer = Identity.of(**base | {"settings": train_settings.model_copy(update={"steps": 99, "checkpoints": (1,)})})
    assert longer.course == one.course and longer.name != one.name
    assert Identity.of(**base | {"backbone": Model(dtype="x", device="cuda")}) == one


def test_an_identity_is_written_for_people_and_a_broken_one_is_named(tmp_path):
    one = made(settings={"said": "café", "a": None})
    one.write(tmp_path)
    lines = (tmp_path / identity.FILE).read_text().splitlines()
    assert Identity.read(tmp_path) == one and lines[1] == ' "course": "c",' and lines[-2:] == [" }", "}"]
    assert '   "said": "café"' in lines and [n for n in lines if n.startswith('  "')] == sorted(
        n for n in lines if n.startswith('  "')
    )
    made("another").write(tmp_path)
    assert Identity.read(tmp_path).course == "another"
    (tmp_path / identity.FILE).write_text("[]")
    with pytest.raises(UserError, match=r"/identity\.json"):
        Identity.read(tmp_path)


def test_what_json_has_no_word_for_is_text(train_settings, tmp_path):
    model = Model(dtype=Path("x"))
    one = Identity.of(model, [picture(tmp_path)], tiny.method("sft"), train_settings, 3, 0.01)
    assert one.parts["backbone"] == {"quantize": "none", "dtype": "x"}


def left(work, which, *names) -> Path:
    """A training that has left something in a folder of `work`."""
    folder = work / which.name
    which.write(folder)
    for name in names:
        (folder / name).mkdir()
    return folder


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_training_of_more_steps_takes_over_what_one_of_its_course_has_left(tmp_path, exclusive):
    work = tmp_path / "deep" / "work"
    short = made()
    before = claim(work, short, exclusive)
    assert before == work / short.name and Identity.read(before) == short
    assert claim(work, short, exclusive) == begun(work, short, exclusive) == before  # it goes on where it is
    state.place(before, 4).mkdir()
    if not exclusive:
        left(work, made("another"), "step-0002")  # passed over
    left(work, replace(short, name=".aside"), "state-0000009")
    with pytest.raises(UserError) as raised:
        claim(work, replace(made(steps=3), name="shorter"), exclusive)
    assert str(raised.value) == (
        f"{before}: the training there is at step 4, beyond the 3 that are asked for: give at least 4 steps, choose another "
        f"--out, or remove {before}"
    )
    if exclusive:  # an ended one, too
        (before / LOG_FILE).touch()
    for steps in (4, 9):
        asked = replace(made(steps=steps), name=f"of {steps}")
        after = claim(work, asked, exclusive)
        assert after == work / asked.name and Identity.read(after) == asked and not before.exists()
        assert {f.name for f in after.iterdir()} == {identity.FILE, "state-0000004"}
        before = after


def test_what_has_ended_is_gone_on_from_only_where_there_is_one_training(tmp_path):
    ended = left(tmp_path, made(), "state-0000004")
    (ended / LOG_FILE).touch()
    longer = replace(made(steps=9), name="longer")
    assert begun(tmp_path, longer, False) is None and begun(tmp_path, longer, True) == ended


def test_checkpoints_without_a_state_are_in_the_way_and_a_folder_without_either_is_not(tmp_path):
    left(tmp_path, made("another"))
    assert begun(tmp_path, made(), True) is None
    (tmp_path / "another-name" / "step-0002").mkdir()
    with pytest.raises(UserError, match=r"/another-name: a training with other settings"):
        claim(tmp_path, made(), True)
