from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dopsd.evaluation.drawing import Asked, check_words, draw
from dopsd.evaluation.rows import Row
from dopsd.support.errors import UserError


class Constant:
    """A backbone whose velocity is what its context says, whatever the state; pictures are latents."""

    device = torch.device("cpu")

    def step_grid(self, steps, size):
        return torch.linspace(0, 1, steps + 1)

    def latent_shape(self, height, width):
        return 3, height // 16, width // 16

    def context(self, texts, images=None, references=None):
        given = references or [[] for _ in texts]
        return [len(t) / 100 + sum(r) for t, r in zip(texts, given, strict=True)]

    def velocity(self, x, t, context):
        return torch.tensor(context)[:, None, None, None].expand(x.shape)

    def decode(self, latents):
        return latents


def row(i: int, text: str, **changes) -> Row:
    return Row.model_validate(
        {"id": str(i), "kind": "new", "group": "0", "text": text, "height": 32, "width": 32, "noise": i} | changes
    )


def expected(asked: Row, shift: float) -> torch.Tensor:
    end = asked.start((3, asked.height // 16, asked.width // 16)) + shift
    return ((end.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def test_guidance_goes_beyond_what_the_empty_prompt_draws():
    asked = row(1, "x" * 10)
    plain = Asked.of(Constant(), [asked]).drawn(Constant(), 4, 0.0, 1)[0]
    assert torch.allclose(plain, expected(asked, 0.1), atol=1e-6)
    guided = Asked.of(Constant(), [asked], guided=True).drawn(Constant(), 4, 1.5, 1)[0]
    assert torch.allclose(guided, expected(asked, 0.1 + 1.5 * (0.1 - 0.0)), atol=1e-6)
    with pytest.raises(AssertionError, match="the empty prompt"):
        draw(Constant(), [0.1], asked.start((3, 2, 2))[None], 1, 1, guidance=1.5)


def test_pictures_of_several_sizes_are_drawn_each_from_its_noise():
    wanted = [row(0, "a"), row(1, "b" * 20, width=64), row(2, "c" * 30), row(3, "d", width=64)]
    images = Asked.of(Constant(), wanted).drawn(Constant(), 2, 0.0, 3)
    for r, image in zip(wanted, images, strict=True):
        assert torch.allclose(image, expected(r, len(r.text) / 100), atol=1e-6), r.id


def test_the_described_text_is_drawn_where_a_method_asks_for_it():
    known, unknown = row(0, "[V]", described="x" * 50), row(1, "[V]")
    image = Asked.of(Constant(), [known], told="described").drawn(Constant(), 1, 0.0, 1)[0]
    assert torch.allclose(image, expected(known, 0.5), atol=1e-6)
    with pytest.raises(UserError, match=r"prompt 1: described: missing"):
        Asked.of(Constant(), [known, unknown], told="described")


def test_an_edit_is_drawn_from_the_inputs_of_its_picture():
    def item(name, value):
        return SimpleNamespace(name=name, file=SimpleNamespace(name=name), inputs=("x",), references=lambda: [value])

    asked = Asked.of(Constant(), [row(0, "e", picture="b"), row(1, "e")], [item("a", 0.2), item("b", 0.4)])
    assert asked.contexts == pytest.approx([0.41, 0.01])


def test_a_model_that_has_seen_a_picture_sees_the_rows_own_or_one_after_another():
    class Seeing(Constant):
        def context(self, texts, images=None, references=None):
            return [image or 0.0 for image in images or [0.0] * len(texts)]

    def item(name, value):
        return SimpleNamespace(name=name, file=Path(name), inputs=(), image=lambda: value)

    items = [item("a", 0.1), item("b", 0.2), item("c", 0.3)]
    free, bound = [row(i, "x") for i in range(5)], [row(5, "x", picture="c"), row(6, "x", picture="a")]
    assert Asked.of(Seeing(), [*free, *bound], items, told="seen").contexts == [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1]
    assert Asked.of(Seeing(), free, items).contexts == [0.0] * 5


def tokenizer(unknown):
    class Words:
        unk_token_id = unknown

        def __call__(self, word):
            return SimpleNamespace(input_ids=[1 if word == "star" else 0])

        def get_vocab(self):
            return {"star": 1, "<unk>": 0}

    return Words()


def test_unknown_words_are_named_with_the_known_ones():
    check_words(tokenizer(0), "star star")
    with pytest.raises(UserError, match=r"no word for corgi, beach; it knows: star$"):
        check_words(tokenizer(0), "corgi star beach")


def test_a_tokenizer_without_an_unknown_token_takes_every_word():
    check_words(tokenizer(None), "corgi")
