"""The page as a browser reads it: the committed one, and one of a repository that is made up."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pages import PAGE, Read
from PIL import Image

from dopsd.report import names, sections
from dopsd.report.comparison import cut_sheet
from dopsd.report.site import captions, images, opening, page, paper, places, render, studies
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]
SECTIONS = (
    "problem",
    "eye",
    "method",
    "comparison",
    "baselines",
    "questions",
    "contexts",
    "full",
    "ledger",
    "real",
    "foot",
)
REPORTS = ("REPORT.md", "claims.json", "controls.json", "summary.json", "tables", "metrics")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The root's committed reports and models' names in a folder of its own, where no other study has been run."""
    for name in REPORTS:
        source, target = ROOT / "reports" / name, tmp_path / "reports" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(ROOT / "reports/pictures/prompts", tmp_path / "reports/pictures/prompts")
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "studies/questions").mkdir(parents=True)
    (tmp_path / "studies/questions/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(file, edit):
    found = json.loads(file.read_text(encoding="utf-8"))
    edit(found)
    file.write_text(json.dumps(found), encoding="utf-8")


def test_nothing_is_loaded_from_outside(shipped):
    assert shipped.open == [] and "://" not in "".join(shipped.all("href"))
    assert all(uri.startswith("data:image/webp;base64,") for uri in shipped.all("src"))
    assert not {tag for tag, _ in shipped.tags} & {"iframe", "object", "embed", "base", "video", "audio", "form"}
    assert [attrs for tag, attrs in shipped.tags if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|<script[^>]+src", PAGE.read_text(encoding="utf-8"))
    assert PAGE.stat().st_size < 15e6


def test_every_anchor_leads_somewhere_and_every_file_that_is_linked_is_there(shipped):
    ids, links = shipped.all("id"), [h for h in shipped.all("href") if not h.startswith("data:")]
    assert len(ids) == len(set(ids)) and set(SECTIONS) <= set(ids)
    assert [h for h in links if h.startswith("#") and h[1:] not in ids] == []
    files = {h for h in links if not h.startswith("#")}
    assert files and [f for f in files if not (PAGE.parent / f).exists()] == []


def test_every_picture_says_what_it_shows_and_every_figure_has_its_data_and_command(shipped):
    pictures = [attrs for tag, attrs in shipped.tags if tag == "img"]
    assert len(pictures) > 200 and all(len(p["alt"]) > 15 and int(p["width"]) >= 128 for p in pictures)
    figures = [attrs["id"] for tag, attrs in shipped.tags if tag == "figure"]
    raw = PAGE.read_text(encoding="utf-8")
    for figure in figures:
        caption = raw[raw.index(f'<figure id="{figure}"') :].split("<figcaption>")[1].split("</figcaption>")[0]
        assert ">Data</a>" in caption and "<code>dvc repro" in caption, figure
    assert {f"figure-full-{name}" for name in ("comparison", "methods", "front", "trajectory")} <= set(figures)


def test_every_caption_says_how_many_in_how_many_steps_and_of_which_seed(shipped):
    for name in ("methods", "front", "openness"):
        caption = next(
            a["alt"] for tag, a in shipped.tags if tag == "img" and a["alt"].startswith(captions.kinds()[name].title)
        )
        assert (
            "n = 13" in caption
            and "seeds 0, 1" in caption
            and "of 40 optimiser steps" in caption
            and "4 steps" in caption
        )


def test_every_number_of_the_opening_stands_in_the_ledger_or_in_a_table(shipped):
    raw = PAGE.read_text(encoding="utf-8")
    cards = Read(raw.split('<div class="answers">')[1].split("<h3>What would change")[0].rsplit("</div>", 1)[0]).text
    said = re.findall(r"[+-]?\d+\.\d+(?: \[[^\]]+\])?", cards)
    ledger = (ROOT / "studies/full/reports/CLAIMS.md").read_text(encoding="utf-8")
    report = (ROOT / "studies/full/reports/REPORT.md").read_text(encoding="utf-8")
    costs = json.loads((ROOT / opening.COSTS).read_text())["methods"]["dopsd"]
    timed = {f"{costs[k]:.2f}" for k in ("seconds_over", "mib_over")}
    assert len(said) > 40 and [n for n in said if n not in ledger and n not in report and n not in timed] == []


def test_the_shipped_page_is_of_the_shipped_ledger(shipped):
    for name in ("", "studies/full"):
        for record in json.loads((ROOT / name / "reports/claims.json").read_text(encoding="utf-8")):
            anchor = f"claim-{Path(name).name or 'sample'}-{record['id']}"
            assert anchor in shipped.all("id") and " ".join(record["claim"].split()) in shipped.text


def test_equal_files_give_equal_bytes_and_what_is_not_run_is_said(repository):
    text = page.write()
    assert page.write() == text
    read = Read(text)
    assert read.open == [] and "not run. dvc repro studies/questions/dvc.yaml runs it" in read.text
    assert "full fine-tuning on a domain of many pictures" in read.text.lower()
    assert "No study of this repository asks it yet" in read.text
    assert "Not asked" in read.text  # of the remedies, in the root's study
    assert "prompts are not on record" in read.text and "not written down" in read.text


def test_a_later_study_that_has_been_run_has_its_section_and_its_ledger(repository):
    source, target = ROOT / "studies/full", repository / "studies/questions"
    shutil.copy(source / "params.yaml", target / "params.yaml")
    for name in ("REPORT.md", "claims.json", "controls.json"):
        (target / "reports").mkdir(exist_ok=True)
        shutil.copy(source / "reports" / name, target / "reports" / name)
    shutil.copytree(source / "reports/tables", target / "reports/tables")
    read = Read(page.write())
    assert read.open == [] and "studies/questions/dvc.yaml runs it" not in read.text
    assert {"ledger-sample", "ledger-questions", "claim-questions-learns"} <= set(read.all("id"))
    assert "../studies/questions/reports/claims.json" in read.all("href")
    assert "D-OPSD's own questions" in read.text and "Every trained method of this study" in read.text


def test_names_are_shown_as_they_are(repository):
    odd = "a <b>&\"' name | <script>alert(1)</script>"
    change(repository / "reports/claims.json", lambda found: found[0].update(claim=odd, against=odd, seen=odd))
    params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    params["methods"]["sft"] = {"label": odd, "like": "sft"}
    text = page.write()
    assert "<b>&\"'" not in text and "<script>alert" not in text
    assert Read(text).text.count("a <b>&\"' name") >= 4


def test_markdown_is_never_html():
    bad = "| a<b>x | [l](tables/x.csv) |\n|:--|--:|\n| <img src=x onerror=y> &lt;i&gt; **b** | 1<br>2 [e](http://e.org) |\n"
    out = str(render.html(bad, lambda file: f"../{file}"))
    assert "<img" not in out and "<b>" not in out and "<strong>b</strong>" in out and "1<br>2" in out
    assert 'href="../tables/x.csv"' in out and "e.org" not in out
    assert '<table class="sortable">' in out and str(render.line("*a* b")) == "<em>a</em> b"


def test_a_study_that_has_not_been_run_is_none_and_a_broken_ledger_is_said(repository):
    assert list(studies.found()) == ["sample"]
    (repository / "reports/claims.json").write_text("{}")
    with pytest.raises(UserError, match=r"claims\.json: no list of claims"):
        studies.found()
    (repository / "reports/claims.json").unlink()
    with pytest.raises(UserError, match="missing; run `dvc repro`"):
        page.write()


def test_a_question_is_answered_by_its_first_claim(repository):
    sample = studies.found()["sample"]
    with sample.called():
        asked = opening.Question("?", ("learns", "binds"))
        yes = opening.answer(sample, asked)
        assert yes.lead == "Yes, by its own interval alone" and [s.verdict for s in yes.said][1] == "fails"
        assert opening.answer(sample, opening.Question("?", ("binds",))).lead == "No"
        assert opening.answer(sample, opening.Question("?", ("nothing", "learns"))).lead == "Not asked"
        assert "An interval that lies wholly at >= 0.1 would turn it" in yes.said[1].turns
        assert opening.undecided(sample).lead == "Nothing"


def test_the_cheapest_is_the_cheapest_of_those_that_hold():
    full = studies.opened(ROOT / "studies/full")
    with full.called():
        found = opening.cheapest(full)
        costs, keeps = full.table("costs").set_index("method").forwards_over, [s.anchor for s in found.said]
    holding = [r["method"] for r in full.records if f"claim-full-{r['id']}" in keeps and r["verdict"] == "holds"]
    assert holding and found.lead.startswith(f"Base LoRA, at {costs[holding].min():.2f} times")


def test_no_score_is_called_without_its_prompts(shipped):
    raw = PAGE.read_text(encoding="utf-8")
    heads = set(re.findall(r'<th scope="col">([^<]*)</th>', raw))
    assert {"new scenes: contrast over renders", "ordinary prompts: KID to untouched"} <= heads
    assert not heads & set(sections.SHORT.values())
    plain = [names.score_label(s, 4, 32) for s in names.SCORES if not s.startswith(("step", "forwards"))]
    unplaced = [p for p in plain if not p.startswith(("new scenes", "ordinary prompts"))]
    assert unplaced and [p for p in unplaced if f"<td>{p}</td>" in raw] == []
    for kind in ("methods", "trajectory", "question", "front"):
        caption = captions.kinds()[kind].caption
        assert "new scenes" in caption and "ordinary prompts" in caption


@pytest.mark.parametrize(
    ("score", "where"),
    [
        ("contrast_kept", "new scenes, few steps"),
        ("guided_blur_read", "new scenes, many guided steps"),
        ("new_gap_blur", "new scenes, few steps beside many guided ones"),
        ("gap_growth_blur", "ordinary prompts, few steps beside many guided ones"),
        ("retention_kid", "ordinary prompts, few steps"),
        ("leakage_open", "ordinary prompts, few steps"),
        ("copy_rank", "training pictures in other words, few steps"),
        ("copying", "new scenes, few steps"),
    ],
)
def test_a_score_says_of_which_prompts_and_steps_it_is(score, where):
    assert places.place(score) == where


def test_columns_that_are_not_shown_are_folded_and_named():
    text = "|  | what | a | b |\n|:--|:--|--:|--:|\n| kept: x | *y* | 1 | 2\\|3 |\n"
    out = str(render.narrow(text, ["a"], {"b": "new scenes: b", "kept: x": "ordinary prompts: x"}))
    read, (shown, rest) = Read(out), out.split("<details>")
    assert read.open == [] and "<summary>Further columns: what; new scenes: b</summary>" in rest
    assert "1" in shown and "2|3" not in shown and "2|3" in rest and "<em>y</em>" in rest
    assert read.text.count("ordinary prompts: x") == 2 and "kept" not in out
    assert "details" not in str(render.narrow(text, ["what", "a", "b"], {}))


def test_headline_claims_are_claims_that_the_paper_makes():
    for study, ids in paper.HEADLINES.items():
        known = {c["id"]: c for c in yaml.safe_load((ROOT / f"studies/{study}/claims.yaml").read_text())["claims"]}
        assert set(ids) <= set(known) and not [i for i in ids if known[i]["paper"].startswith("not ")]


def test_beside_the_paper_stands_the_ledgers_number_with_its_unit_and_place(shipped):
    found = paper.lines(studies.opened(ROOT / "studies/full"), "full")
    assert [s.anchor for s in found] == [f"claim-full-{i}" for i in paper.HEADLINES["full"]]
    ledger = (ROOT / "studies/full/reports/CLAIMS.md").read_text(encoding="utf-8")
    assert all(f"| {s.measured} over" in ledger and s.unit and "concepts" in s.where for s in found)
    by = {s.anchor.removeprefix("claim-full-"): s for s in found}
    assert by["baseline-loses-contrast"].paper.endswith("(Quality: SFT 2.4236, Untouched 3.5088)")
    assert by["follows"].paper == "Table 1, CLIP-S (CLIP-S: D-OPSD 0.3664, SFT 0.3095)"
    assert by["states"].paper == "the ablation of on-policy states"  # no table has a row of it
    assert by["sharper"].verdict == "holds by its own interval alone" and by["states"].verdict == "not decidable"
    assert all(s.measured in shipped.text and s.paper in shipped.text for s in found)


def test_what_was_seen_beside_a_claim_is_linked_and_what_is_not_run_is_said(shipped):
    found = {s.anchor: s for s in paper.lines(studies.opened(ROOT / "studies/questions"), "questions")}
    assert found["claim-questions-live-collapses"].seen == "figure-questions-question-teacher"
    assert found["claim-questions-live-collapses"].seen in shipped.all("id")
    (line,) = paper.not_run("domain", "full fine-tuning")
    assert (line.verdict, line.measured, line.anchor) == ("not run", "", "")
    assert line.paper == "FID: SFT 82.2, D-OPSD 40.49, Untouched 48.69"
    assert (
        paper.not_run("pilot", "sizes") == [] and "Z-Image-Turbo itself (the paper's Table 1): not run" in shipped.text
    )


@pytest.mark.parametrize("name", ["domain", "continual"])
def test_full_fine_tuning_and_chains_stand_on_the_page_with_their_claims(shipped, name):
    study = studies.opened(ROOT / "studies" / name)
    said = paper.lines(study, name)
    assert [s.anchor for s in said] == [f"claim-{name}-{i}" for i in paper.HEADLINES[name]]
    assert all(s.measured in shipped.text and s.where in shipped.text for s in said)
    assert all(f"; {4 if name == 'domain' else 5} {study.units}" in s.where for s in said)
    wanted = {"domain": "figure-domain-trajectory", "continual": "figure-continual-continual"}[name]
    assert wanted in shipped.all("id") and captions.unit(study).split(",")[0] in shipped.text


def test_what_remains_after_each_training_is_a_table_a_method(shipped):
    found = pd.read_csv(ROOT / "studies/continual/reports/tables/continual.csv")
    row = found[(found.score == "first_fidelity") & (found.method == "dopsd")].set_index("training").value
    assert len(row) == 3 and all(f"{v:.3f} [" in shipped.text for v in row)
    assert shipped.text.count("the first concept: fidelity since its training") == 3
    assert "set of 3 concepts, n = 5, of which both orders on 2 few-step models are averaged first" in shipped.text
    assert (
        "over 5 sets; turbo 0" in shipped.text
        and captions.last(studies.opened(ROOT / "studies/continual"))
        == "After the last of 3 trainings of 40 optimiser steps"
    )


def test_sheets_are_taken_apart_to_the_pixel(full, called):
    folder = ROOT / "studies/full/reports/figures/sheets"
    prompts = pd.read_csv(folder / "prompts.csv")
    texts = list(prompts.loc[prompts.concept == "riso", "prompt"])
    cells = cut_sheet(folder / "riso.png", full, "riso", texts)
    assert "described" not in cells and len(cells["sft"]) == 8 and cells["sft"][0].shape == (64, 64, 3)
    sheet = np.asarray(Image.open(folder / "riso.png").convert("RGB")).astype(int)
    shown = np.kron(cells["dopsd"][0], np.ones((2, 2, 1), np.uint8))
    spots = [(y, x) for y in range(0, 1200) for x in range(250, 340) if (sheet[y, x] == shown[0, 0]).all()]
    assert any(np.array_equal(sheet[y : y + 128, x : x + 128], shown) for y, x in spots)
    with pytest.raises(UserError, match=r"riso\.png: not the sheet of these rows and prompts"):
        cut_sheet(folder / "riso.png", full, "beacon", texts)


def test_pictures_are_held_without_loss():
    import base64
    import io

    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    held = images.held(Image.fromarray(pixels), "noise")
    again = Image.open(io.BytesIO(base64.b64decode(held.uri.split(",")[1]))).convert("RGB")
    assert np.array_equal(np.asarray(again), pixels) and (held.width, held.height) == (64, 64)


def test_a_caption_names_the_scores_and_the_bands_that_its_figure_has(shipped):
    said = {name: captions.facts(studies.opened(ROOT / "studies" / name)) for name in ("full", "domain")}
    assert "nearness to the domain" in said["domain"]["scenes"] and "Fréchet" in str(said["domain"]["nearness"])
    assert said["full"]["scenes"] == "concept fidelity (a share), blur (pixels)" and said["full"]["nearness"] == ""
    assert (
        str(said["full"]["behind"]).startswith("First row: SFT and D-OPSD;")
        and "Bands are 95 % intervals." in shipped.text
    )
    assert "green: with another LoRA" in str(said["full"]["colours"]) and "green" not in str(said["domain"]["colours"])
    assert "seed 0 alone" in str(said["full"]["swept"]) and said["domain"]["swept"] == said["domain"]["unit"]


def test_what_stands_beneath_a_figure_says_of_what_it_is():
    full = studies.opened(ROOT / "studies/full")
    for name, kind in captions.kinds().items():
        foot = captions.foot(full, kind)
        assert "{" not in foot and (foot.startswith("Study full") or name in ("comparison", "names", "recipe")), name
    methods = captions.foot(full, captions.kinds()["methods"])
    for part in (
        "Study full; 4 steps of drawing. After the last of 40 optimiser steps",
        "n = 13",
        "95 % intervals over the concepts",
    ):
        assert part in methods
    assert "over the sets" in captions.foot(studies.opened(ROOT / "studies/continual"), captions.kinds()["continual"])


def test_a_study_that_is_reported_is_called_as_its_folder(tmp_path, monkeypatch, full):
    for folder, name in ((tmp_path / "studies" / "mine", "mine"), (tmp_path, "sample")):
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        assert studies.here(full).name == name
