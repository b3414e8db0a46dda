"""Two commits side by side, through `dvc.api`: which knobs differ, which numbers moved."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException
from PIL import Image

from dopsd.support import paths
from dopsd.support.errors import UserError

WORKSPACE = "workspace"  # what None is called


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings with dotted names."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return out


def _at(file: str, rev: str | None, mode: str) -> Any:
    """What a file of a git revision holds; UserError where it cannot be read."""
    try:
        return dvc.api.read(file, rev=rev, mode=mode)
    except (DvcException, OSError) as error:
        raise UserError(
            f"{file} at {rev or WORKSPACE}: cannot be read ({' '.join(str(error).split())[:150]}); name a revision "
            "that holds it"
        ) from None


def summary_at(rev: str | None) -> dict[str, float]:
    """The headline numbers of a git revision (None: of the working tree); UserError where it has none."""
    return flat(json.loads(_at(paths.SUMMARY.as_posix(), rev, "r")))


def picture_at(file: str, rev: str | None) -> Image.Image:
    """A picture of a git revision; UserError where it has none."""
    return Image.open(io.BytesIO(_at(file, rev, "rb")))


def side_by_side(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str]) -> pd.DataFrame:
    """What two flat mappings say, a row a name; "" where one says nothing."""
    keys = list(dict.fromkeys([*before, *after]))
    return pd.DataFrame([(before.get(k, ""), after.get(k, "")) for k in keys], keys, names)


def numbers(before: str | None, after: str | None) -> pd.DataFrame:
    """The headline of two revisions and the difference: a row a number."""
    names = (before or WORKSPACE, after or WORKSPACE)
    table = side_by_side(summary_at(before), summary_at(after), names).apply(pd.to_numeric, errors="coerce")
    return table.assign(difference=table.iloc[:, 1] - table.iloc[:, 0])


def knobs(before: str | None, after: str | None) -> pd.DataFrame:
    """The fields of params.yaml that differ between two revisions."""
    names = (before or WORKSPACE, after or WORKSPACE)
    old, new = (flat(dvc.api.params_show("params.yaml", rev=rev)) for rev in (before, after))
    table = side_by_side(old, new, names)
    return table.loc[table.iloc[:, 0].map(str) != table.iloc[:, 1].map(str)]


def moved(before: str, after: str) -> str:
    """How many of the headline's numbers differ between two revisions, and which moved farthest, in two sentences. UserError
    where they have none in common."""
    both = numbers(before, after).dropna(subset=["difference"])
    if both.empty:
        raise UserError(f"{paths.SUMMARY}: {before} and {after} have no number in common; name others")
    far = str((both.difference.abs() / both[before].abs()).idxmax())
    old, new = (float(both.loc[far, rev]) for rev in (before, after))
    return (
        f"**{int((both.difference != 0).sum())} of the {len(both)} numbers** that both commits have moved; farthest, over "
        f"what it was: *{far}*, from {old:g} to {new:g}. Knobs that differ: {len(knobs(before, after))}."
    )
