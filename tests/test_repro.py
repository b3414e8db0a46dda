from pathlib import Path

import yaml

from dopsd.repro import WAVES, lanes

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def outputs(stage: dict) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [next(iter(e)) if isinstance(e, dict) else e for e in entries]


def test_stages_are_dealt_out_in_turn_and_none_twice():
    stages = ["fetch", "train@a", "train@b", "train@c", "evaluate@a", "report"]
    assert lanes(stages, ("train",), 2) == [["train@a", "train@c"], ["train@b"]]
    assert lanes(stages, ("train",), 8) == [["train@a"], ["train@b"], ["train@c"]]
    assert lanes(stages, ("probe",), 2) == []


def test_no_stage_of_a_wave_needs_what_its_own_or_a_later_wave_makes():
    for k, wave in enumerate(WAVES):
        later = [outputs(STAGES[name]) for after in WAVES[k:] for name in after]
        made = [out.split("$")[0] for outs in later for out in outs]
        for name in wave:
            needed = [d.split("$")[0] for d in STAGES[name]["deps"]]
            own = [out.split("$")[0] for out in outputs(STAGES[name])]
            clash = {d for d in needed if d in made and d not in own}
            assert not clash, (name, clash)


def test_every_frozen_stage_is_of_the_recipe_and_has_its_results_in_git():
    frozen = {name for name, stage in STAGES.items() if stage.get("frozen")}
    assert frozen == {"reader", "clip", "encoder", "align", "autoencoder", "base", "turbo"}
    for name in frozen:
        assert all((ROOT / out).exists() for out in outputs(STAGES[name])), name
