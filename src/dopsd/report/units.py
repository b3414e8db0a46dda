"""Numbers over the concepts, whose seeds are averaged within them: they share training pictures and prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean

from dopsd.evaluation.statistics import Scale, interval, scaled, unscaled
from dopsd.report.cells import BLUR, GAPS

Unit = tuple[str, int]  # concept, seed
Values = Mapping[Unit, float]


def whole(values: Values, units: Iterable[Unit]) -> Values:
    """The values, if each concept has one of all its units or of none (a score of the first seed alone is none of the
    study's); {} else."""
    has, of = Counter(concept for concept, _ in values), Counter(concept for concept, _ in units)
    return values if all(has[concept] == of[concept] for concept in has) else {}


def concept_means(values: Values) -> list[float]:
    """Each concept's mean over its seeds."""
    concepts = dict.fromkeys(concept for concept, _ in values)
    return [fmean(v for (of, _), v in values.items() if of == concept) for concept in concepts]


def over_concepts(values: Values, scale: Scale = "plain") -> dict:
    """`statistics.interval` with the concepts as units, n their number."""
    return interval(concept_means(values), scale=scale)


def by_seed(values: Values, scale: Scale = "plain") -> dict[int, float]:
    """The mean over the concepts on each seed, taken on a scale."""
    seeds = sorted({seed for _, seed in values})
    mine = {seed: [v for (_, s), v in values.items() if s == seed] for seed in seeds}
    return {seed: unscaled(float(scaled(each, scale).mean()), scale) for seed, each in mine.items()}


def against_untouched(
    row: Mapping[str, float], untouched: Mapping[str, float], described: Mapping[str, float] | None, fidelity: str
) -> dict[str, float]:
    """The scores that set a checkpoint's row beside the untouched model's, on the same prompts and noise.

    fidelity_gain: fidelity less the untouched model's. *_kept: over the described row's, where there is one. gap_growth_*:
    how much more of a score few steps have lost than many, against the untouched model: above 1 they have lost more; of the
    blur that is read, in pixels, a difference: above 0. blur_added: to the described row's, in pixels.
    """
    out = {"fidelity_gain": row[fidelity] - untouched[fidelity]} if fidelity in row else {}
    for name in GAPS:
        if described and name in row:
            out[f"{name}_kept"] = row[name] / described[name]
        if f"few_step_{name}" in row:
            out[f"gap_growth_{name}"] = untouched[f"few_step_{name}"] / row[f"few_step_{name}"]
    if described and BLUR in row:
        out["blur_added"] = row[BLUR] - described[BLUR]
    if f"few_step_{BLUR}" in row:
        out["gap_growth_blur"] = row[f"few_step_{BLUR}"] - untouched[f"few_step_{BLUR}"]
    return out
