"""contexts.yaml: what it says, and what is refused."""

import pytest
import yaml

from dopsd.config import contexts
from dopsd.support.errors import UserError

TEXT, SEEN = {"label": "Text"}, {"label": "Seen", "sees": "training"}
TREE = {"student": "text", "teacher": "seen", "contexts": {"text": TEXT, "seen": SEEN}}


def load(tmp_path, tree):
    file = tmp_path / "contexts.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return contexts.load(file)


def test_a_context_says_the_prompt_and_sees_nothing_if_it_does_not_say_otherwise(tmp_path):
    found = load(tmp_path, TREE)
    assert (found.student, found.teacher, list(found.contexts)) == ("text", "seen", ["text", "seen"])
    assert [(c.says, c.sees, c.layer, c.vlm) for c in found.contexts.values()] == [
        ("prompt", None, None, None),
        ("prompt", "training", None, None),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": "txt"}, "student: 'txt' is none of contexts; did you mean"),
        ({"student": "seen"}, "student: 'seen' sees a picture"),
        ({"teacher": "text"}, "teacher: 'text' sees no picture"),
        ({"contexts": {"text": TEXT}}, "contexts"),
        ({"contexts": {"text": TEXT, "seen": SEEN | {"sees": "all"}}}, "contexts.seen.sees"),
        ({"contexts": {"text": TEXT | {"layer": -1}, "seen": SEEN}}, "layer and vlm are of a picture"),
        ({"contexts": {"text": TEXT | {"says": "nothing"}, "seen": SEEN}}, "says nothing and sees nothing"),
        ({"contexts": {"text": {}, "seen": SEEN}}, "contexts.text.label"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, said):
    with pytest.raises(UserError, match=r"contexts\.yaml") as error:
        load(tmp_path, TREE | changes)
    assert said in str(error.value)


def test_a_study_without_contexts_is_told_to_write_them(tmp_path):
    with pytest.raises(UserError, match=r"contexts\.yaml: missing; name the contexts"):
        contexts.load(tmp_path / "contexts.yaml")
