"""`dopsd tune --dry-run`: what would be trained, where, with how much memory and time. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dopsd.backbones.base import Backbone
from dopsd.commands import measure
from dopsd.commands.export import RECIPE
from dopsd.commands.tune import WORK, checked, the_method
from dopsd.config.backbone import Backbone as Settings
from dopsd.config.params import load_preset
from dopsd.config.preset import Preset
from dopsd.sets.items import Item
from dopsd.study import plan
from dopsd.support.errors import UserError
from dopsd.support.files import number
from dopsd.training import state
from dopsd.training.identity import Identity, begun, goes_on
from dopsd.training.results import LOG_FILE, TIME_FILE


def outlook(
    preset: Preset,
    items: Sequence[Item],
    out: Path,
    measured: bool,
    shards: bool = False,
    memory: float | None = None,
) -> list[str]:
    """Lines that say it. items: those with captions; the others' are not written yet. shards: processes share the model out.
    memory: GiB of the GPU to keep within. UserError as `tune.tune` has it."""
    backbone, cut = checked(preset, items, measured, shards, memory)
    train, method = preset.train, the_method(preset)
    identity = Identity.of(backbone, list(items), method, train, preset.tune.seed, preset.tune.learning_rate)
    forwards = train.steps * train.batch_size * method.needs.forwards
    kept = ", ".join(map(str, train.kept))
    return [
        *_captions(backbone, items),
        *(f"cut: {line}" for line in cut),
        f"method: {method.name}, learning rate {preset.tune.learning_rate:g}, seed {preset.tune.seed}, {_tuned(preset)}",
        f"steps: {train.steps} of {train.batch_size} pictures, {forwards:,} forwards of the generator; kept: {kept}",
        f"where: {out}, {_standing(out, identity)}",
        plan.memory(_at_hand(preset.backbone), train),
        *([f"kept within {memory:g} GiB: as few blocks are checkpointed as that allows"] if memory is not None else []),
        _time(preset, out),
        f"measured: {'with ' + ', '.join(k for k, v in preset.instruments.items() if v is not None) if measured else 'no'}",
        "nothing is written: a dry run",
    ]


def _captions(backbone: Backbone, items: Sequence[Item]) -> list[str]:
    readings = [backbone.reads(text) for item in items for text in item.captions.values()]
    if not readings:
        return []
    most = max(r.tokens for r in readings)
    return [f"captions: {len(readings)}, of up to {most} tokens; the model reads {readings[0].limit}"]


def _tuned(preset: Preset) -> str:
    train = preset.train
    if train.tune != "lora":
        return "all weights"
    return f"LoRA of rank {train.lora_rank}, alpha {train.lora_alpha:g}: scale {train.lora_alpha / train.lora_rank:g}"


def _standing(out: Path, identity: Identity) -> str:
    """What is in the folder already; UserError where another training is in the way."""
    checkpoints, steps = out / measure.CHECKPOINTS, identity.parts["train"]["steps"]
    if checkpoints.exists():
        found = Identity.read(checkpoints)
        if found and found.name == identity.name:
            return f"where it is finished{'' if measure.scored(out) else ', and not measured'}"
        goes_on(checkpoints, identity)
        return f"where it goes on from step {max(state.kept(checkpoints))} of {steps}"
    folder = begun(out / WORK, identity, exclusive=True)
    if folder and (folder / LOG_FILE).exists():
        return "where it is trained, and not yet shown"
    reached = max(state.kept(folder), default=0) if folder else 0
    return f"where it goes on from step {reached} of {steps}" if reached else "anew"


def _at_hand(settings: Settings) -> Settings:
    """The same model in its folder on this machine, where the hub's files are here already."""
    if Path(settings.model).is_dir():
        return settings
    from huggingface_hub import snapshot_download

    how = {"revision": settings.revision, "local_files_only": True, "allow_patterns": ["transformer/*"]}
    try:
        return settings.model_copy(update={"model": snapshot_download(settings.model, **how)})
    except (OSError, ValueError):
        return settings


def _time(preset: Preset, out: Path) -> str:
    """From trainings with the same settings that have ended beside this one."""
    each = []
    for file in sorted(out.parent.glob(f"*/{measure.CHECKPOINTS}/{TIME_FILE}")):
        try:
            if _alike(preset, load_preset(str(file.parents[1] / RECIPE))):
                each.append(number(file, "seconds") / number(file, "steps"))
        except UserError:  # another's, or of another version
            continue
    if not each:
        return f"time: not known before a training with these settings has ended in {out.parent}; its bar says it"
    seconds = preset.train.steps * sum(each) / len(each)
    said = f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.1f} minutes"
    return (
        f"time: about {said} of steps, as {len(each)} with these settings took; encoding, previews and measuring beside"
    )


def _alike(mine: Preset, other: Preset) -> bool:
    free = {"steps", "checkpoints", "save_every", "states"}
    trains = (p.train.model_dump(exclude=free) for p in (mine, other))
    how = ((p.backbone, p.tune.size, p.tune.method, p.methods[p.tune.method]) for p in (mine, other))
    return next(trains) == next(trains) and next(how) == next(how)
