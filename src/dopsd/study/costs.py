"""What a study of a large model costs, before its first file is fetched: hours from timed steps, downloads, disk and memory.

Steps were timed on one device (`benchmarks/results`); sizes of models that are not here stand in `sizes.yaml` with their
source. Nothing is fetched, opened or written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from dopsd import objectives
from dopsd.config.params import Params
from dopsd.config.section import Count, File, Positive, Said, Section, Tree, read
from dopsd.config.train import Train
from dopsd.config.yaml import mapping
from dopsd.evaluation import by_pictures
from dopsd.evaluation.rows import NEW, REWRITE, Row
from dopsd.sets.listing import listed
from dopsd.study import grid, keys, plan
from dopsd.study.code import SOURCE
from dopsd.study.pipeline import Study
from dopsd.support import paths
from dopsd.support.files import read_json
from dopsd.support.text import read_text
from dopsd.training import prepared

SIZES = Path(__file__).with_name("sizes.yaml")
TIMES = SOURCE.parents[1] / "benchmarks" / "results"
FORM = "dopsd"  # the method that was timed with every option
NO_OPTION = {"graphs"}  # they change a step's time little at 1024 x 1024, and no number
SUBJECT = (
    6  # pictures of a set of the hub that does not say how many are taken: google/dreambooth has 4 to 6 of a subject
)
PNG = 0.5  # of a picture's bytes, about
COPIES = 3  # of a finished cell: the store, the output, DVC's cache; fewer where the file system shares what is equal
GIB = 2**30


class Size(Section):
    """See `sizes.yaml`."""

    gb: Positive
    source: Said
    weights: Annotated[int, Field(ge=1)] | None = None  # beyond what a `Count` may be
    lora: Count | None = None
    benchmark: Said | None = None


class Sizes(File):
    """All of sizes.yaml."""

    models: Annotated[dict[str, Size], Field(min_length=1)]


@cache
def sizes() -> Mapping[str, Size]:
    """What is known of models of the hub, by their names there."""
    return read(Sizes, Tree.of(mapping(read_text(SIZES), str(SIZES)), str(SIZES))).models


def size(params: Params) -> Size | None:
    """What is known of a study's model: by its name on the hub, or, of a folder, by how many weights its transformer has."""
    if known := sizes().get(params.backbone.model):
        return known
    weights = sum(map(math.prod, plan.weights_of(params.backbone).values()))
    return next((s for s in sizes().values() if s.weights and math.isclose(s.weights, weights, rel_tol=1e-3)), None)


@dataclass(frozen=True)
class Timed:
    """A timed step of D-OPSD on one picture. device, form, file: what was timed, and where it is written; speeds: forwards a
    second of `train` (as `Needs.forwards` counts: a backward pass as two) and of `draw`; peak: GiB of the GPU's memory."""

    device: str
    form: str
    file: Path
    speeds: Mapping[str, float]
    peak: float


def options(params: Params) -> set[str]:
    """How benchmarks call what a study's settings make of a step."""
    model, train = params.backbone, params.train
    said = {"compiled": model.compile_blocks, "checkpointed": train.gradient_checkpointing}
    said |= {"merged": train.merged_teacher, model.quantize: model.quantize != "none", "full": train.tune != "lora"}
    return {name for name, is_so in said.items() if is_so}


def timed(params: Params) -> Timed | None:
    """The timed step of the study's model, size and options; None where there is none."""
    known = size(params)
    if known is None or known.benchmark is None:
        return None
    found = []
    for file in sorted(TIMES.glob("*.json")):
        told: Any = read_json(file)
        if (told.get("model"), told.get("size"), told.get("rank")) != (
            known.benchmark,
            params.fetch.size,
            params.train.lora_rank,
        ):
            continue
        for row in told["rows"]:
            kind, *how = row["form"].split("+")
            if kind == FORM and set(how) - NO_OPTION == options(params):
                # the longest prompts first: klein pads its own to all that it reads, and not every benchmark did
                found.append(("earlier" in file.name, -told["forward_flops"], file, told["device"], row))
    if not found:
        return None
    *_, file, device, row = min(found, key=lambda f: f[:3])
    method = objectives.method(FORM, {FORM: params.methods[FORM]}, params.where)
    speeds = {"train": method.needs.forwards / row["seconds"], "draw": row["forwards"] / row["seconds"]}
    return Timed(device, row["form"], file, speeds, row["peak_gib"])


