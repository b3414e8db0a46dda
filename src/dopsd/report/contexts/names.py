"""What contexts are called, and which colour and mark each has in a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from dopsd.config.contexts import Context
from dopsd.evaluation.seen import KNOWN
from dopsd.objectives import Method
from dopsd.report import names
from dopsd.report.palette import FAMILIES, OTHER, REFERENCES, shade

PALE = 0.45  # towards white: a picture that is read otherwise
COLOURS = (
    "Grey: no picture; blue: a picture of the concept; pale blue: the same, read otherwise; hollow: one that must teach "
    "nothing"
)


class Called(NamedTuple):
    """What `names` asks of a row of the study."""

    label: str
    kind: str


@contextmanager
def called(contexts: Mapping[str, Context]) -> Iterator[None]:
    """Within it `names.label` knows the contexts and the known pictures."""
    rows = {name: Called(context.label, name) for name, context in contexts.items()}
    rows |= {name: Called(label, name) for name, label in KNOWN.items()}
    with names.called_as_in(cast(Mapping[str, Method], rows)):
        yield


def look(context: Context) -> dict[str, Any]:
    """Colour and fill of a context's marks, see `COLOURS`."""
    if context.sees is None:
        return {"color": REFERENCES["untouched"][0]}
    if context.sees in ("other", "blank"):
        return {"color": OTHER, "markerfacecolor": "white"}
    blue = FAMILIES["self-distilled"].colour
    return {"color": blue if context.layer is None and context.vlm is None else shade(blue, PALE)}
