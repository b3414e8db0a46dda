"""A notebook's last words: its question answered from the ledger, number, interval and verdict by code."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from dopsd.config import claims
from dopsd.config.params import FILE, load
from dopsd.report import claimed, miniature, page
from dopsd.report.miniature import spelled
from dopsd.report.names import label
from dopsd.report.notebook import pictures, tables
from dopsd.report.notebook.record import Known, on_record, say
from dopsd.report.site import contexts, opening
from dopsd.report.site.opening import Answered, Question, Said
from dopsd.report.site.studies import Study, command
from dopsd.report.tables import lines
from dopsd.support.files import read_json


def _sentence(said: Said) -> str:
    known = f" (controls: {said.known})" if said.known else ""
    return f"{said.claim}: {said.number}: **{said.verdict}**{known}."


def _say(of: Study, found: Answered) -> None:
    """The question, the answer with its first claim, what else belongs to it beneath."""
    sentences = [*map(_sentence, found.said), *found.more]
    beneath = "".join(f"\n- {sentence}" for sentence in sentences[1:])
    first = sentences[0] if sentences else ""
    say(f"*{found.asks}* **{found.lead}.** {first}\n{beneath}\n\nLedger: `{of.file('claims.json')}`.")


def answer(of: Known, *ids: str, asks: str = "") -> None:
    """Answer a question by claims of a study, by their ids. One of the page's is told by its first claim, brings its others
    and may be asked in other words. It is "yes" where the first claim holds."""
    known = next((q for q in opening.QUESTIONS if q.claims[0] == ids[0]), None)
    question = (known or Question(asks, ids))._replace(**{"asks": asks} if asks else {})
    if isinstance(of, Path):
        return say(f"*{question.asks}* **Not on record here.** `{command(of)}` runs the study that asks it.")
    with contexts.called(of):
        _say(of, opening.answer(of, question))


@on_record
def cheapest(of: Study) -> None:
    """Say which method, of those that keep few steps, costs least."""
    _say(of, opening.cheapest(of))


@on_record
def eye(of: Study) -> None:
    """Say whether the untouched model draws what its encoder has seen."""
    _, nfe, scores = of.probed()
    above = ", ".join(page.better_than_controls(scores)).replace("_", " ")
    seen, text, other = (spelled(scores[context]["mean"]) for context in ("image_text", "text", "wrong_image_text"))
    say(
        f"*Does the untouched model draw what its encoder has seen?* **{'Yes' if above else 'No'}.** With the picture "
        f"{seen} of its attributes are drawn in {nfe} steps (a mean share, with its 95 % interval over pictures), with the "
        f"text alone {text}, with another picture {other}; above both, intervals apart: {above or 'none'}.\n\n"
        f"Numbers: `{of.file('metrics/probe.json')}`."
    )


@on_record
def bars(of: Study) -> None:
    """Say how many of its bars the miniature reaches, and which it does not."""
    file = of.file("metrics/miniature.json")
    found = miniature.bars(read_json(file))
    missed = [f"{r.asked}: {r.measured}, the bar is {r.bar}" for r in lines(found) if r.holds != "yes"]
    say(
        f"*Is the miniature a few-step model that can be asked?* **{len(found) - len(missed)} of its {len(found)} bars "
        f"hold.** {'Missed: ' + '; '.join(missed) + '.' if missed else ''}\n\nNumbers: `{file}`."
    )


def asked(of: Known, *figures: str) -> None:
    """Show these figures of a study and its claims; of one that has not been run, what will be asked of it, and what runs
    it."""
    if isinstance(of, Study):
        for name in figures:
            pictures.figure(of, name)
        return tables.claims(of)
    with chdir(of):
        params = load(FILE)
    rows = []
    with Study(of, params, [], {}).called():
        for claim in claims.load(of / claims.FILE):
            who = {"method": label(claim.method or params.compare.method)}
            who |= {"baseline": label(claim.baseline or params.compare.baseline)}
            bar = claimed.bar({"direction": "<=" if claim.at_most else ">=", "bar": claim.bar})
            row = {"what will be asked": f"{claim.claim.format(**who)}<br>*{claimed.PLACES[claim.at]}*", "bar": bar}
            rows.append(row | {"in the paper": claim.paper, "seen before": claim.seen})
    say(f"**Not run: nothing of this study is on record.** `{command(of)}` runs it. Its bars are committed:")
    say(tables.markdown(rows))
