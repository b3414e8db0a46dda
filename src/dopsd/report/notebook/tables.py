"""Tables of a study's reports, narrow enough for a notebook's page, each with its unit and its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dopsd.config import contexts
from dopsd.report import claimed, front, miniature, page, sections
from dopsd.report.contexts import tables as of_contexts
from dopsd.report.names import label
from dopsd.report.notebook.record import on_record, say, table_of
from dopsd.report.site import captions, copies, opening
from dopsd.report.site import words as site_words
from dopsd.report.site.studies import Study
from dopsd.support.files import read_json
from dopsd.world.scenes import ATTRIBUTES

SHORT = ("concept_fidelity", "adherence", "blur_read", "contrast", "retention_kid")


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table of texts."""
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


@on_record
def summary(of: Study, *rows: str) -> None:
    """Show means of rows at their last step, a column a score."""
    few, table = of.params.evaluate.few, table_of(of, "summary")
    wanted = [name for score in SHORT for name in (score, f"{score}@{few}")]
    say(sections.summary(table.loc[table.score.isin(wanted)], rows, few))
    say(
        f"Means with 95 % intervals, in {few} steps without guidance. {captions.last(of)}. Concept fidelity and adherence "
        "are shares, contrast is over the world's renders, KID is of ordinary prompts (0: as untouched). "
        f"{captions.unit(of)} Numbers: `{of.file('tables/summary.csv')}`."
    )


@on_record
def matched(of: Study) -> None:
    """Show the compared methods side by side at equal fidelity."""
    who, evaluate = of.params.compare, of.params.evaluate
    say(sections.side_by_side(table_of(of, "pairs"), who.method, who.baseline, evaluate.few, evaluate.many))
    say(
        "At equal fidelity: for each concept and seed, where both methods first reach the highest fidelity that both reach, "
        f"in {evaluate.few} steps. Differences are paired; intervals are 95 %. {captions.unit(of)} "
        f"Numbers: `{of.file('tables/pairs.csv')}`."
    )


@on_record
def copied(of: Study) -> None:
    """Show who draws training pictures by heart, of a study that asks for them again."""
    say(copies.table(of, table_of(of, "summary")))
    say(
        "Asked for a training picture in words that no training caption has: the share of fresh renders of its scene, "
        "equal in every word, that are farther from what is drawn than the training picture is; .5 where it is any one of "
        f"them, 1 for a copy. Means with 95 % intervals, in {of.params.evaluate.few} steps. {captions.last(of)}. "
        f"{captions.unit(of)} Numbers: `{of.file('tables/summary.csv')}`."
    )


@on_record
def given(of: Study) -> None:
    """Show what the untouched model draws, a row a context, of a study of contexts."""
    say(of_contexts.headline(table_of(of, "contexts"), list(contexts.load(of.folder / contexts.FILE).contexts)))
    say(
        f"Nothing is trained: new scenes by the untouched model in {of.params.evaluate.few} steps, a row a context. *Of the "
        "seen picture, beside the concept*: of what is none of the concept's own and is left open by the prompt, the "
        "share that is drawn as the seen picture has it. Means with 95 % intervals over the concepts, "
        f"few-step models averaged first. Numbers: `{of.file('tables/contexts.csv')}`."
    )


@on_record
def costs(of: Study) -> None:
    """Show what a training of each method costs."""
    say(sections.costs_markdown(table_of(of, "costs"), of.params.compare.baseline))
    say(
        "Forwards of the generator for each sample of a batch. What is made once and then shared, an adapter or pictures of "
        f"the class, is not counted. Numbers: `{of.file('tables/costs.csv')}`."
    )


@on_record
def words(of: Study, *names: str) -> None:
    """Say what rows are, of all that the study has or of these alone, and what scores and verdicts are."""
    known = site_words.rows(of)
    rows = {label(row): what for row, what in known.items() if row in names or not names}
    terms_of = {"row": rows, "score": site_words.words(of), "verdict": site_words.load().verdicts}
    for called, terms in terms_of.items():
        say(markdown([{called: f"**{name}**", "what it is": says} for name, says in terms.items()]))


@on_record
def undominated(of: Study) -> None:
    """Say which methods no other one beats both in fidelity and in what is kept."""
    say("\n".join(f"- {sentence}" for sentence in front.in_words(table_of(of, "front"))))
    say(f"Trained methods that none other beats in both, rising in fidelity. Numbers: `{of.file('tables/front.csv')}`.")


@on_record
def claims(of: Study, *families: str) -> None:
    """Show claims of some families, or of all: bar, number, p and verdict."""
    mine = [r for r in of.records if r["family"] in families or not families]
    rows = [
        {
            "claim": f"{r['claim']}<br>*{claimed.PLACES[r['at']]}*",
            "bar": claimed.bar(r),
            "measured": claimed.measured(r),
            "p (Holm)": "" if r["p_holm"] is None else claimed.p_text(r["p_holm"]),
            "verdict": f"**{opening.told(r['verdict'], r)}**",
        }
        for r in mine
    ]
    if not rows:
        return say("*Shown, and not asked: no claim is made of it.*")
    say(markdown(rows))
    say(
        f"Means with 95 % intervals over {of.units}; bars were committed before the run, p is after Holm's correction over a "
        f"family. With controls: `{of.file('CLAIMS.md')}`."
    )


@on_record
def eye(of: Study) -> None:
    """Show what the untouched model draws of a picture that its encoder has seen."""
    vlm, nfe, scores = of.probed()
    say(page.probe_table(scores, read_json(of.file("metrics/miniature.json"))["naming"].get(vlm, {})))
    say(
        f"The share of a picture's attributes that is drawn in {nfe} steps, by what the encoder was given; *named*: what the "
        f"language model says of the picture. 95 % intervals over pictures; the untouched model, one turbo. Numbers: "
        f"`{of.file('metrics/probe.json')}`."
    )


@on_record
def bars(of: Study) -> None:
    """Show what the miniature must reach, and what it reaches."""
    file = of.file("metrics/miniature.json")
    say(miniature.bars_table(read_json(file)))
    say(
        f"On held-out scenes, prompts and noise; two numbers are of the two turbos, the worse counts. Numbers: `{file}`."
    )


@on_record
def drawn(of: Study) -> None:
    """Show how well the base and the few-step models draw, by how much prompts say."""
    file = of.file("metrics/miniature.json")
    say(miniature.TABLES["drawn"](read_json(file)))
    say(
        "Means of n pictures with 95 % intervals: adherence and watercolour are shares, steepness and contrast are over "
        "renders of what is read, blur_read is in pixels, frechet is the distance to held-out renders, frechet_few that of "
        f"as many pictures as base_32 has. *base_32*: 32 steps with guidance. Numbers: `{file}`."
    )


def attributes() -> None:
    """Show what the world's scenes are made of."""
    say(markdown([{"attribute": name, "values": ", ".join(values)} for name, values in ATTRIBUTES.items()]))
