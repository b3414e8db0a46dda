"""Which columns of the reports' wide tables the page shows; the others are folded beneath, under a line that names them."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from dopsd.report import reported
from dopsd.report.site import places, render
from dopsd.report.site.studies import Study

SUMMARY = (  # of rows and their scores
    "Fréchet to the domain",
    "concept fidelity",
    "blur, pixels",
    "contrast",
    "KID to untouched",
)
SAYS = "what it is"  # a column that the main study's rows have in a list of their own
EYE = ("text only", "target image + text", "another image + text")
BESIDE = (
    "domain_frechet",
    "concept_fidelity",
    "contrast",
    "judge",
    "reward",
)  # the scores that are shown beside the paper's


def table(study: Study, text: str, shown: Collection[str] = ()) -> Markup:
    """A table of a report's, its scores called with their prompts. shown: the heads of the columns that are not folded,
    beside the first one; (): all."""
    params = study.params.evaluate
    called = places.heads() | places.rows(params.few, params.many)
    heads = shown or render.heads(text)
    return render.narrow(text, heads, called, study.link) if text else Markup()


def as_reported(text: str, of: str) -> list[str]:
    """Of the heads of `reported.in_words` those that are shown: of a score of the paper's and of ours that asks for it."""
    shown = {score: c.called for score, c in reported.load(of).columns.items() if c.here in BESIDE}
    return [h for h in render.heads(text) if h in shown.values() or h.split(" ")[0] in shown]
