"""dvc.yaml against the code and against the files in git."""

from pathlib import Path

import pytest
import yaml

from dopsd.support import paths

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
RECIPE = yaml.safe_load((ROOT / "miniature" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def outputs(stage: dict) -> dict[str, dict]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return {next(iter(e)): next(iter(e.values())) for e in (e if isinstance(e, dict) else {e: {}} for e in entries)}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_the_module_of_its_name_and_says_what_it_is_for(name):
    assert STAGES[name]["cmd"] == f"python src/stage.py {name}" and len(STAGES[name]["desc"]) > 20
    assert (ROOT / "src" / "dopsd" / "stages" / f"{name}.py").exists()


@pytest.mark.parametrize("name", [n for n in STAGES if n != "keys"])
def test_a_stage_depends_on_its_key_and_on_no_source(name):
    assert paths.key_file(name).as_posix() in STAGES[name]["deps"]
    assert not [d for d in STAGES[name]["deps"] if d.startswith(("src", "models/mini"))]


@pytest.mark.parametrize("name", [n for n in STAGES if n != "fetch"])
def test_a_stopped_stage_leaves_its_last_results(name):
    """DVC removes what a stage writes before it runs, unless it is told not to."""
    assert all(how.get("persist") for how in outputs(STAGES[name]).values())


def test_keys_see_every_section_of_params_but_who_runs_the_cells():
    sections = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(STAGES["keys"]["params"]) == set(sections) - {"execute"}
    assert {"src", "notebooks"} <= set(STAGES["keys"]["deps"])


def test_the_pipeline_is_read_in_one_sitting():
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 350
    assert len((ROOT / "dvc.lock").read_text(encoding="utf-8").splitlines()) <= 3000


def test_the_recipe_is_frozen_and_has_its_results_in_git():
    (stage,) = RECIPE.values()
    assert stage["frozen"] and all((ROOT / out).exists() for out in outputs(stage))
    assert {d for d in STAGES["keys"]["deps"] if d.startswith("models/")} == set(outputs(stage))


def test_one_file_of_numbers_is_compared_between_commits():
    assert [m for s in STAGES.values() for m in s.get("metrics", [])] == [
        {paths.SUMMARY.as_posix(): {"cache": False, "persist": True}}
    ]


@pytest.mark.parametrize(
    "study",
    [
        ".",
        "full",
        "pilot",
        "questions",
        "rewrites",
        "eight",
        "base",
        "pictures",
        "contexts",
        "domain",
        "domain-words",
        "domain-open",
        "continual",
    ],
)
def test_what_a_study_has_written_is_what_its_pipeline_says_that_it_writes(study):
    """A file that is no output is neither checked out nor seen to be missing. Also of an output that is not written."""
    here = ROOT if study == "." else ROOT / "studies" / study
    stages = yaml.safe_load((here / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    said = {out for stage in stages.values() for out, how in outputs(stage).items() if how.get("cache") is False}
    files = {f.relative_to(here).as_posix() for f in (here / "reports").rglob("*") if f.is_file()}
    lacking = [f for f in files if not any(f == out or f.startswith(f"{out}/") for out in said)]
    assert sorted(lacking) == [] and [out for out in said if not (here / out).exists()] == []
