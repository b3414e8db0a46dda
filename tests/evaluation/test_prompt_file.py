"""The prompts of a measurement."""

import pytest
from PIL import Image

from dopsd.evaluation import prompt_file
from dopsd.evaluation.prompt_file import NEW, REWRITE, Asked
from dopsd.sets.items import Item
from dopsd.support.errors import UserError


class Fake:
    """A VLM that answers as such models do, with numbers, quotes and a remark."""

    def __init__(self):
        self.asked = []

    def ask(self, pictures, question, tokens=128):
        self.asked.append((pictures, question))
        if "Write 4" in question:
            return 'Here they are:\n1. [V] in snow\n2) "[V] at sea"\n- [V] at night\n• “[V] asleep”\n5. [V] too much'
        return "[V] lying on the grass"


@pytest.fixture
def items(tmp_path):
    out = []
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{i}.png")
        captions = {"medium_en": "[V] on a lawn, in the sun", "short_en": "[V] outdoors", "short_zh": "户外"}
        out.append(Item(tmp_path / f"{i}.png", (32, 32), captions, "corgi"))
    return out


def test_a_vlm_writes_one_rewrite_and_four_new_prompts_a_picture(items):
    vlm = Fake()
    asked = prompt_file.by_vlm(vlm, items, 4)
    assert [a.kind for a in asked] == [REWRITE, NEW, NEW, NEW, NEW] * 2
    assert [a.picture for a in asked] == [0] * 5 + [1] * 5
    assert [a.text for a in asked[:5]] == [
        "[V] lying on the grass", "[V] in snow", "[V] at sea", "[V] at night", "[V] asleep"
    ]  # fmt: skip
    assert all("[V] outdoors" in question for _, question in vlm.asked)  # starts from the shortest caption with [V]


def test_too_few_prompts_are_an_error_with_a_remedy():
    with pytest.raises(UserError, match=r"a.png: the VLM wrote 1 prompts with \[V\] instead of 4.*prompts.jsonl"):
        prompt_file.lines("[V] in snow\na dog at sea", 4, "a.png")


def test_without_a_vlm_captions_and_previews_are_asked(items):
    asked = prompt_file.without_vlm(items, ("[V] in snow", "a street", "[V] at sea"), 4)
    assert asked[:3] == [
        Asked(0, "0.png", REWRITE, "[V] outdoors"),
        Asked(0, "0.png", NEW, "[V] in snow"),
        Asked(0, "0.png", NEW, "[V] at sea"),
    ]
    assert len(asked) == 6
    with pytest.raises(UserError, match=r"none holds \[V\]"):
        prompt_file.without_vlm(items, ("a street",), 4)


def test_prompts_are_kept_and_read_again(items, tmp_path):
    asked = [*prompt_file.without_vlm(items, ("[V] in snow",), 1), Asked(1, "1.png", NEW, "[V] 在雪中\u2028")]
    prompt_file.save(asked, tmp_path / "prompts.jsonl")
    file = tmp_path / "prompts.jsonl"
    file.write_text(file.read_text() + "\n\n")  # as an editor leaves it
    assert prompt_file.read(file, items) == asked
    with pytest.raises(UserError, match=r"picture 0 was 0.png, now it is 1.png; delete the file"):
        prompt_file.read(file, items[::-1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", ":1: give"),
        ('{"picture": 0, "file": "0.png", "kind": "other", "text": "[V]"}', ":1: kind must be"),
        ('{"picture": 7, "file": "0.png", "kind": "new", "text": "[V]"}', "the set has 2"),
        ('{"picture": 0, "file": "0.png", "kind": "new", "text": " "}', "must not be empty"),
        ('{"picture": 0, "file": "0.png", "kind": "new", "text": "[V]"}', "no prompt of kind rewrite"),
    ],
)
def test_a_broken_file_is_named_with_its_line(text, said, tmp_path, items):
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        prompt_file.read(file, items)
