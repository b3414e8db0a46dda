from pathlib import Path

import yaml

from dopsd.support.repro import WAVES, queue

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def outputs(stage: dict) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [next(iter(e)) if isinstance(e, dict) else e for e in entries]


def test_a_waves_stages_are_queued_in_its_order_and_none_twice():
    stages = ["fetch", "train@a", "probe", "train@b", "evaluate@a", "report"]
    assert queue(stages, ("probe", "train")) == ["probe", "train@a", "train@b"]
    assert queue(stages, ("trai",)) == []


def test_every_stage_outside_of_the_waves_runs_last_or_is_frozen():
    waved = {name for wave in WAVES for name in wave}
    assert waved <= set(STAGES)
    rest = {name for name, stage in STAGES.items() if not stage.get("frozen")} - waved
    assert rest == {"miniature", "report", "notebooks"}


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
