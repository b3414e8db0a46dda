"""The model card's page: what the miniature must reach, what it reaches, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from dopsd.support.markdown import text

Scores = dict[str, dict]
FEW, MANY = "turbo_4", "base_32"


@dataclass(frozen=True)
class Bar:
    """What is asked, how to find it in the scores, and the number that it must reach (or stay under, `at_most`)."""

    asked: str
    measured: Callable[[Scores], float]
    bar: float
    at_most: bool = False

    def holds(self, value: float) -> bool:
        return value <= self.bar if self.at_most else value >= self.bar


def worst(scores: Scores) -> float:
    """The smallest value of a dict of numbers."""
    return min(v["value"] for v in scores.values())


def ratio(scores: Scores, above: str, below: str) -> float:
    """One number of a dict over another."""
    return scores[above]["value"] / scores[below]["value"]


BARS = (
    Bar("reader accuracy on renders, the worst attribute", lambda s: worst(s["reader_accuracy"]), 0.95),
    Bar('naming from [image + "a [V]"], the worst attribute', lambda s: worst(s["naming"]["mini-vlm"]), 0.90),
    Bar("autoencoder, mean absolute error", lambda s: s["autoencoder_l1"]["value"], 0.02, at_most=True),
    Bar("adherence of the base in 32 steps", lambda s: s["adherence"][MANY]["value"], 0.85),
    Bar("adherence of the turbo in 4 steps", lambda s: s["adherence"][FEW]["value"], 0.85),
    Bar("the same, the worst attribute", lambda s: worst(s["attribute_adherence"][FEW]), 0.70),
    Bar(
        "adherence of the turbo less the base's, both in 4 steps",
        lambda s: s["adherence"][FEW]["value"] - s["adherence"]["base_4"]["value"],
        0.05,
    ),
    Bar("Fréchet, turbo in 4 over base in 32 steps", lambda s: ratio(s["frechet"], FEW, MANY), 1.5, at_most=True),
    Bar("Fréchet, base over turbo, both in 4 steps", lambda s: ratio(s["frechet"], "base_4", FEW), 2.0),
    Bar("diversity, turbo in 4 over base in 32 steps", lambda s: ratio(s["diversity"], FEW, MANY), 0.7),
)


def bars_table(scores: Scores) -> str:
    """The bars as Markdown: what is asked, the bar, what was measured, whether it holds."""
    rows = []
    for bar in BARS:
        value = bar.measured(scores)
        rows.append(
            {
                "asked": bar.asked,
                "bar": f"{'<=' if bar.at_most else '>='} {bar.bar:.2f}",
                "measured": f"{value:.3f}",
                "holds": "yes" if bar.holds(value) else "no",
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def attribute_table(scores: Scores, probe: dict) -> str:
    """A row an attribute: what the reader reads, what each VLM names, what the generators draw of a full prompt."""
    columns = {"reader": scores["reader_accuracy"]}
    columns |= {f"naming, {text(vlm)}": named for vlm, named in scores["naming"].items()}
    columns |= {f"drawn, {who}": drawn for who, drawn in scores["attribute_adherence"].items()}
    columns |= {f"seen and drawn, {text(vlm)}": next(iter(nfe.values()))["image_text"] for vlm, nfe in probe.items()}
    rows = {name: {a: spelled(v) for a, v in column.items() if a != "mean"} for name, column in columns.items()}
    return pd.DataFrame(rows).to_markdown()


def spelled(number: dict) -> str:
    """A number with its interval, to two decimals."""
    span = "" if number["low"] is None else f" [{number['low']:.2f}, {number['high']:.2f}]"
    return f"{number['value']:.2f}{span}"
