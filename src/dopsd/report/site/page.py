"""reports/index.html: the template filled from the studies' committed reports."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import joblib
import pandas as pd
from PIL import Image

from dopsd.config import runs
from dopsd.report import claimed, claims_page, continual, front, miniature, page, reported, sections
from dopsd.report.grids import TILE
from dopsd.report.names import label
from dopsd.report.sheets import SAID
from dopsd.report.site import captions, contexts, copies, images, opening, paper, places, render, words
from dopsd.report.site.columns import EYE, SAYS, SUMMARY, as_reported, table
from dopsd.report.site.images import Sheet, Strip
from dopsd.report.site.studies import STUDIES, Study, command, found, relative
from dopsd.study import grid as cells_of
from dopsd.support import paths
from dopsd.support.environment import locked
from dopsd.support.errors import UserError
from dopsd.support.files import read_json
from dopsd.support.sealed import digest
from dopsd.support.text import read_text

HERE = Path(__file__).parent
MAIN, SAMPLE = "full", "sample"  # the study that the opening is answered by, and the one where it has not been run
SMALLER = (SAMPLE, "pilot")  # studies of what the main one asks, on fewer concepts
LATER = {  # of studies/: what their sections are about
    "questions": "D-OPSD's own questions: who the teacher is, the loss, K, the rank, whose states, whose targets",
    "rewrites": "Training pictures asked for again, in other words: who draws them by heart?",
    "eight": "Trained with a roll-out of four steps, drawn in eight, as the paper's few-step models are",
    "base": "Off the few-step case: the same methods on the undistilled base, which stands for both few-step models",
    "pictures": "How many training pictures does each method need?",
    "contexts": "What the teacher is given: the untouched model over its contexts",
    "domain": "Full fine-tuning on a domain of many pictures (the paper's Table 2)",
    "domain-words": "Full fine-tuning on domains that words can say, so that the teacher sees them",
    "domain-open": "Full fine-tuning with captions that leave much open",
    "continual": "One concept after another (continual tuning)",
    "zimage": "Z-Image-Turbo itself (the paper's Table 1)",
    "klein": "FLUX.2-klein-4B itself",
}
ACROSS = 4  # prompts of a sheet that are shown,
PROMPTS = 5  # and of the miniature's
PACKAGES = ("torch", "diffusers", "transformers", "peft", "numpy", "pandas", "matplotlib", "pillow")
SPEED = Path("benchmarks/results/h100-zimage-1024.json")
INPUTS = (
    "REPORT.md",
    "claims.json",
    "controls.json",
    "tables/*.csv",
    "figures/*.png",
    "figures/sheets/*",
    "metrics/*.json",
)


def filled(**values: Any) -> str:
    """The template, with its style and script, filled. What is no `Markup` is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(**values)


def grids(study: Study, methods: Iterable[str], concepts: Iterable[str]) -> list[Sheet]:
    """Of each concept the first prompts of its sheet, and these rows."""
    params, rows = study.params, list(methods)
    made = (images.sheet(study, c, cells_of.kind(params, c), rows, ACROSS) for c in concepts)
    return [sheet for sheet in made if sheet]


def first_of_each_kind(study: Study) -> list[str]:
    """The first object, style and look of the grid."""
    kinds: dict[str, str] = {}
    for concept in study.params.grid.concepts:
        kinds.setdefault(cells_of.kind(study.params, concept), concept)
    return list(kinds.values())


def ledger(study: Study) -> list[dict[str, Any]]:
    """Every claim, as the ledger shows it."""
    rows = []
    for record in study.records:
        entry = claims_page.entry(record, study.controls, study.turbos, study.units)
        entry["controls"] = [render.line(control) for control in entry["controls"]]
        entry["committed"], entry["changes"] = (
            render.line(entry["committed"]),
            [render.line(c) for c in entry["changes"]],
        )
        where = f"{places.place(record['score'])}; {claimed.PLACES[record['at']]}"
        row = {"anchor": opening.anchor(study, record), "at": where, "bar": claimed.bar(record)}
        row |= {"number": claimed.measured(record), "told": opening.told(record["verdict"], record)}
        rows.append(entry | row)
    return rows


