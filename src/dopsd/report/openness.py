"""The same scenes from the same noise, with prompts that say more of them or less."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from dopsd.report.cells import Key, Steps, at, at_said, flat, last
from dopsd.report.scales import misfit, scale
from dopsd.report.tables import MAIN, numbers
from dopsd.report.units import Unit, over_concepts, whole

COLUMNS = ["method", "said", "score", "value", "low", "high", "n"]
Others = Mapping[float, Mapping[Key, Steps]]  # {how much prompts say: the cells there}


def others(table: pd.DataFrame, few: int, many: int) -> Others:
    """The cells at each other openness of a long table, the least first."""
    return {said: flat(at_said(table, said), few, many) for said in sorted(table.said.dropna().unique().tolist())}


def beside(cells: Mapping[Key, Steps], others: Others, asked: Collection[str] = ()) -> dict[Key, Steps]:
    """The same cells, with the `MAIN` scores at each other openness in the row of their last step: said_0.5_leakage@4.

    asked: further ones, by their whole names (said_1_quality_adherence)."""
    out = dict(cells)
    for said, found in others.items():
        for key in (key for key in found if key in out):
            named = {f"said_{said:g}_{n}": v for n, v in last(found[key]).items()}
            plain = {name: name.partition("@")[0] for name in named}
            wanted = {*(f"said_{said:g}_{n}" for n in MAIN), *asked}
            more = {name: v for name, v in named.items() if plain[name] in wanted}
            step = max(out[key])
            out[key] = out[key] | {step: out[key][step] | more}
    return out


def openness(cells: Mapping[Key, Steps], others: Others, main: float, few: int) -> pd.DataFrame:
    """The `MAIN` scores of every method at its last step, in few steps, at each openness: `COLUMNS`, with 95 % intervals over
    the n concepts. main: how much prompts say at the main one. No rows where the table has no other."""
    out = []
    for said, found in ({main: cells} | dict(others)).items() if others else ():
        rows: dict[str, dict[Unit, dict[str, float]]] = {}
        for (method, concept, seed), steps in found.items():
            rows.setdefault(method, {})[concept, seed] = at(last(steps), few)
        for method, mine in rows.items():
            for name in MAIN:
                values = whole({unit: row[name] for unit, row in mine.items() if name in row}, mine)
                if values and not misfit(values.values(), scale(name)):
                    out.append({"method": method, "said": said, "score": name, **over_concepts(values, scale(name))})
    return numbers(pd.DataFrame(out, columns=COLUMNS))