def hours(rows: Sequence[plan.Row], found: Timed) -> str:
    """What all that is to run takes; scoring, which runs no generator, is not in it."""
    total = sum(r.forwards / found.speeds["draw" if r.stage == "draw" else "train"] for r in rows) / 3600
    where = f"{found.file.parent.parent.name}/{found.file.parent.name}/{found.file.name}, {found.form}"
    return f"hours: {total:.0f} of one {found.device}, by a timed step ({where}); writing prompts and scoring apart"


def expected(params: Params, concept: str) -> list[Row]:
    """The prompts that a concept will be asked, without their texts: as many, of their kinds and about their size."""
    wanted, side = params.prompts, params.fetch.size
    plain = by_pictures.ordinary(by_pictures.listed(wanted.ordinary_list, wanted.ordinary), side, wanted.seed)
    if concept == paths.ORDINARY:
        return plain
    folder, hub = params.fetch.folders.get(concept), params.fetch.hub.get(concept)
    n = len(listed(Path(folder.images)).pictures) if folder else (hub and hub.pictures) or SUBJECT
    kinds = [REWRITE, *[NEW] * wanted.new] * wanted.noises
    about = {"text": "[V]", "height": side, "width": side, "noise": 0}
    return [
        Row.model_validate({"id": f"{concept}/{i}/{k}", "kind": kind, "group": str(i)} | about)
        for i in range(n)
        for k, kind in enumerate(kinds)
    ] + plain


def foreseen(study: Study) -> bool:
    """Whether a study's prompts are not here yet, but can be counted: then they are what it is asked from now on."""
    if paths.PROMPTS.exists() or study.params.prompts.source in ("world", "files"):
        return False
    study._asked = cache(partial(expected, study.params))
    return True


def ahead(study: Study) -> list[plan.Row]:
    """`plan.plan` of a study whose pictures and prompts are not here yet: nothing of it is kept. UserError, as there, where
    the world makes the prompts, or a person's files hold them."""
    if not foreseen(study):
        return plan.plan(study)
    p, out = study.params, plan.searching(study)
    for name, method in study.methods.items():
        asks = prepared.of(method)
        each, cells = plan.forwards(study, name), [c for c in study.trained() if c.method == name]
        out.append(plan.Row("train", name, len(cells), 0, len(cells) * (each + (asks.forwards if asks else 0)), None))
    for name in p.grid.methods:
        mine = [d for d in study.drawings() if d.place.method == name]
        if name in p.grid.references:  # the same prompts whatever the seed, so its cells are made once
            mine = [d for d in mine if d.place.seed == p.grid.seeds[0]]
        out.append(plan.Row("draw", name, len(mine), 0, sum(plan.drawn(study, d)[1] for d in mine), None))
    return out


def weights_a_checkpoint(params: Params, train: Train) -> int | None:
    """Weights that a training keeps at each of its checkpoints; None where nothing says the model's sizes."""
    known, shapes = size(params), plan.weights_of(params.backbone)
    if train.tune == "full":
        return sum(map(math.prod, shapes.values())) or (known and known.weights)
    ends = re.compile(rf"(^|\.)({'|'.join(map(re.escape, train.lora_targets))})\.weight$")
    both = sum(sum(shape) for name, shape in shapes.items() if len(shape) == 2 and ends.search(name))
    both = both or (known and known.lora)
    return both * train.lora_rank if both else None


def disk(study: Study) -> dict[str, float] | None:
    """{row: GiB that its cells which are not there will take, in `COPIES`}; None where a checkpoint's size is not known. Of
    studies of pictures, whose shapes are about the study's size."""
    foreseen(study)
    p, out = study.params, dict.fromkeys(study.params.grid.methods, 0.0)
    for cell in study.trained():
        train = grid.training(p, cell.method)
        weights = weights_a_checkpoint(p, train)
        if weights is None:
            return None
        if not paths.adapters(*cell).is_dir():
            out[cell.method] += 4 * weights * len(train.kept)  # in float32
    for drawing in study.drawings():
        if not paths.samples(*drawing.place).is_dir():
            out[drawing.place.method] += plan.drawn(study, drawing)[0] * p.fetch.size**2 * 3 * PNG
    return {name: COPIES * size / GIB for name, size in out.items()}


