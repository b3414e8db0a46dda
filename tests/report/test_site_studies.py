"""The studies of one question, and that of contexts, on the committed page."""

from pathlib import Path

import pytest

from dopsd.report.site import contexts, copies, page, paper, studies
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "figures"), [("rewrites", 0), ("eight", 0), ("base", 0), ("pictures", 2)])
def test_a_study_of_one_question_stands_among_the_questions(shipped, name, figures):
    study = studies.opened(ROOT / "studies" / name)
    said = paper.lines(study, name)
    assert [s.anchor for s in said] == [f"claim-{name}-{i}" for i in paper.HEADLINES[name]]
    assert all(s.measured in shipped.text and s.where in shipped.text for s in said)
    ids = shipped.all("id")
    assert f"ledger-{name}" in ids and f"figure-{name}-methods" in ids
    assert len([i for i in ids if i.startswith(f"figure-{name}-question-")]) == figures
    assert page.LATER[name] in shipped.text and f"{page.LATER[name]}: not run" not in shipped.text


def test_no_number_of_the_papers_model_stands_beside_another_model():
    (line,) = paper.lines(studies.opened(ROOT / "studies/base"), "base")
    assert line.paper == "what is lost is the few-step ability, which the base has not"


def test_who_copies_is_a_table_where_it_is_asked(shipped):
    rewrites, full = (studies.opened(ROOT / "studies" / name) for name in ("rewrites", "full"))
    assert copies.table(full, full.table("summary")) == ""
    with rewrites.called():
        rows = copies.table(rewrites, rewrites.table("summary")).splitlines()
    grid = rewrites.params.grid
    assert len(rows) == 2 + len(grid.references) + len(grid.trained) and "copy rank" in rows[0]
    found = rewrites.table("summary").set_index(["score", "method"]).value["copy_rank"]
    assert any(r.startswith("| SFT, 640 steps") and f"{found['sft_long']:.3f} [" in r for r in rows)
    assert "Who draws a training picture by heart" in shipped.text and f"{found['sft']:.3f} [" in shipped.text


def test_contexts_have_a_section_of_their_own_and_their_own_names(shipped):
    study = studies.opened(ROOT / "studies/contexts")
    asked = contexts.of(study)
    assert asked and contexts.of(studies.opened(ROOT / "studies/full")) is None
    assert {"figure-contexts-contexts", "figure-contexts-sheet", "ledger-contexts"} <= set(shipped.all("id"))
    text = shipped.text[shipped.text.index("D-OPSD's student reads the prompt, its teacher a picture, too") :]
    assert all(context.label in text for context in asked.contexts.values())
    found = study.table("contexts").set_index(["score", "context"]).value["concept_fidelity"]
    assert all(f"{v:.3f} [" in text for v in found)
    assert (
        "image_text must" not in text
        and "Known: noise" in text
        and "n = 13, whose few-step models are averaged first" in text
    )
    assert [s.anchor for s in paper.lines(study, "contexts")] == [
        f"claim-contexts-{i}" for i in paper.HEADLINES["contexts"]
    ]


def test_contexts_without_their_figure_or_table_are_one_clear_error(tmp_path):
    study = studies.opened(ROOT / "studies/contexts")
    lacking = studies.Study(tmp_path, study.params, study.records, study.controls)
    with pytest.raises(UserError, match=r"figures/sheet\.png: missing; run `dvc repro"):
        contexts.figure(lacking, "sheet")
    with pytest.raises(UserError, match=r"tables/contexts\.csv: missing; run `dvc repro"):
        contexts.headline(lacking, ["text"])
