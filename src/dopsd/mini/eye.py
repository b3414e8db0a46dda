"""The eye: is what the language model names of a picture drawn by a generator that never saw a picture's features?

Three kinds of pictures: any scene, against a wrong picture of the same style; the combinations that pretraining left out;
and minimal pairs, two scenes that differ in one attribute and in nothing else, drawn from the same noise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.probe import by_attribute, of_equal_style
from dopsd.evaluation.statistics import interval
from dopsd.mini import align
from dopsd.mini.captioned import SHORT
from dopsd.mini.drawer import FEW, Caption, Drawer, noise
from dopsd.mini.encoder import READ_LAYER
from dopsd.mini.vision import multimodal_states
from dopsd.support.seeds import stream
from dopsd.world import tokens
from dopsd.world.concepts import OBJECT_STYLE, concept_scenes
from dopsd.world.lexicon import PLACEHOLDER
from dopsd.world.outside import HELD_OUT
from dopsd.world.scenes import ATTRIBUTES, NAMES, Scenes, index, render, sample_scenes

PROMPT = f"a {PLACEHOLDER}"
STYLES = tuple(s for s in ATTRIBUTES["style"] if s != "woodcut")  # which pretraining hardly shows
Scores = dict[str, dict]
Vlm = Qwen3VLForConditionalGeneration


@torch.no_grad()
def context(vlm: Vlm, images: Tensor) -> Caption:
    """What the generators read of [image + "a [V]"], as the teacher's context is: (n, 32, D), and what of it is real."""
    ids = tokens.pad([tokens.prompt_ids(PROMPT, image=True)] * len(images), SHORT)
    parts = zip(images.split(128), ids.split(128), strict=True)
    return torch.cat([multimodal_states(vlm, *part)[READ_LAYER] for part in parts]), ids != tokens.PAD


@torch.no_grad()
def named(vlm: Vlm, scenes: Scenes, images: Tensor) -> Tensor:
    """Which attributes the language model names rightly: BoolTensor (n, 9)."""
    said = torch.cat([align.named(vlm, part, PROMPT) for part in images.split(256)])
    return said == scenes.attributes


def any_scene(drawer: Drawer, vlm: Vlm, reader: Reader, n: int, who: tuple[str, ...]) -> Scores:
    """{who: {"right" or "wrong": {attribute: share drawn of what is named}}} of n scenes, every style but woodcut in equal
    number; wrong: what is drawn of another picture of the style, against the same targets."""
    scenes = sample_scenes(n, stream("miniature eye"))
    style = NAMES.index("style")
    scenes.attributes[:, style] = torch.tensor([index("style", s) for s in STYLES])[torch.arange(n) % len(STYLES)]
    images = render(scenes)
    known, (features, real) = named(vlm, scenes, images), context(vlm, images)
    wrong, out = of_equal_style(scenes.attributes), {}
    for one in who:
        seen = {"right": features, "wrong": features[wrong]}
        read = {k: reader.read(drawer.drawn(one, (f, real), noise(n, "eye"))) for k, f in seen.items()}
        out[one] = {k: by_attribute(r, scenes.attributes, known) for k, r in read.items()}
    return out


def held_out_scenes(n: int) -> tuple[Scenes, Tensor, Tensor]:
    """n scenes of every combination that pretraining left out -> (scenes, which one (m,), its own attributes (m, 9))."""
    each = [concept_scenes(c, n, stream("miniature eye", c.name)) for c in HELD_OUT]
    own = torch.tensor([[a in c.attributes for a in NAMES] for c in HELD_OUT])
    which = torch.cat([torch.full((len(s),), i) for i, s in enumerate(each)])
    scenes = Scenes(torch.cat([s.attributes for s in each]), torch.cat([s.free for s in each]))
    return scenes, which, own[which]


def held_out(drawer: Drawer, vlm: Vlm, reader: Reader, n: int, who: tuple[str, ...]) -> Scores:
    """{who: {"right", "wrong": {attribute: share}, "concepts": {name: share}}} of what is named of the combinations' own
    attributes, n scenes each."""
    scenes, which, own = held_out_scenes(n)
    images = render(scenes)
    known, (features, real) = own & named(vlm, scenes, images), context(vlm, images)
    # in random order, so that the next of its style is mostly of another combination
    order = torch.randperm(len(scenes), generator=stream("miniature eye wrong"))
    wrong = torch.empty_like(order)
    wrong[order] = order[of_equal_style(scenes.attributes[order])]
    out: Scores = {}
    for one in who:
        seen = {"right": features, "wrong": features[wrong]}
        read = {
            k: reader.read(drawer.drawn(one, (f, real), noise(len(scenes), "eye held out"))) for k, f in seen.items()
        }
        out[one] = {k: by_attribute(r, scenes.attributes, known) for k, r in read.items()}
        hit = (read["right"] == scenes.attributes) & known
        out[one]["concepts"] = {
            c.name: interval((hit[which == i].sum(1) / known[which == i].sum(1).clamp(min=1)).numpy())
            for i, c in enumerate(HELD_OUT)
        }
    return out


def pairs_of(attribute: str, n: int) -> tuple[Scenes, Scenes]:
    """n pairs of scenes that differ in the value of one attribute alone, in the photo style, which hides nothing."""
    generator, i = stream("miniature pairs", attribute), NAMES.index(attribute)
    first = sample_scenes(n, generator, {"style": OBJECT_STYLE}, concepts=True)
    values = len(ATTRIBUTES[attribute]) - (attribute == "style")  # woodcut is left out here, too
    second = Scenes(first.attributes.clone(), first.free)
    second.attributes[:, i] = (first.attributes[:, i] + torch.randint(1, values, (n,), generator=generator)) % values
    return first, second


def minimal_pairs(drawer: Drawer, vlm: Vlm, reader: Reader, n: int, who: tuple[str, ...]) -> Scores:
    """{who: {attribute: share of pairs whose difference is drawn: each of the two pictures with its own value}}, of the pairs
    whose two values are named; n pairs an attribute."""
    both = [pairs_of(a, n) for a in NAMES]
    scenes = Scenes(
        torch.cat([s.attributes for pair in both for s in pair]), torch.cat([s.free for pair in both for s in pair])
    )
    images, start = render(scenes), noise(n * len(NAMES), "eye pairs").unflatten(0, (len(NAMES), n))
    known, caption = named(vlm, scenes, images), context(vlm, images)
    start = torch.stack([start, start], 1).flatten(0, 2)
    out: Scores = {}
    for one in who:
        right = reader.read(drawer.drawn(one, caption, start)) == scenes.attributes
        out[one] = {}
        for i, a in enumerate(NAMES):
            drawn, said = (x[:, i].unflatten(0, (len(NAMES), 2, n))[i].all(0) for x in (right, known))
            if said.any():
                out[one][a] = interval(drawn[said].numpy())
    return out


def measure_eye(
    drawer: Drawer, vlms: dict[str, Vlm], reader: Reader, *, targets: int, combinations: int, pairs: int
) -> Scores:
    """Of the first VLM all three kinds by both turbos; of the others, variants of it, any scene by the first turbo."""
    first, *others = vlms
    rest = {name: any_scene(drawer, vlms[name], reader, targets, FEW[:1]) for name in others}
    return {
        "any": {first: any_scene(drawer, vlms[first], reader, targets, FEW)} | rest,
        "held_out": held_out(drawer, vlms[first], reader, combinations, FEW),
        "pairs": minimal_pairs(drawer, vlms[first], reader, pairs, FEW),
    }
