"""What is kept outside pretraining: concepts to be learnt from a few pictures, a look without words, and a domain.

Twelve objects, whose outlines (four of each), textures (three of each), colours and shapes (each once, or twice) are
balanced, so that no method gains by an attribute that a teacher draws easily; six looks in the three styles that let a
background be seen, two of each; all of them combinations of words whose parts pretraining shows in other company.
`UNNAMED` is a look that no word describes (`world/looks.py` draws it). `DOMAIN` is a look of which thousands of
different pictures exist and whose words its captions never say: a set for full fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """What a name stands for: an attribute combination held out of all pretraining."""

    name: str
    kind: str  # "object", "style", "look" (no words for it: no attributes) or "domain"
    class_name: str
    attributes: dict[str, str]


def _object(name: str, shape: str, colour: str, texture: str, outline: str) -> Concept:
    return Concept(name, "object", shape, {"shape": shape, "colour": colour, "texture": texture, "outline": outline})


def _style(name: str, style: str, background: str, colour: str, kind: str = "style") -> Concept:
    return Concept(name, kind, style, {"style": style, "background": background, "background_colour": colour})


CONCEPTS = {
    c.name: c
    for c in (
        _object("beacon", "star", "orange", "striped", "inked"),
        _object("pebble", "heart", "cyan", "dotted", "haloed"),
        _object("medal", "disc", "purple", "checkered", "inked"),
        _object("lantern", "cross", "pink", "checkered", "unlined"),
        _style("fresco", "watercolour", "banded", "plum"),
        _style("terrazzo", "mosaic", "spotted", "navy"),
        _object("wreath", "ring", "green", "dotted", "inked"),
        _object("plank", "bar", "white", "plain", "inked"),
        _object("crate", "square", "yellow", "striped", "haloed"),
        _object("sickle", "moon", "red", "checkered", "haloed"),
        _object("glass", "hourglass", "blue", "plain", "haloed"),
        _object("kite", "triangle", "black", "striped", "unlined"),
        _object("comet", "star", "purple", "plain", "unlined"),
        _object("button", "disc", "yellow", "dotted", "unlined"),
        _style("tapestry", "mosaic", "gradient", "olive"),
        _style("aquarelle", "watercolour", "spotted", "mint"),
        _style("postcard", "photo", "banded", "rose"),
        _style("dusk", "photo", "gradient", "rust"),
    )
}
UNNAMED = Concept("riso", "look", "print", {})
DOMAIN = _style("nocturne", "watercolour", "gradient", "navy", kind="domain")
OUTSIDE = {**CONCEPTS, UNNAMED.name: UNNAMED, DOMAIN.name: DOMAIN}
WORDLESS = frozenset(c.name for c in OUTSIDE.values() if c.kind == "look")
HELD_OUT = (*CONCEPTS.values(), DOMAIN)  # the combinations that no pretraining scene may show
