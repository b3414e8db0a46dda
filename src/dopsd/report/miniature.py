"""The model card's page: what the miniature must reach, what it reaches, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

import pandas as pd

Scores = dict[str, dict]
TURBOS = ("turbo_4", "turbo-2_4")  # two distillations of one base, in few steps: a bar holds if it holds for both
BASE, MANY = "base_4", "base_32"
FULL, HALF, OPEN = "said 1", "said 0.5", "said 0.15"
SHIPPED = "mini-vlm"
KINDS = ("told_things", "told_looks", "shown_things", "shown_looks")


@dataclass(frozen=True)
class Bar:
    """What is asked, how to find it in the scores, and the number that it must reach (or stay under, `at_most`). It is asked
    of every one of `of`; the worst counts."""

    asked: str
    measured: Callable[..., float]
    bar: float
    at_most: bool = False
    of: tuple[str, ...] = ()

    def values(self, scores: Scores) -> list[float]:
        """One, or one of each that it is asked of."""
        return [self.measured(scores, who) for who in self.of] if self.of else [self.measured(scores)]

    def holds(self, value: float) -> bool:
        return value <= self.bar if self.at_most else value >= self.bar


def worst(scores: Scores) -> float:
    """The smallest value of a dict of numbers."""
    return min(v["value"] for v in scores.values())


def ratio(scores: Scores, above: str, below: str) -> float:
    """One number of a dict over another."""
    return scores[above]["value"] / scores[below]["value"]


def at(scores: Scores, *path: str) -> float:
    """The value at the end of a path of keys."""
    for key in path:
        scores = scores[key]
    return float(scores["value"])  # pyright: ignore[reportArgumentType] - the end of a path is a number


def readable(scores: Scores, damage: str) -> float:
    """The worst attribute's accuracy under a damage, of all readings, or of those that are no abstention where these are
    read better."""
    return max(worst(scores["reader"][damage][how]) for how in ("all", "sure"))


def moved(scores: Scores, name: str) -> float:
    """How far free names move a prompt, over what known ones do: the less of told and shown."""
    layer = scores["names"]["read_layer"]
    return min(layer[name]["value"] / layer[known]["value"] for known in ("told", "shown"))


def known(scores: Scores, who: str) -> float:
    """The worst attribute of the worst kind of known names, things and looks, told and shown."""
    return min(worst(scores["names"]["drawn"][who][kind]) for kind in KINDS)


def unlike_thing(scores: Scores, who: str, name: str) -> float:
    """The largest total variation of an attribute between a name's pictures and those of "thing", less that between two sets
    of "thing"."""
    largest = {k: max(v["value"] for v in by.values()) for k, by in scores["names"]["unbound"][who].items()}
    return largest[name] - largest["thing"]


def eye(scores: Scores, who: str) -> float:
    """The worst attribute, of any scene, drawn of what is named."""
    return worst(scores["eye"]["any"][SHIPPED][who]["right"])


def unseen(scores: Scores, who: str, vlm: str = SHIPPED) -> list[str]:
    """The attributes that are drawn no better of the picture than of another one of its style, intervals apart. Of the style
    itself that control says nothing."""
    of = scores["eye"]["any"][vlm][who]
    return [a for a, v in of["right"].items() if a != "style" and v["low"] <= of["wrong"][a]["high"]]


def drawn(scores: Scores, said: str, score: str, above: str, below: str) -> float:
    """A generator's score over another's."""
    return scores["drawn"][said][above][score]["value"] / scores["drawn"][said][below][score]["value"]


def apart(scores: Scores, turbo: str, said: str) -> float:
    """By how much the turbo's steepness is above the base's, both in 4 steps, intervals apart."""
    of = scores["drawn"][said]
    return of[turbo]["steepness"]["low"] - of[BASE]["steepness"]["high"]


def _few_step_gap() -> Iterable[Bar]:
    for said, what in ((FULL, "all"), (HALF, "half"), (OPEN, "little (.15)")):
        yield Bar(
            f"Fréchet, base over turbo, both in 4 steps, prompts that say {what}",
            lambda s, who, said=said: drawn(s, said, "frechet", BASE, who),
            2.0,
            of=TURBOS,
        )
    for said, what in ((HALF, "half"), (OPEN, "little (.15)")):
        yield Bar(
            f"steepness, turbo's low end less the base's high end, both in 4 steps, prompts that say {what}",
            partial(apart, said=said),
            0.0,
            of=TURBOS,
        )


BARS = (
    Bar("reader accuracy on renders, the worst attribute", lambda s: worst(s["reader"]["clean"]["all"]), 0.95),
    Bar("the same under .8 pixels of blur, or of what it is sure of", partial(readable, damage="blurred"), 0.80),
    Bar("the same at half the contrast, or of what it is sure of", partial(readable, damage="faded"), 0.80),
    Bar("reader, a look without words: balanced accuracy", lambda s: worst(s["reader"]["looks"]), 0.95),
    Bar('naming from [image + "a [V]"], the worst attribute', lambda s: worst(s["naming"][SHIPPED]), 0.90),
    Bar("autoencoder, mean absolute error", lambda s: s["autoencoder_l1"]["value"], 0.02, at_most=True),
    Bar('names: how far "[V]" moves a prompt, over known names', partial(moved, name="[V]"), 0.5),
    Bar("names: how far unheard free names move a prompt, over known names", partial(moved, name="unheard"), 0.5),
    Bar("names: a known name's thing or look is drawn, the worst attribute", known, 0.80, of=TURBOS),
    Bar(
        'names: untuned "[V]" draws what "thing" does (variation)',
        partial(unlike_thing, name="[V]"),
        0.05,
        True,
        TURBOS,
    ),
    Bar(
        'names: untuned unheard names draw what "thing" does (variation)',
        partial(unlike_thing, name="unheard"),
        0.05,
        True,
        TURBOS,
    ),
    Bar("eye: drawn of what is named, the worst attribute", eye, 0.80, of=TURBOS),
    Bar(
        "eye: attributes no better than of a wrong picture of the style",
        lambda s, who: float(len(unseen(s, who))),
        0.0,
        True,
        TURBOS,
    ),
    Bar(
        "eye: held-out combinations, the worst attribute",
        lambda s, who: worst(s["eye"]["held_out"][who]["right"]),
        0.80,
        of=TURBOS,
    ),
    Bar(
        "eye: minimal pairs whose difference is drawn, the worst attribute",
        lambda s, who: worst(s["eye"]["pairs"][who]),
        0.80,
        of=TURBOS,
    ),
    Bar("adherence of the base in 32 steps", lambda s: at(s, "drawn", FULL, MANY, "adherence"), 0.85),
    Bar("adherence of the turbo in 4 steps", lambda s, who: at(s, "drawn", FULL, who, "adherence"), 0.85, of=TURBOS),
    Bar("the same, the worst attribute", lambda s, who: worst(s["drawn"][FULL][who]["attributes"]), 0.70, of=TURBOS),
    Bar(
        "adherence of the turbo less the base's, both in 4 steps",
        lambda s, who: at(s, "drawn", FULL, who, "adherence") - at(s, "drawn", FULL, BASE, "adherence"),
        0.05,
        of=TURBOS,
    ),
    Bar(
        "Fréchet, turbo in 4 over base in 32 steps, of as many pictures",
        lambda s, who: drawn(s, FULL, "frechet_few", who, MANY),
        1.5,
        at_most=True,
        of=TURBOS,
    ),
    *_few_step_gap(),
    Bar(
        "diversity, turbo in 4 over base in 32 steps",
        lambda s, who: ratio(s["diversity"], who, MANY),
        0.7,
        of=TURBOS,
    ),
)


def bars(scores: Scores) -> pd.DataFrame:
    """The bars: what is asked, the bar, what was measured (of both turbos, where both are asked), whether it holds."""
    rows = []
    for bar in BARS:
        values = bar.values(scores)
        rows.append(
            {
                "asked": bar.asked,
                "bar": f"{'<=' if bar.at_most else '>='} {bar.bar:.2f}",
                "measured": ", ".join(f"{v:.3f}" for v in values),
                "holds": "yes" if all(bar.holds(v) for v in values) else "no",
            }
        )
    return pd.DataFrame(rows)


def bars_table(scores: Scores) -> str:
    """`bars` as Markdown."""
    return bars(scores).to_markdown(index=False, disable_numparse=True)


def spelled(number: Mapping) -> str:
    """A number with its interval, to two decimals."""
    span = "" if number["low"] is None else f" [{number['low']:.2f}, {number['high']:.2f}]"
    return f"{number['value']:.2f}{span}"


def _by_attribute(columns: Mapping[str, Scores]) -> str:
    rows = {name: {a: spelled(v) for a, v in column.items()} for name, column in columns.items()}
    return pd.DataFrame(rows).fillna("").to_markdown(disable_numparse=True)


def reading_table(scores: Scores) -> str:
    """A row an attribute: the reader on renders as they are and damaged, the mini CLIP beside it, what each VLM names."""
    reader = scores["reader"]
    columns = {"reader": reader["clean"]["all"]}
    for damage, what in (("blurred", ".8 pixels of blur"), ("faded", "half the contrast")):
        columns |= {what: reader[damage]["all"], f"{what}, where sure": reader[damage]["sure"]}
        columns[f"{what}, is sure"] = reader[damage]["answered"]
    columns |= {"mini CLIP": scores["clip"]["accuracy"]}
    columns |= {f"agree on {who}": scores["drawn"][FULL][who]["agreement"] for who in TURBOS}
    return _by_attribute(columns | {f"named, {vlm}": named for vlm, named in scores["naming"].items()})


def names_table(scores: Scores) -> str:
    """A row a turbo and kind of known name: the share of pictures that show each attribute that it stands for."""
    drawn = scores["names"]["drawn"]
    rows = [
        {"drawn by": who, "names": kind.replace("_", " "), **{a: spelled(v) for a, v in drawn[who][kind].items()}}
        for who, kind in product(TURBOS, KINDS)
    ]
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def unbound_table(scores: Scores) -> str:
    """A row a turbo and free name: how far what it draws is from what "thing" draws."""
    rows = [
        {"drawn by": who, "prompt": name, **{a: f"{v['value']:.2f}" for a, v in by.items()}}
        for who in TURBOS
        for name, by in scores["names"]["unbound"][who].items()
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def eye_table(scores: Scores) -> str:
    """A row an attribute: drawn of what is named, of any scene, a wrong picture, held-out combinations, minimal pairs."""
    of, columns = scores["eye"], {}
    for vlm, by in of["any"].items():
        for who, found in by.items():
            columns |= {f"{vlm}, {who}": found["right"], f"{vlm}, {who}, wrong picture": found["wrong"]}
    for who in TURBOS:
        columns |= {f"held out, {who}": of["held_out"][who]["right"], f"pairs, {who}": of["pairs"][who]}
    return _by_attribute(columns)


def combinations_table(scores: Scores) -> str:
    """A row a combination that pretraining left out: how much of what is named of it each turbo draws."""
    return _by_attribute({who: scores["eye"]["held_out"][who]["concepts"] for who in TURBOS})


def drawn_table(scores: Scores) -> str:
    """A row an openness and generator: adherence, Frechet, steepness, contrast, blur as read, read as watercolour."""
    shown = ("adherence", "frechet", "frechet_few", "steepness", "contrast", "blur_read", "watercolour")
    rows = [
        {"prompts": said, "drawn by": who, "n": of["frechet"]["n"], **{s: spelled(of[s]) for s in shown}}
        for said, by in scores["drawn"].items()
        for who, of in by.items()
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def attributes_table(scores: Scores) -> str:
    """A row an attribute: what each generator draws of prompts that say all."""
    return _by_attribute({who: of["attributes"] for who, of in scores["drawn"][FULL].items()})


def degradations_table(table: pd.DataFrame) -> str:
    """What each score says under each degradation: a row a degradation, a column a score, a mean."""
    wide = table.pivot(index="degradation", columns="score", values="value")
    order = list(dict.fromkeys(table.degradation)), list(dict.fromkeys(table.score))
    return wide.reindex(index=order[0], columns=order[1]).map(lambda v: f"{v:.2f}").to_markdown(disable_numparse=True)


TABLES: dict[str, Callable[[Scores], str]] = {
    "reading": reading_table,
    "names": names_table,
    "unbound": unbound_table,
    "eye": eye_table,
    "combinations": combinations_table,
    "drawn": drawn_table,
    "attributes": attributes_table,
}
