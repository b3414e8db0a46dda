"""`dopsd tune --sharded` of a tiny model: its preset's file, and the command."""

from pathlib import Path

import yaml

from dopsd.config.params import load_preset

SHORT = ["train.tune=full", "train.steps=2", "train.checkpoints=[1]", "train.batch_size=2", "train.accumulation=1"]
SHORT += ["tune.size=64", "methods.dopsd.rollout_steps=2", "tune.nfe=2", "tune.previews.every=1"]
SHORT += ["tune.previews.prompts=['[V] in the snow', 'a street', '[V]']"]  # one more than the processes


def preset(settings, folder: Path) -> str:
    """The file of a preset of a tiny model."""
    given = load_preset("zimage", SHORT).model_copy(update={"backbone": settings})
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(given.model_dump(mode="json")))
    return str(file)


def command(preset, items, out, *more):
    folder = str(items[0].file.parent)
    return ["tune", "--images", folder, "--name", "my corgi", "--backbone", preset, "--out", str(out), *more]
