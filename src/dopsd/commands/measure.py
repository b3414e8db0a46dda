"""`dopsd measure`: a finished training beside the untouched model, as a study of one cell."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from accelerate import PartialState

from dopsd.backbones.pipeline import device as named_device
from dopsd.backbones.vlm import Vlm
from dopsd.config.backbone import Model
from dopsd.config.preset import Preset
from dopsd.evaluation import by_pictures, rows
from dopsd.evaluation.instruments import Need, Panel, View
from dopsd.evaluation.rows import NEW, ORDINARY, PLACEHOLDER, REFERENCE, REWRITE, Row, of_kind
from dopsd.evaluation.scores import Drawn
from dopsd.evaluation.sheets import Sheet
from dopsd.report.one_cell import compared
from dopsd.sets.items import Item, by_name
from dopsd.study.draw import draw_cell
from dopsd.study.score import TABLE, score_pictures
from dopsd.support.errors import UserError
from dopsd.support.files import read_json, read_table, rounded, write_json
from dopsd.training.identity import Identity

FILE, PROMPTS, PICTURES = "measured.json", "prompts.jsonl", "pictures"
CHECKPOINTS = "checkpoints"  # of a finished training


def processes(backbone: Model) -> PartialState:
    """The processes of this run. One of them fetches, writes prompts and scores while the others wait: longer than the ten
    minutes that NCCL allows if not told otherwise, so this comes first."""
    return PartialState(cpu=named_device(backbone.device).type == "cpu", timeout=timedelta(hours=12))


def panel(preset: Preset) -> Panel:
    """What looks at the pictures, none of it opened."""
    return Panel(preset.instruments, named_device(preset.backbone.device), preset.where)


def check(preset: Preset, items: list[Item]) -> None:
    """UserError where a set is none that can be measured, or where its prompts cannot be made. Opens and writes nothing."""
    editing, wanted = any(item.inputs for item in items), preset.prompts
    if not editing and not any(PLACEHOLDER in text for item in items for text in item.captions.values()):
        raise UserError(
            "no caption names [V], so measuring would ask for a word that is never trained: write [V] where the captions "
            "name the concept (--trigger WORD if they name it otherwise), or add --no-measure"
        )
    if wanted.source == "world":
        raise UserError("prompts.source world: pictures have no world; choose vlm, captions or files")
    if wanted.source == "files":
        _by_hand(preset)
        return
    by_pictures.listed(wanted.ordinary_list, wanted.ordinary)
    if wanted.source == "captions" and not editing:
        by_pictures.by_captions(items, wanted.given, wanted.new)


def _by_hand(preset: Preset) -> list[Row]:
    return rows.read(Path(preset.prompts.folder or "") / PROMPTS, "write it there, or choose another prompts.source")


def prepare(preset: Preset, items: list[Item], out: Path) -> list[Row]:
    """The instruments' files, and the prompts in out/prompts.jsonl, written now if they are not there. In all processes;
    UserError where something cannot be had, or where the set is none that can be measured."""
    check(preset, items)
    with processes(preset.backbone).main_process_first():
        looking, file = panel(preset), out / PROMPTS
        looking.fetch()
        if not file.exists():
            rows.write(_written(preset, items), file)
        asked = rows.read(file)
        _fit(asked, items, file)
        looking.check(
            {kind: View(kind, of_kind(asked, kind), (), items).has() | _later(kind) for kind in _kinds(asked)}
        )
    return asked


def _later(kind: str) -> set[Need]:
    return {"reference"} if kind == ORDINARY else set()


def _kinds(asked: list[Row]) -> list[str]:
    return [k for k in (REWRITE, NEW, ORDINARY) if of_kind(asked, k)]


def _fit(asked: list[Row], items: list[Item], file: Path) -> None:
    """UserError where a row belongs to a picture that is not in the set, or where a kind is missing that all need."""
    names = by_name(items)
    for row in asked:
        if row.picture is not None and row.picture not in names:
            raise UserError(
                f"{file}: {row.id}: picture {row.picture} is not in the set; delete the file, and it is written anew for "
                "these pictures"
            )
    for kind in (ORDINARY, REFERENCE):
        if not of_kind(asked, kind):
            raise UserError(f"{file}: no prompt of kind {kind}; write some, or delete the file")
    if len(of_kind(asked, ORDINARY)) != len(of_kind(asked, REFERENCE)):
        raise UserError(
            f"{file}: as many prompts of kind {REFERENCE} as of kind {ORDINARY} are needed; mend it or delete it"
        )


def _written(preset: Preset, items: list[Item]) -> list[Row]:
    wanted = preset.prompts
    if wanted.source == "files":
        return _by_hand(preset)
    texts = by_pictures.listed(wanted.ordinary_list, wanted.ordinary)
    writer = wanted.writer if wanted.source == "vlm" and not any(i.inputs for i in items) else None
    ask = Vlm.beside(preset.backbone, writer.model, writer.revision).ask if writer else None
    pairs = by_pictures.written(items, wanted, ask)
    concept = by_pictures.for_concept("concept", items, pairs, wanted.noises, wanted.seed)
    return [*concept, *by_pictures.ordinary(texts, preset.tune.size, wanted.seed)]


def training(out: Path) -> str | None:
    """Which training is finished in a folder, see `training.identity`; None where it does not say."""
    found = Identity.read(out / CHECKPOINTS)
    return found.name if found else None


def scored(out: Path) -> bool:
    """Whether the training that is finished in a folder is measured: it, and not another one."""
    return (out / FILE).exists() and read_json(out / FILE).get("training") == training(out)


def scores_of(out: Path) -> dict[str, dict]:
    """Its scores; none where it is not measured."""
    return read_json(out / FILE).get("scores", {}) if scored(out) else {}


def measure(preset: Preset, items: list[Item], out: Path, weights: Path) -> dict[str, dict]:
    """Draw with and without the weights of a folder, score, and write out/measured.json, out/scores.parquet, out/pictures and
    out/prompts.jsonl.

    All processes must call; only the main one scores. UserError where an instrument cannot be had.
    """
    asked, state, looking = prepare(preset, items, out), processes(preset.backbone), panel(preset)
    nfe, step = preset.tune.nfe, preset.train.steps
    kinds, pictures = _kinds(asked), out / PICTURES
    before = [Sheet(0, kind, nfe) for kind in (*kinds, REFERENCE)]
    after = [Sheet(step, kind, nfe) for kind in kinds]
    device = str(named_device(preset.backbone.device))
    draw_cell(preset.backbone, {step: weights}, asked, items, 0, "said", [*before, *after], 1, pictures, device)
    scores = {}
    if state.is_main_process:
        mine, plain = Drawn(pictures, [*before, *after]), Drawn(pictures, before)
        score_pictures([mine], plain, asked, 0, items, None, preset.instruments, True, out, device)
        n = {kind: len(of_kind(asked, kind)) for kind in kinds}
        scores = rounded(compared(read_table(out / TABLE), looking.scores, step, n))
        facts = {"nfe": nfe, "prompts": n, "training": training(out)}
        facts |= {"instruments": {name: s.model_dump(mode="json") for name, s in looking.settings.items()}}
        write_json(facts | {"scores": scores}, out / FILE)
    state.wait_for_everyone()
    return scores
