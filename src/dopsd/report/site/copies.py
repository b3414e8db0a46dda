"""Who draws a training picture by heart: a table of its own, since the reports' wide tables have no column of it."""

from __future__ import annotations

import pandas as pd

from dopsd.report import sections
from dopsd.report.site.studies import Study

SCORE = "copy_rank"  # of the instrument `copies`


def table(study: Study, summary: pd.DataFrame) -> str:
    """A row a row of the study, from its tables/summary.csv; "" where it does not ask for training pictures again."""
    part, grid = summary.loc[summary.score == SCORE], study.params.grid
    return sections.summary(part, [*grid.references, *grid.trained], study.params.evaluate.few) if len(part) else ""