def of_study(study: Study) -> dict[str, Any]:
    """What the page says of any study that has been run."""
    asked = contexts.of(study)
    with contexts.called(study):
        claims = ledger(study)
        told = {
            "study": study,
            "few": study.params.evaluate.few,
            "many": study.params.evaluate.many,
            "unit": captions.unit(study),
            "last": captions.last(study),
            "figures": {name: captions.figure(study, name) for name in captions.kinds()},
            "families": claimed.by_family(claims),
            "negatives": [render.line(s) for s in claimed.negatives(study.records, study.controls, study.turbos)],
            "counts": table(study, claims_page.counts(study.records)) if study.records else "",
            "ledger": claims,
            "compared": {m: label(m) for m in (study.params.compare.method, study.params.compare.baseline)},
        }
        if asked:
            return told | contexts.section(study, asked)
        return told | (_chained(study) if study.chained else _compared(study))


def _needed(study: Study, name: str) -> pd.DataFrame:
    """A table of a study; UserError where it has none of that name."""
    if (found := study.table(name)) is None:
        raise UserError(f"{study.file(f'tables/{name}.csv')}: missing; run `{command(study.folder)}`")
    return found


def _chained(study: Study) -> dict[str, Any]:
    """Of trainings that follow one another: what remains after each, a table a method."""
    found, grid = _needed(study, "continual"), study.params.grid
    plain = continual.plain(grid.references)
    return {"after": {label(m): render.html(continual.markdown(found, m, plain), study.link) for m in grid.trained}}


def _compared(study: Study) -> dict[str, Any]:
    """Of methods that are compared, each from the untouched model."""
    params, methods = study.params, cells_of.methods(study.params)
    few, many, said = params.evaluate.few, params.evaluate.many, reported.which(params)
    compared = [*params.grid.references, params.compare.baseline, params.compare.method]
    summary, pairs, costs = (_needed(study, name) for name in ("summary", "pairs", "costs"))
    beside, known = study.table("front"), study.table("reported")
    matched = sections.side_by_side(pairs, params.compare.method, params.compare.baseline, few, many)
    every = sections.one_at_a_time(summary, params, methods, few) if len(params.grid.trained) > 2 else ""
    both = "" if known is None else reported.in_words(known, said)
    return {
        "questions": captions.questions(study),
        "summary": table(study, sections.summary(summary, compared, few), SUMMARY),
        "matched": table(study, matched),
        "copies": table(study, copies.table(study, summary)),
        "every": table(study, every, SUMMARY if study.name == MAIN else (*SUMMARY, SAYS)),
        "costs": table(study, sections.costs_markdown(costs, params.compare.baseline)),
        "front": [] if beside is None else front.in_words(beside),
        "reported": table(study, both, as_reported(both, said)) if both else "",
        "orders": [] if known is None else reported.orders(known, said),
    }


def miniature_of(study: Study) -> dict[str, Any]:
    """How good the miniature is, and what its eye sees; {} where the study has not measured it."""
    probe, scores = study.file("metrics/probe.json"), study.file("metrics/miniature.json")
    if not (study.params.miniature and study.params.probe and probe.exists() and scores.exists()):
        return {}
    (vlm, nfe, seen), measured = study.probed(), read_json(scores)
    return {
        "probe": table(study, page.probe_table(seen, measured["naming"].get(vlm, {})), EYE),
        "above": page.better_than_controls(seen),
        "nfe": nfe,
        "bars": table(study, miniature.bars_table(measured)),
        "sheet": few_steps(),
        "said": SAID[-1],
    }


def few_steps() -> Sheet:
    """The first ordinary prompts that say little, by the base and by both turbos, from equal noise."""
    prompts, drawn = images.few_steps(PROMPTS)
    rows = [
        Strip(
            title,
            [images.held(Image.fromarray(t), f"{title}, asked for {p!r}") for t, p in zip(tiles, prompts, strict=True)],
        )
        for title, tiles in drawn.items()
    ]
    return Sheet("ordinary prompts", "", prompts, [], rows, images.SHOWN * TILE)


def speed() -> dict[str, Any] | None:
    """How long a step takes at the real model's full size, with random weights; None where it was not measured."""
    if not SPEED.exists():
        return None
    found = read_json(SPEED)
    reference = next((row["seconds"] for row in found["rows"] if row["form"] == "reference"), None)
    rows = [
        {
            "form": row["form"].replace("+", ", "),
            "seconds": f"{row['seconds']:.3f}",
            "over": f"{reference / row['seconds']:.2f}" if reference else "",
            "gib": f"{row['peak_gib']:.1f}",
        }
        for row in sorted(found["rows"], key=lambda row: -row["seconds"])
    ]
    return {
        "device": found["device"],
        "torch": found["torch"],
        "size": found["size"],
        "rows": rows,
        "link": relative(SPEED),
    }


