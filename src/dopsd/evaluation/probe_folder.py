"""The in-context probe before a tuning: on a person's pictures of one thing, is the untouched model that has seen a picture
(the teacher) nearer to it than the one that has the caption alone (the student)?

As `probe_pictures`, but the pictures are all of one thing: the wrong picture comes from elsewhere, and the next one of the
set is a context of its own, another picture of the thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL.Image import Image
from torch import Tensor

from dopsd.backbones.base import Backbone
from dopsd.config.section import named
from dopsd.evaluation import probe_pictures
from dopsd.evaluation.drawing import Asked
from dopsd.evaluation.instruments import Panel, Score, View
from dopsd.evaluation.rows import NEW, REWRITE, Row
from dopsd.evaluation.statistics import Number, interval
from dopsd.method.context import Context
from dopsd.sets.items import Item
from dopsd.support.errors import UserError
from dopsd.support.pictures import to_pil
from dopsd.support.seeds import stream
from dopsd.world.scenes import render, sample_scenes

STUDENT, TEACHER, WRONG = "text", "image_text", "wrong_image_text"
CONTEXTS = {  # what the encoder is given
    STUDENT: "caption (student)",
    TEACHER: "picture + caption (teacher)",
    "another_image_text": "another of the pictures + caption",
    "image": "picture alone",
    WRONG: "wrong picture + caption",
}
FIDELITY = {"picture", "training"}  # an instrument of fidelity holds a picture against one of these
COLUMNS = ["score", "better", "context", "value", "low", "high", "less_student", "less_low", "less_high", "n"]
Values = dict[str, dict[str, np.ndarray]]  # {score: {context: (pictures x noises,)}}


def elsewhere(items: Sequence[Item], seed: int) -> list[Image]:
    """A wrong picture for each: a scene of the miniature's world, at the picture's size."""
    scenes = render(sample_scenes(len(items), stream("wrong pictures", seed)))
    return [to_pil(x).resize((i.size[1], i.size[0])) for x, i in zip(scenes, items, strict=True)]


def scores_of(panel: Panel) -> dict[str, tuple[str, str, Score]]:
    """The scores of fidelity that a panel has for such pictures, by name: the instrument, the kind of prompt, the score.
    UserError where it has none."""
    out: dict[str, tuple[str, str, Score]] = {}
    for instrument, kind in panel.kinds.items():
        for name, score in kind.scores.items():
            fits = [k for k in (REWRITE, NEW) if k in score.kinds]
            of_it = score.needs and FIDELITY.issuperset(score.needs) and score.better in ("higher", "lower")
            if fits and of_it and not score.whole:
                out[name] = instrument, fits[0], score
    if not out:
        raise UserError(
            f"{named(panel.file, 'instruments')}: instruments: none compares a picture with those of the folder; add dino, "
            "lpips or clip"
        )
    return out


@dataclass(frozen=True)
class Probe:
    """What is asked: a row a picture and noise, all pictures from one noise first. wrong: a picture each from elsewhere."""

    items: Sequence[Item]
    wrong: Sequence[Image]
    rows: Sequence[Row]

    @classmethod
    def of(cls, items: Sequence[Item], wrong: Sequence[Image], noises: int, seed: int) -> Probe:
        rows = [row for k in range(noises) for row in probe_pictures.rows_of(items, seed + k)]
        return cls(items, wrong, rows)

    @property
    def picture(self) -> np.ndarray:
        """The number of each row's picture (rows,): the unit of all intervals."""
        return np.arange(len(self.rows)) % len(self.items)

    def contexts(self, backbone: Backbone) -> dict[str, Context]:
        """The generator's input in each of `CONTEXTS`, a row each; another picture only where there are two."""
        first = self.rows[: len(self.items)]
        kinds = {STUDENT: "text", TEACHER: "image_text", "image": "image"}
        kinds |= {"another_image_text": "wrong_image_text"} if len(self.items) > 1 else {}  # the next one of the set
        given = {name: probe_pictures.contexts(backbone, kind, self.items, first) for name, kind in kinds.items()}
        given[WRONG] = backbone.context([r.text for r in first], list(self.wrong))
        return {name: given[name] * (len(self.rows) // len(first)) for name in CONTEXTS if name in given}

    @torch.no_grad()
    def drawn(self, backbone: Backbone, nfe: int, batch_size: int) -> dict[str, list[Tensor]]:
        """A picture (3, H, W) in [-1, 1] a row in each context, from the same noise; all processes must call."""
        given = self.contexts(backbone)
        backbone.free_encoders()
        noise = [r.start(backbone.latent_shape(*r.size)) for r in self.rows]
        return {
            name: Asked(context, noise, None).drawn(backbone, nfe, 0.0, batch_size, CONTEXTS[name])
            for name, context in given.items()
        }

    def scored(self, drawn: dict[str, list[Tensor]], panel: Panel) -> Values:
        """Each score of `scores_of` of each row's picture, in each context."""
        out: Values = {}
        wanted = scores_of(panel)
        views = {
            kind: {name: View(kind, self.rows, images, self.items) for name, images in drawn.items()}
            for kind in dict.fromkeys(kind for _, kind, _ in wanted.values())
        }
        for score, (instrument, kind, _) in wanted.items():
            out[score] = {}
            for name, view in views[kind].items():
                found = panel.opened(instrument).score(score, view)
                assert isinstance(found, Tensor), "a score of a picture is a number each"
                out[score][name] = found.double().numpy()
            if instrument not in [wanted[s][0] for s in wanted if s not in out]:
                panel.close(instrument)
        return out

    def less(self, values: dict[str, np.ndarray], context: str, other: str) -> Number:
        """The paired difference of two contexts over the pictures."""
        return interval(values[context] - values[other], group=self.picture)

    def table(self, values: Values, panel: Panel) -> pd.DataFrame:
        """`COLUMNS`: a row a score and context, with its 95 % interval and that of the paired difference to the student's,
        over the n pictures."""
        rows, known = [], scores_of(panel)
        for score, by in values.items():
            for name, mine in by.items():
                number = interval(mine, group=self.picture)
                beside = self.less(by, name, STUDENT) if name != STUDENT else {}
                less = (beside.get("value"), beside.get("low"), beside.get("high"))
                who = (score, known[score][2].better, name, number["value"], number["low"], number["high"])
                rows.append(dict(zip(COLUMNS, (*who, *less, number["n"]), strict=True)))
        texts = ("score", "better", "context", "n")
        return pd.DataFrame(rows).astype({c: float for c in COLUMNS if c not in texts})

    def verdict(self, values: Values, panel: Panel) -> list[str]:
        """One sentence that says by the first score whether the teacher is better, and one what that means for D-OPSD."""
        score, by = next(iter(values.items()))
        higher = scores_of(panel)[score][2].better == "higher"
        x, y, z = (f"{by[name].mean():.3f}" for name in (TEACHER, STUDENT, WRONG))
        told = _side(self.less(by, TEACHER, STUDENT), higher)
        how = {1: "is better than", -1: "is worse than", 0: "is not told apart from"}[told]
        by_score = f"{score}, {'higher' if higher else 'lower'} is better"
        n = f"{len(self.items)} picture{'s' if len(self.items) > 1 else ''}"
        said = f"The teacher {how} the student on your pictures: {x} against {y} ({n}; {by_score})"
        said += f"; a wrong picture scores {z}."
        if told != 1:
            return [said, MEANS[told]]
        return [said, MEANS[1] if _side(self.less(by, TEACHER, WRONG), higher) == 1 else ANY]


MEANS = {
    1: "D-OPSD has something to teach here: what the teacher sees in a picture is more than the caption says.",
    0: "D-OPSD may have nothing to teach here, or the pictures are too few to show it: try more, or more --noises.",
    -1: "D-OPSD would teach what is farther from your pictures than what the student draws by itself: tune with sft instead, "
    "or write other captions.",
}
ANY = (
    "But a wrong picture is not told apart from yours, so it may not be what yours shows that helps: try more pictures, or "
    "more --noises, before D-OPSD."
)


def _side(less: Number, higher: bool) -> int:
    """1 where a context is better than another, intervals and all, -1 where it is worse, else 0: also of one picture."""
    low, high = less["low"], less["high"]
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if (low > 0) == higher else -1
