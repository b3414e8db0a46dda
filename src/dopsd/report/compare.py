"""Two commits side by side, through `dvc.api`: which knobs differ, which numbers moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException

from dopsd.support import paths
from dopsd.support.errors import UserError

WORKSPACE = "workspace"  # what None is called


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings with dotted names."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return out


def summary_at(rev: str | None) -> dict[str, float]:
    """The headline numbers of a git revision (None: of the working tree); UserError where it has none."""
    try:
        return flat(json.loads(dvc.api.read(paths.SUMMARY.as_posix(), rev=rev)))
    except (DvcException, OSError) as error:
        raise UserError(
            f"{paths.SUMMARY} at {rev or WORKSPACE}: cannot be read ({' '.join(str(error).split())[:150]}); name a revision "
            "that holds it"
        ) from None


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
    return table.loc[table.iloc[:, 0].astype(str) != table.iloc[:, 1].astype(str)]
