import re
import tomllib
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from dopsd.config.params import load

ROOT = Path(__file__).parents[1]
FULL, QUESTIONS = "studies/full/reports", "studies/questions/reports"
FROM = {  # a page, and the pages that its numbers come from
    "README.md": ("reports/REPORT.md", f"{FULL}/REPORT.md", f"{FULL}/tables/summary.md", f"{QUESTIONS}/REPORT.md"),
    "studies/questions/README.md": (f"{QUESTIONS}/REPORT.md", f"{QUESTIONS}/CLAIMS.md"),
}


@pytest.mark.parametrize("page", FROM)
def test_every_interval_in_a_readme_stands_in_a_report(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    report = "".join((ROOT / f).read_text(encoding="utf-8") for f in FROM[page])
    quoted = re.findall(r"[+-]?\d+\.\d+ \[[^\]]*\d[^\]]*\]", " ".join(text.split()))
    assert quoted
    assert [q for q in quoted if q not in report] == []


def test_every_local_link_of_the_readme_leads_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_what_is_said_of_the_studys_settings_is_what_they_are():
    text = (ROOT / "docs/deviations.md").read_text(encoding="utf-8")
    with chdir(ROOT / "studies/full"):
        params = load()
    train, dopsd, wanted = params.train, params.methods["dopsd"], params.prompts
    adapter = params.methods["repair_lora"]
    assert f"| optimiser steps | 2,000 | {train.steps} |" in text
    assert f"| batch | 4 | {train.batch_size} |" in text
    assert f"| LoRA rank, alpha | 64, 128 | {train.lora_rank}, {train.lora_alpha:g} |" in text
    assert f"| teacher's EMA | .9999 | {dopsd['ema']:g} |".replace("0.", ".") in text
    assert f"| loss | paper: velocity; release: x0 | {dopsd['loss']} |" in text
    assert f"{params.methods['sft_equal']['train']['steps']} steps in place of {train.steps}" in text
    assert f"{adapter['steps']} steps on {adapter['pictures']} of the turbo's own pictures" in text
    assert f"{params.evaluate.many} guided ones" in text and f"on {wanted.ordinary} ordinary prompts" in text
    assert (wanted.new, wanted.noises, 1 + len(wanted.also_said)) == (12, 2, 3)
    assert params.methods["pso"] == {"sharpness": 5.0, "share": 0.1, "kept": 0.5, "pictures": 20, "rollout_steps": 4}
    assert params.methods["dreambooth"] == {"weight": 1.0, "pictures": 100, "rollout_steps": 4}


def test_the_citation_is_of_this_version():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert said["version"] == project["version"] and said["license"] == "Apache-2.0"
    assert [r["url"] for r in said["references"]] == ["https://arxiv.org/abs/2605.05204"]
