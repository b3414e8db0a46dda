"""Prompts for a set of pictures: for each one rewrite of its caption and some new ones, written by a VLM, or without one.

As the paper's release does (arXiv 2605.05204): a rewrite is compared with its picture, new prompts ask for the concept
elsewhere. Ordinary prompts come from a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from PIL.Image import Image

from dopsd.config.study import Prompts
from dopsd.evaluation.rows import NEW, ORDINARY, PLACEHOLDER, REFERENCE, REWRITE, Row
from dopsd.sets.items import Item
from dopsd.support import seeds
from dopsd.support.errors import UserError
from dopsd.support.text import read_lines

Ask = Callable[[Sequence[Image], str, int], str]  # pictures, a question, how many tokens -> a VLM's answer
ASK_REWRITE = (
    'A caption of this picture is: "{caption}"\nSay the same in other words, as one line that an image generator could draw '
    "the picture from. Call the main subject [V], as the caption does. Answer with that line only."
)
ASK_NEW = (
    'A caption of this picture is: "{caption}"\nWrite {n} prompts for new pictures of [V] in other places, doing other '
    "things, in other light. One a line, each with [V] in it. Answer with those lines only."
)
LISTS = ("everyday", "world")  # that come with the package
MARK = re.compile(r"^\s*(?:[-*•]|\d+[.):])?\s*")


def lines(said: str, n: int, where: str) -> list[str]:
    """The first n lines of an answer that hold "[V]", without marks and quotes; UserError where there are fewer."""
    out = [MARK.sub("", line).strip().strip('"“”').strip() for line in said.splitlines()]
    out = [line for line in out if PLACEHOLDER in line][:n]
    if len(out) < n:
        raise UserError(
            f"{where}: the VLM wrote {len(out)} prompts with [V] instead of {n}: {said[:200]!r}; write the prompts' file by "
            "hand, or set prompts.source to captions"
        )
    return out


def caption_of(item: Item) -> str:
    """The caption that a rewrite starts from: the shortest one that names "[V]", else the shortest."""
    return min(item.captions.values(), key=lambda text: (PLACEHOLDER not in text, len(text)))


def by_vlm(ask: Ask, items: Sequence[Item], new: int) -> list[tuple[str, list[str]]]:
    """One rewrite and `new` new prompts for each picture."""
    out = []
    for item in items:
        image, caption, where = item.image(), caption_of(item), str(item.file)
        (rewrite,) = lines(ask([image], ASK_REWRITE.format(caption=caption), 128), 1, where)
        said = ask([image], ASK_NEW.format(caption=caption, n=new), 80 * new)
        out.append((rewrite, lines(said, new, where)))
    return out


def by_captions(items: Sequence[Item], prompts: Sequence[str], new: int) -> list[tuple[str, list[str]]]:
    """Each picture's own caption in place of a rewrite, and the first `new` of the prompts that name "[V]"."""
    fresh = [p for p in prompts if PLACEHOLDER in p][:new]
    if not fresh:
        raise UserError("prompts.given: none holds [V], so there are no new prompts to draw; write one that does")
    return [(caption_of(item), fresh) for item in items]


def written(items: Sequence[Item], wanted: Prompts, ask: Ask | None) -> list[tuple[str, list[str]]]:
    """For each picture a rewrite and its new prompts, as the section `prompts` says; ask: the VLM, of source vlm. In the
    editing task an instruction is said as it is, and there are no new ones: of these the result is not known."""
    if any(i.inputs for i in items):
        return [(caption_of(i), []) for i in items]
    if wanted.source == "vlm":
        assert ask is not None, "source vlm comes with a VLM"
        return by_vlm(ask, items, wanted.new)
    return by_captions(items, wanted.given, wanted.new)


def for_concept(
    name: str, items: Sequence[Item], written: Sequence[tuple[str, list[str]]], noises: int, seed: int
) -> list[Row]:
    """The rows of a concept: for picture i a rewrite and its new prompts, at the picture's size, from `noises` noises each.

    Noise number k of picture i has the seed of the paper's release, seed + 100 i + k.
    """
    out = []
    for i, (item, (rewrite, fresh)) in enumerate(zip(items, written, strict=True)):
        for k, (kind, text) in enumerate([(REWRITE, rewrite), *((NEW, t) for t in fresh)] * noises):
            row = {"id": f"{name}/{item.name}/{kind}/{k}", "kind": kind, "group": item.name, "text": text}
            row |= {"described": text.replace(PLACEHOLDER, item.class_name), "picture": item.name}
            row |= {"height": item.size[0], "width": item.size[1], "noise": seed + 100 * i + k}
            out.append(Row.model_validate(row))
    return out


def listed(name: str, n: int) -> list[str]:
    """The first n lines of a list that comes with the package ("everyday", "world"), or of a .txt file."""
    known = resources.files("dopsd") / "presets" / "prompts"
    if name.endswith(".txt"):
        file = Path(name)
    elif name in LISTS:
        file = Path(str(known / f"{name}.txt"))
    else:
        raise UserError(f"prompts.ordinary_list: {name!r}: no such list; choose {', '.join(LISTS)} or a .txt file")
    lines = [line for _, line in read_lines(file)]
    if len(lines) < n:
        raise UserError(f"prompts.ordinary_list: {name!r} has {len(lines)} prompts, fewer than prompts.ordinary {n}")
    return lines[:n]


def ordinary(texts: Sequence[str], side: int, seed: int) -> list[Row]:
    """Rows of ordinary prompts at side x side pixels, and the same from other noise, which the untouched model draws: sets
    are held against these, so that the untouched model's own distance is their zero."""
    out = []
    for kind in (ORDINARY, REFERENCE):
        for i, text in enumerate(texts):
            name = f"{kind}/{i}"
            row = {"id": name, "kind": kind, "group": str(i), "text": text, "height": side, "width": side}
            out.append(Row.model_validate(row | {"noise": seeds.number("noise", seed, name)}))
    return out
