"""`dopsd tune`: from a folder of pictures to a LoRA that other tools open.

Whatever ends it, and whenever, the same command goes on: each part of the work leaves files that appear whole, what has them
is not done again, and `checkpoints/` comes after all that is made of it. Measuring comes last, and its card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from torch import Tensor

from dopsd import backbones, objectives
from dopsd.backbones import quantized
from dopsd.backbones.base import Backbone
from dopsd.backbones.hub import has_random_weights
from dopsd.commands import measure
from dopsd.commands.export import RECIPE, export
from dopsd.commands.gallery import Gallery, keep, show
from dopsd.commands.measure import CHECKPOINTS
from dopsd.config.preset import Preset
from dopsd.evaluation.drawing import check_words
from dopsd.evaluation.rows import PLACEHOLDER
from dopsd.report.card import CARD, NOT_MEASURED, write_card
from dopsd.sets.items import Item
from dopsd.sets.listing import mark
from dopsd.support import sealed
from dopsd.support.alone import alone
from dopsd.support.errors import UserError, nearest, printable
from dopsd.support.files import remove, replace, tidy, write_text
from dopsd.support.text import read_text, slug
from dopsd.training import budget, prepared, results, shard_states, sharded, texts
from dopsd.training.encoded import Encoded
from dopsd.training.identity import Identity, claim, goes_on
from dopsd.training.loop import Preview, check, train
from dopsd.training.results import LOG_FILE
from dopsd.training.stop import Stopped
from dopsd.training.weights import WHOLE, fits, put

WORK, FEATURES, PREVIEWS, GALLERY = "work", "features", "previews", "gallery"


def the_method(preset: Preset) -> objectives.Method:
    """The method of a preset, with its settings."""
    return objectives.method(preset.tune.method, preset.methods, preset.where)


def plain() -> list[str]:
    """The methods that a set and a model are enough for."""
    return [n for n in objectives.names() if not hasattr(objectives.objective(n), "preparation")]


def checked(
    preset: Preset, items: Sequence[Item], measured: bool, shards: bool = False, memory: float | None = None
) -> tuple[Backbone, list[str]]:
    """All that can be wrong with a training, before any work: UserError. Opens what is small, writes nothing. shards: its
    processes share the model out among them. memory: GiB of a GPU that it is kept within.

    -> the backbone, and a line for every text that is longer than what the model reads."""
    method, model = the_method(preset), preset.backbone
    needs = method.needs
    if needs.another:
        raise UserError(
            f"methods.{method.name}: shows another concept's pictures, and there is one here; set shown: itself"
        )
    if prepared.of(method):
        raise UserError(
            f"tune.method: {method.name} prepares something before it trains, which studies do (`dvc repro`); choose one of "
            f"{', '.join(plain())}"
        )
    if method.train:
        raise UserError(f"methods.{method.name}.train: is for a study's methods; set the section train")
    if shards:
        sharded.check(preset.train)
    processes = measure.processes(model).num_processes
    if measured:
        measure.check(preset, list(items))
    backbone = backbones.load(model)
    quantized.check(model.quantize, backbone.device, model.compile_blocks)
    fits(model, preset.train)
    check(backbone, preset.train, processes)
    if memory is not None:
        if shards:
            raise UserError(f"--memory {memory:g}: not with --sharded, whose processes must gather the same blocks")
        budget.check(memory, backbone.device, preset.train)
    _targets(backbone, preset)
    prompts = preset.tune.previews.prompts
    for text in (*prompts, *(t for item in items for t in item.captions.values())):
        check_words(backbone.tokenizer, text)
    return backbone, texts.check(backbone, items, needs.seen) + texts.cut(backbone, prompts)


def _targets(backbone: Backbone, preset: Preset) -> None:
    """UserError where a LoRA is to tune layers that the model has not: peft leaves them out in silence."""
    layers = backbone.layers() if preset.train.tune == "lora" else []
    for target in preset.train.lora_targets if layers else ():
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            known = {part for name in layers for part in (name.rpartition(".")[2], ".".join(name.split(".")[-2:]))}
            where = preset.where("train", "lora_targets")
            raise UserError(
                f"{where}: train.lora_targets: {target!r}: the model has no such layer{nearest(target, sorted(known))}"
            )


@dataclass(frozen=True)
class Job:
    """One training of a person's pictures, in a folder of its own. said: what the card says of them and their texts. shards:
    its processes share the model out among them. memory: GiB of a GPU that it is kept within."""

    preset: Preset
    items: list[Item]
    name: str
    out: Path
    said: list[str]
    backbone: Backbone
    identity: Identity
    shards: bool = False
    memory: float | None = None

    @property
    def checkpoints(self) -> Path:
        return self.out / CHECKPOINTS

    @property
    def main(self) -> bool:
        return measure.processes(self.preset.backbone).is_main_process

    def wait(self) -> None:
        measure.processes(self.preset.backbone).wait_for_everyone()

    def trained(self) -> bool:
        """Whether this very training is finished and published, with every checkpoint as it was written."""
        found, owner = Identity.read(self.checkpoints), self.identity.owner()
        same = found is not None and found.name == self.identity.name
        return same and results.finished(self.checkpoints, self.preset.train.kept, owner)

    def shown(self) -> bool:
        """Whether all that is made of it is there, and of this training."""
        made = all((self.out / name).exists() for name in (CARD, RECIPE, f"{GALLERY}.png", GALLERY))
        if not made or self.preset.train.tune != "lora":
            return made
        try:
            sealed.check(self.out, self.owner)
        except sealed.Damaged:
            return False
        return True

    @property
    def owner(self) -> dict[str, str]:
        """Of what is made of the training: unlike its checkpoints, not good for another number of steps."""
        return {"training": self.identity.name}

    def earlier(self) -> Path | None:
        """The finished training of fewer steps that this one goes on from; UserError where another one is in the way."""
        found = Identity.read(self.checkpoints) if self.checkpoints.exists() else None
        if self.checkpoints.exists() and (found is None or found.name != self.identity.name):
            goes_on(self.checkpoints, self.identity)
        return self.checkpoints if self.checkpoints.exists() else None


def tune(
    preset: Preset,
    items: list[Item],
    name: str,
    out: Path,
    measured: bool = True,
    said: Sequence[str] = (),
    shards: bool = False,
    memory: float | None = None,
) -> Path:
    """Fine-tune preset.backbone on items and write everything to `out`: the LoRA for diffusers and ComfyUI, a card, a
    gallery, previews, checkpoints, the loss, the preset and, if `measured`, the scores. Called again after a stop, however it
    came, it goes on and ends with the same files; with more steps after the end, too.

    said: what the card says of the pictures. shards: full fine-tuning whose processes share the model out among them (see
    `training.sharded`), which is no part of what is trained; no more is memory, the GiB of a GPU that the training is kept
    within (see `training.budget`). UserError where something is wrong, before work begins; where
    another training is in `out`; alone.Busy where another process writes there; Stopped on Ctrl-C, with all that was done
    kept.
    """
    try:
        backbone, cut = checked(preset, items, measured, shards, memory)
        settings = preset.tune
        with alone(out, f"a training of {name}"):
            how = the_method(preset), preset.train, settings.seed, settings.learning_rate
            identity = Identity.of(backbone, items, *how)
            job = Job(preset, items, name, out, [*said, *cut], backbone, identity, shards, memory)
            _run(job, cut, measured)
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on from what is done") from None
    return out


def _run(job: Job, cut: list[str], measured: bool) -> None:
    state, out, trained = measure.processes(job.preset.backbone), job.out, job.trained()
    shown = trained and job.shown()
    if shown and (not measured or measure.scored(out)) and not _card_is_old(job):
        _say(job, f"{out}: finished before, {job.preset.train.steps} steps{', and measured' if measured else ''}")
        return
    earlier = None if trained else job.earlier()
    with state.main_process_first():
        if state.is_main_process:
            if not trained:
                claim(out / WORK, job.identity, exclusive=True)
            mark(out)
            tidy(out)
    if not trained:
        for folder in (out / WORK / job.identity.name, earlier):
            shard_states.check(folder, job.shards)
    if measured:  # what is missing is said before the training, not after it
        asked = measure.prepare(job.preset, job.items, out)
        cut = cut + texts.cut(job.backbone, [row.text for row in asked])
    for line in cut:
        _say(job, f"cut: {line}")
    if not shown:
        _train_and_show(job, trained, earlier)
    if measured and not measure.scored(out):
        measure.measure(job.preset, job.items, out, weights(out, job.preset))
    if job.main:
        card(out, job.preset, job.items, job.name, job.said)
    job.wait()
    _say(job, f"{out}: {CARD} says what is there; {GALLERY}.png shows it")


def _train_and_show(job: Job, trained: bool, earlier: Path | None) -> None:
    """The training, unless it is published already, and what is made of it, with the checkpoints as the last."""
    settings, backbone, state = job.preset.tune, job.backbone, measure.processes(job.preset.backbone)
    gallery = Gallery.of(backbone, settings.previews.prompts, settings.size, settings.nfe, settings.previews.seed)
    if not trained:  # all encoding comes before the transformer is opened: a small GPU holds one or the other
        with state.main_process_first():
            Encoded(backbone, job.items, the_method(job.preset).needs.seen, job.out / FEATURES)
    backbone.free_encoders()
    before = gallery.drawn(backbone)
    finished = job.checkpoints if trained else _train(job, gallery, before, earlier)
    backbone.transformer = None  # opened anew: what is shown is what a fresh model draws with the exported files
    backbone.free_encoders()
    last = results.step_folder(finished, job.preset.train.steps)
    lora = job.preset.train.tune == "lora"
    if lora and job.main:
        facts = {"class": job.items[0].class_name} | ({"trigger": PLACEHOLDER} if names_it(job.items) else {})
        export(job.preset.backbone.name, last, job.out, slug(job.name), facts, job.owner)
    job.wait()
    put(backbone, job.out if lora else last)
    after = gallery.drawn(backbone)
    if job.main:
        _publish(job, gallery, {"untouched": before, "tuned": after}, finished)
    job.wait()
    backbone.transformer = None


def _train(job: Job, gallery: Gallery, before: Tensor, earlier: Path | None) -> Path:
    """-> the folder of the finished training."""
    settings, backbone = job.preset.tune, job.backbone

    def preview(step: int) -> None:
        now = {"untouched": before} if step == 0 else {"untouched": before, f"step {step}": gallery.drawn(backbone)}
        if job.main:
            folder = job.out / PREVIEWS / f"step-{step:05d}"
            show(now, gallery.prompts, folder.with_suffix(".png"))
            keep(dict([list(now.items())[-1]]), folder)

    run = sharded.train if job.shards else partial(train, keep_state=True)
    with budget.within(backbone.transformer, job.memory, backbone.device):
        return run(
            backbone,
            job.items,
            the_method(job.preset),
            job.preset.train,
            seed=settings.seed,
            learning_rate=settings.learning_rate,
            work=job.out / WORK,
            name=job.name,
            cache=job.out / FEATURES,
            preview=Preview(settings.previews.every, preview),
            exclusive=True,
            earlier=earlier,
        )


def _publish(job: Job, gallery: Gallery, rows: dict[str, Tensor], finished: Path) -> None:
    """Write what is made of a training, and put its checkpoints in their place."""
    out = job.out
    show(rows, gallery.prompts, out / f"{GALLERY}.png")
    keep(rows, out / GALLERY)
    write_text(yaml.safe_dump(job.preset.model_dump(mode="json"), sort_keys=False), out / RECIPE)
    if measure.training(out) != job.identity.name:
        for stale in (measure.FILE, measure.TABLE, measure.PICTURES):  # of a training of fewer steps
            remove(out / stale)
    card(out, job.preset, job.items, job.name, job.said)
    if finished != job.checkpoints:
        replace(finished, job.checkpoints)


def _card_is_old(job: Job) -> bool:
    """Whether the card says that nothing is measured, though something is: a run was killed between the two."""
    return bool(measure.scores_of(job.out)) and NOT_MEASURED in read_text(job.out / CARD)


def _say(job: Job, line: str) -> None:
    if job.main:
        print(printable(line))


def measure_again(preset: Preset, items: list[Item], name: str, out: Path, said: Sequence[str]) -> None:
    """Measure a finished training, and write its card anew. In all processes."""
    main, backbone = measure.processes(preset.backbone).is_main_process, backbones.load(preset.backbone)
    cut = texts.check(backbone, items, the_method(preset).needs.seen)
    cut += texts.cut(backbone, preset.tune.previews.prompts)
    asked = measure.prepare(preset, items, out)
    for line in cut + texts.cut(backbone, [row.text for row in asked]):
        if main:
            print(printable(f"cut: {line}"))
    measure.measure(preset, items, out, weights(out, preset))
    if main:
        card(out, preset, items, name, [*said, *cut])


def weights(out: Path, preset: Preset) -> Path:
    """The folder of a finished training's last weights, for `weights.put`."""
    return out if preset.train.tune == "lora" else results.step_folder(out / CHECKPOINTS, preset.train.steps)


def names_it(items: Sequence[Item]) -> bool:
    """Whether a caption names the concept, so that there is a word to call it by."""
    return any(PLACEHOLDER in text for item in items for text in item.captions.values())


def card(out: Path, preset: Preset, items: Sequence[Item], name: str, said: Sequence[str]) -> None:
    """Write the model card of a training, with the scores if it is measured. said: of its pictures, a line each."""
    method = the_method(preset)
    if preset.train.tune == "lora":
        found = sorted([*out.glob("*.safetensors"), *out.glob("comfyui/*.safetensors")])
    else:
        found = [weights(out, preset) / WHOLE]
    facts: dict[str, object] = {"files": [f.relative_to(out) for f in found], "scores": measure.scores_of(out)}
    facts |= {"method": method.objective.SAYS, "rollout": method.needs.rollout_steps if method.needs.teacher else 0}
    facts |= {"trigger": PLACEHOLDER if names_it(items) else None, "log": f"{CHECKPOINTS}/{LOG_FILE}"}
    facts |= {"random_weights": has_random_weights(preset.backbone.model), "said": list(said)}
    write_card(out, name=name, preset=preset, items=items, **facts)
