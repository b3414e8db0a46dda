"""The scores of a cell, a method on a concept with a seed, from the pictures that it drew (see `sheets`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.config.study import Evaluate
from dopsd.evaluation.instruments import distances, fidelity
from dopsd.evaluation.instruments.mini_clip import MiniClip
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.prompts import Prompts
from dopsd.evaluation.sheets import Pictures
from dopsd.evaluation.statistics import Number, interval, jackknife
from dopsd.support.seeds import stream
from dopsd.world.concepts import ConceptPictures
from dopsd.world.scenes import Concept, render, sample_scenes


@dataclass(frozen=True)
class Instruments:
    """What looks at the pictures."""

    reader: Reader
    clip: MiniClip


def render_features(reader: Reader, settings: Evaluate, seed: int) -> Tensor:
    """The reader's features (m, d) of held-out scenes of the world, the reference of plain quality."""
    renders = render(sample_scenes(settings.renders, stream("renders", seed)))
    with torch.no_grad():
        return torch.cat([reader.features(part) for part in renders.split(128)])


def ratio(values: Tensor, reference: Tensor, group: Tensor) -> Number:
    """mean(values) / mean(reference), paired, with an interval over groups (prompts). 1 = the same."""
    members = [group == k for k in group.unique()]
    a = torch.stack([values[m].mean() for m in members])
    b = torch.stack([reference[m].mean() for m in members])
    return jackknife(lambda k: (a[k].mean() / b[k].mean()).item(), len(members))


def score_scenes(images: Tensor, wanted: Prompts, training: ConceptPictures, tools: Instruments) -> dict[str, Number]:
    """Scores of pictures (n, 3, 64, 64) of a concept's new scenes. n counts prompts: a prompt's noises are no extra."""
    attributes, group = wanted.scenes.attributes, wanted.group
    renders = render(wanted.scenes)
    read = tools.reader.read(images)
    features, known = tools.clip.image_features(images), tools.clip.image_features(training.images)
    scores = {
        "concept_fidelity": fidelity.concept_fidelity(read, attributes, training.concept),
        "clip_i": fidelity.clip_i(features, known),
        "adherence": fidelity.adherence(read, attributes, wanted.stated),
        "style": fidelity.style(read, attributes),
        "copying": fidelity.copying(features, known),
        "copying_renders": fidelity.copying(tools.clip.image_features(renders), known),
    }
    out = {name: interval(values.numpy(), group.numpy()) for name, values in scores.items()}
    out["diversity"] = interval(fidelity.diversity(features, group).numpy())
    out["sharpness"] = ratio(sharpness(images), sharpness(renders), group)
    return out


def score_ordinary(
    images: Tensor, untouched: Tensor, renders: Tensor, wanted: Prompts, concept: Concept, tools: Instruments
) -> dict[str, Number]:
    """Scores of pictures of ordinary prompts, drawn in as many steps from equal noise as the untouched model's.

    retention_*: against the untouched model's pictures. frechet, kid: 0 = equal sets (kid, unbiased, falls below);
    adherence, sharpness: ratios, 1 = kept. quality_*: against the world: frechet to `renders` (reader's features of
    held-out renders), adherence to the prompt, sharpness as a ratio to the renders of the same scenes. leakage: see
    `fidelity.leakage`.
    """
    attributes = wanted.scenes.attributes
    a, b = tools.reader.features(images), tools.reader.features(untouched)
    read, read_before = tools.reader.read(images), tools.reader.read(untouched)

    def adherence(read_: Tensor) -> Tensor:  # a prompt may state nothing that its style shows: such prompts count as 0
        return fidelity.adherence(read_, attributes, wanted.stated).nan_to_num(0.0)

    kept, sharp = adherence(read), sharpness(images)
    leaked = fidelity.leakage(read, attributes, wanted.stated, concept)
    return {
        "retention_frechet": jackknife(lambda k: distances.frechet(a[k], b[k]), len(a)),
        "retention_kid": jackknife(lambda k: distances.kid(a[k], b[k]), len(a)),
        "retention_adherence": ratio(kept, adherence(read_before), wanted.group),
        "retention_sharpness": ratio(sharp, sharpness(untouched), wanted.group),
        "quality_frechet": jackknife(lambda k: distances.frechet(a[k], renders), len(a)),
        "quality_adherence": interval(kept.numpy()),
        "quality_sharpness": ratio(sharp, sharpness(render(wanted.scenes)), wanted.group),
        "leakage": interval(leaked.numpy()),
    }


def few_step_gap(few: Tensor, many: Tensor, renders: Tensor, tools: Instruments) -> dict[str, Number]:
    """Quality in few steps over quality in many, of one model on one set of prompts and noise.

    renders: features of held-out renders. frechet: ratio of the distances to them (above 1: few steps are worse).
    sharpness: ratio of the high-frequency energies (below 1: few steps are blurred). Forgetting moves few and many
    steps alike, collapse only the few.
    """
    a, b = tools.reader.features(few), tools.reader.features(many)

    def distance_ratio(k: Tensor) -> float:
        return distances.frechet(a[k], renders) / distances.frechet(b[k], renders)

    return {
        "frechet": jackknife(distance_ratio, len(a)),
        "sharpness": ratio(sharpness(few), sharpness(many), torch.arange(len(few))),
    }


@torch.no_grad()
def score_cell(
    pictures: Pictures,
    untouched: dict[int, Tensor],
    renders: Tensor,
    wanted: dict[str, Prompts],
    training: ConceptPictures,
    tools: Instruments,
    settings: Evaluate,
) -> dict:
    """Score what one cell drew along its training.

    untouched: the untouched model's pictures of the ordinary prompts by NFE; a cell that drew none of its own (step 0) is
    that model. renders: see `render_features`. -> {"steps": {step: {"scenes": {nfe: {...}}, "ordinary": {nfe: {...}},
    "few_step_gap": {...}}}}; ordinary prompts in more than the few steps are scored at the last checkpoint only, but for
    the gap.
    """
    few, many = settings.few, settings.many
    steps = sorted({step for step, _, _ in pictures})
    plain = wanted["ordinary"]

    def after(step: int, nfe: int) -> Tensor:
        return untouched[nfe] if step == 0 else pictures[step, "ordinary", nfe]

    def kept(step: int, nfe: int) -> dict[str, Number]:
        return score_ordinary(after(step, nfe), untouched[nfe], renders, plain, training.concept, tools)

    out: dict[str, dict] = {}
    for step in steps:
        scenes = score_scenes(pictures[step, "scenes", few], wanted["scenes"], training, tools)
        out[str(step)] = {"scenes": {str(few): scenes}, "ordinary": {str(few): kept(step, few)}}
        if many > few:
            gap = few_step_gap(after(step, few), after(step, many), renders, tools)
            out[str(step)]["few_step_gap"] = gap
    last = steps[-1]
    drawn = untouched if last == 0 else {nfe for step, kind, nfe in pictures if (step, kind) == (last, "ordinary")}
    for nfe in sorted(set(drawn) - {few}):
        out[str(last)]["ordinary"][str(nfe)] = kept(last, nfe)
    return {"steps": out}