def inputs(studies: Iterable[Study]) -> str:
    """A short digest of the files that the page was made of."""
    files = sorted({f for study in studies for pattern in INPUTS for f in study.file("").glob(pattern)})
    whole = hashlib.sha256("".join(f"{f.as_posix()} {digest(f)}\n" for f in files).encode())
    return whole.hexdigest()[:16]


def provenance(studies: Mapping[str, Study]) -> dict[str, Any]:
    """Where the numbers come from."""
    rows = []
    for study in studies.values():
        commits = list(dict.fromkeys(claimed.committed(r) for r in study.records))
        ran = study.ran()
        rows.append(
            {
                "name": study.name,
                "report": study.link("REPORT.md"),
                "commits": [render.line(c) for c in commits],
                "devices": study.devices(),
                "ran": "; ".join(dict.fromkeys(f"{r.devices} x {r.device}, torch {r.torch}" for r in ran)),
                "hours": f"{runs.hours(ran):.2f}" if ran else "not written down",
                "command": command(study.folder),
            }
        )
    lock = Path("requirements.lock")
    versions = locked(read_text(lock)) if lock.exists() else {}
    pinned = ", ".join(f"{name} {versions[name]}" for name in PACKAGES if name in versions)
    return {"studies": rows, "versions": pinned, "inputs": inputs(studies.values())}


def missing(studies: Mapping[str, Study]) -> dict[str, dict[str, str]]:
    """The studies that have not been run: what each is about, and what runs it ("" where there is no such study yet)."""
    out = {}
    for name, about in LATER.items():
        if name not in studies:
            folder = STUDIES / name
            out[name] = {"about": about, "command": command(folder) if (folder / "dvc.yaml").exists() else ""}
    return out


def side_by_side(function: Callable[[Study], dict[str, Any]], studies: Sequence[Study]) -> list[dict[str, Any]]:
    """`function` of every study, on all cores: most of the page's time goes into packing its pictures. By forks where there
    are such, which have all imports."""
    how = "multiprocessing" if multiprocessing.get_start_method() == "fork" else "loky"
    return joblib.Parallel(n_jobs=-1, backend=how)(joblib.delayed(function)(study) for study in studies)  # pyright: ignore[reportReturnType]


def write() -> str:
    """The page's text."""
    studies = found()
    first = next((study for study in studies.values() if not contexts.of(study)), None)  # one that compares methods
    if first is None:
        raise UserError("reports/claims.json: missing; run `dvc repro`")
    main, sample = studies.get(MAIN) or first, studies.get(SAMPLE)
    params = main.params
    with main.called():
        answers = opening.answers(main)
        shown = [*params.grid.references, params.compare.baseline, params.compare.method]
        drawn = grids(main, shown, params.grid.concepts)
        others = grids(main, params.grid.trained, first_of_each_kind(main)) if len(params.grid.trained) > 2 else []
        rows = {label(row): what for row, what in words.rows(main).items()}
        made = captions.made_by(main, "report")
    ordered = {main.name: main} | studies  # the one that answers comes first
    text = dict(zip(ordered, side_by_side(of_study, list(ordered.values())), strict=True))
    lacking = missing(studies)
    said = [s for study in ordered.values() for s in paper.lines(study, MAIN if study is main else study.name)]
    said += [s for name, study in lacking.items() for s in paper.not_run(name, study["about"])]
    return filled(
        main=text[main.name],
        sample=text.get(SAMPLE, {}),
        studies=text,
        later={name: text[name] for name in LATER if name in text},
        about=LATER,
        missing=lacking,
        absent=[study["about"] for study in lacking.values()],
        smaller=SMALLER if main.name == MAIN else (),
        said=said,
        answers=answers,
        changing=opening.changing(answers),
        weights=opening.weights(paths.MODELS / "mini-turbo" / "transformer"),
        params=params,
        rows=rows,
        words=words.words(main),
        verdicts=words.load().verdicts,
        sheets=drawn,
        others=others,
        opened=first_of_each_kind(main),
        made=made,
        eye=miniature_of(sample) if sample else {},
        speed=speed(),
        provenance=provenance(ordered),
    )
