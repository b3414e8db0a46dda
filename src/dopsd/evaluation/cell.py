"""Scores of one cell of the comparison: a method on a concept with a seed, on prompts and noise that all methods share.

Two sets of prompts (see `prompts`): new scenes for "[V]", drawn in few steps at every checkpoint, and ordinary prompts,
which tell what fine-tuning did to the rest of the model. The untouched model's pictures of the ordinary prompts are
drawn once a seed (`draw_reference`) and shared by every cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dopsd.evaluation import prompts
from dopsd.evaluation.drawing import draw
from dopsd.evaluation.instruments import distances, fidelity
from dopsd.evaluation.instruments.mini_clip import MiniClip
from dopsd.evaluation.instruments.reader import Reader
from dopsd.evaluation.instruments.sharpness import sharpness
from dopsd.evaluation.statistics import interval, jackknife
from dopsd.support.errors import UserError
from dopsd.support.pictures import from_bytes, to_bytes
from dopsd.support.seeds import stream
from dopsd.world.concepts import ConceptPictures
from dopsd.world.scenes import SIZE, Concept, render, sample_scenes

Number = dict[str, float | int]


@dataclass(frozen=True)
class Instruments:
    """What looks at the pictures."""

    reader: Reader
    clip: MiniClip


def latents(backbone, wanted: prompts.Prompts, seed: int) -> Tensor:
    """The noise of a set of prompts in the backbone's latent shape."""
    return wanted.noise(tuple(backbone.latent_shape(SIZE, SIZE)), seed)


def draw_reference(backbone, reader: Reader, seed: int, settings, every_nfe: bool) -> dict[str, Tensor]:
    """The untouched model on the ordinary prompts of a seed -> {"nfe_4": uint8 (n, 3, 64, 64), ..., "renders": ...}.

    renders: the reader's features (m, d) of held-out scenes of the world, the reference of plain quality; m is
    `settings.renders`. every_nfe: draw at `settings.nfe_sweep` too.
    """
    wanted = prompts.ordinary(settings.ordinary, seed)
    contexts, noise = backbone.context(wanted.texts), latents(backbone, wanted, seed)
    steps = sorted({*settings.nfe, *(settings.nfe_sweep if every_nfe else ())})
    out = {f"nfe_{nfe}": to_bytes(draw(backbone, contexts, noise, nfe, settings.batch_size)) for nfe in steps}
    renders = render(sample_scenes(settings.renders, stream("renders", seed)))
    with torch.no_grad():
        return out | {"renders": torch.cat([reader.features(part) for part in renders.split(128)])}


def ratio(values: Tensor, reference: Tensor, group: Tensor) -> Number:
    """mean(values) / mean(reference), paired, with an interval over groups (prompts). 1 = the same."""
    members = [group == k for k in group.unique()]
    a = torch.stack([values[m].mean() for m in members])
    b = torch.stack([reference[m].mean() for m in members])
    return jackknife(lambda k: (a[k].mean() / b[k].mean()).item(), len(members))


def score_scenes(
    images: Tensor, wanted: prompts.Prompts, training: ConceptPictures, tools: Instruments
) -> dict[str, Number]:
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
    images: Tensor, untouched: Tensor, renders: Tensor, wanted: prompts.Prompts, concept: Concept, tools: Instruments
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
def evaluate_cell(
    backbone,
    checkpoints: Iterable[int],
    training: ConceptPictures,
    reference: dict[str, Tensor],
    tools: Instruments,
    settings,
    *,
    seed: int,
    described: bool,
    every_nfe: bool,
) -> tuple[dict, dict[str, Tensor]]:
    """Score one cell along its training.

    backbone: draws; checkpoints: yields each training step after putting that step's weights on the backbone (a single
    0 for an untouched model). reference: what `draw_reference` gave for this seed. -> (scores, pictures): scores
    {"steps": {step: {"scenes": {nfe: {...}}, "ordinary": {nfe: {...}}, "few_step_gap": {...}}}}; ordinary prompts in more
    than the few steps are scored at the last checkpoint only, but for the gap. pictures of that checkpoint, to look at.
    """
    few, many = min(settings.nfe), max(settings.nfe)
    concept, name = training.concept, training.concept.name
    scenes = prompts.for_concept(
        name, settings.scenes, settings.noises, seed, described=described, training=training.attributes
    )
    ordinary = prompts.ordinary(settings.ordinary, seed)
    before = {int(k.removeprefix("nfe_")): from_bytes(v) for k, v in reference.items() if k.startswith("nfe_")}
    renders = reference["renders"]
    asked = backbone.context(scenes.texts), latents(backbone, scenes, seed)
    usual = backbone.context(ordinary.texts), latents(backbone, ordinary, seed)
    steps, pictures, after, step = {}, {}, {}, 0

    def again(nfe: int) -> Tensor:
        return before[nfe] if step == 0 else draw(backbone, *usual, nfe, settings.batch_size)

    for step in checkpoints:
        pictures["scenes"] = draw(backbone, *asked, few, settings.batch_size)
        after = {nfe: again(nfe) for nfe in sorted({few, many})}
        steps[str(step)] = {
            "scenes": {str(few): score_scenes(pictures["scenes"], scenes, training, tools)},
            "ordinary": {str(few): score_ordinary(after[few], before[few], renders, ordinary, concept, tools)},
        }
        if many > few:
            steps[str(step)]["few_step_gap"] = few_step_gap(after[few], after[many], renders, tools)
    if not steps:
        raise UserError(f"no checkpoint to evaluate for {name}; run the training stage first")
    for nfe in sorted({*settings.nfe, *(settings.nfe_sweep if every_nfe else ())} - {few}):
        images = after[nfe] if nfe in after else again(nfe)
        steps[str(step)]["ordinary"][str(nfe)] = score_ordinary(images, before[nfe], renders, ordinary, concept, tools)
    pictures |= {"ordinary_few": after[few], "ordinary_many": after[many]}
    return {"steps": steps}, pictures