def wants_base(params: Params) -> bool:
    """Whether the study draws with the undistilled model, or trains it."""
    asks = (prepared.of(m) for m in grid.methods(params).values())
    return "base" in params.grid.references or any(a and a.base for a in asks)


def sources(params: Params) -> dict[str, list[str]]:
    """{a model's folder or name on the hub: what it is for}, each once, in the order in which they are needed."""
    model, looking = params.backbone, keys.panel(params)
    used = [(model.model, "few-step model"), (getattr(model, "vlm", None), "teacher's eye")]
    used += [(model.base if wants_base(params) else None, "undistilled base")]
    writer = params.prompts.writer if params.prompts.source == "vlm" else None
    used += [(writer and writer.model, "writer of prompts")]
    used += [(getattr(s, "model", None), f"instrument {name}") for name, s in looking.settings.items()]
    out: dict[str, list[str]] = {}
    for source, what in used:
        if source:
            out.setdefault(source, []).append(what)
    return out


def cached() -> dict[str, int]:
    """Bytes of each model that the hub's cache on this machine holds."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return {repo.repo_id: repo.size_on_disk for repo in scan_cache_dir().repos if repo.repo_type == "model"}
    except CacheNotFound:
        return {}


def downloads(params: Params) -> pd.DataFrame:
    """A row a model: its name, what for, GB, and where that number is from."""
    here, rows = cached(), []
    for source, what in sources(params).items():
        known, said = sizes().get(source), ("", "not known: sizes.yaml does not name it")
        if Path(source).is_dir():
            said = "0", "a local folder"
        elif source in here:
            said = f"{here[source] / 1e9:.1f}", "in the hub's cache on this machine"
        elif known:
            said = f"{known.gb:g}", known.source
        rows.append({"model": source, "for": ", ".join(what), "GB": said[0], "known from": said[1]})
    return pd.DataFrame(rows)


def to_fetch(params: Params) -> float:
    """GB of the models that are neither in a folder nor in the cache, as far as their sizes are known."""
    here = cached()
    return sum(sizes()[s].gb for s in sources(params) if s in sizes() and not Path(s).is_dir() and s not in here)


def fetching(params: Params) -> str:
    """A line: how much is downloaded, and which models of it have no known size."""
    here = cached()
    unknown = [s for s in sources(params) if s not in sizes() and s not in here and not Path(s).is_dir()]
    beside = f", and {', '.join(unknown)}, whose size is not known" if unknown else ""
    return f"downloads: {to_fetch(params):.1f} GB{beside}"


def by_method(study: Study, rows: Sequence[plan.Row], found: Timed | None) -> pd.DataFrame:
    """A row a row of the comparison: its trainings, GPU-hours of training and drawing, GiB of disk in all copies."""
    taken, out = disk(study), []
    for name in study.params.grid.methods:
        mine = [r for r in rows if r.method == name]
        each = {
            kind: sum(r.forwards for r in mine if (r.stage == "draw") == (kind == "draw")) for kind in ("train", "draw")
        }
        row = {"method": name, "trainings": sum(r.cells - r.kept for r in mine if r.stage == "train")}
        for kind, n in each.items():
            row[f"GPU-hours, {kind}"] = "not measured" if found is None else f"{n / found.speeds[kind] / 3600:.1f}"
        row["GiB of disk"] = "not known" if taken is None else f"{taken[name]:.1f}"
        out.append(row)
    return pd.DataFrame(out)


def memory(found: Timed, params: Params) -> str:
    """The most that a step of D-OPSD held of the GPU, and which of a study's methods may hold more: one state of a picture
    was timed."""
    said = f"memory: {found.peak:.1f} GiB of the GPU at the most of a D-OPSD step on one picture, as it was timed"
    methods = grid.methods(params)
    more = [name for name in params.grid.trained if methods[name].needs.states > 1]
    return said + (f"; more than one state at a time, which may hold more: {', '.join(more)}" if more else "")
