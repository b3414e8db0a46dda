"""What a study's rows, scores and verdicts are, in a sentence each: one wording for the page and the notebooks."""

from __future__ import annotations

from pathlib import Path

from dopsd.config.section import Section, validated
from dopsd.config.yaml import mapping
from dopsd.report import sections
from dopsd.report.site.studies import Study
from dopsd.study import grid
from dopsd.support.text import read_text

FILE = Path(__file__).with_suffix(".yaml")


class Words(Section):
    """The file: {name: sentence} of rows without training, by their names in params.yaml, of scores, and of verdicts."""

    rows: dict[str, str]
    words: dict[str, str]
    verdicts: dict[str, str]


def load() -> Words:
    """The file. UserError on one that is no such file."""
    return validated(Words, mapping(read_text(FILE), str(FILE)), str(FILE))


def rows(study: Study) -> dict[str, str]:
    """{row: what it is}, of those without training that a study has, then of its methods."""
    params, known = study.params, load().rows
    methods = grid.methods(params).items()
    trained = {m: sections.says(m, how, params.methods[m], params.train.steps) for m, how in methods}
    return {row: known[row] for row in known if row in params.grid.references} | trained


def words(study: Study) -> dict[str, str]:
    """{score, or what belongs to one: what it is}."""
    return {name: says.format(few=study.params.evaluate.few) for name, says in load().words.items()}
