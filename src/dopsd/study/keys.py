"""What a cell depends on. Settings and code are known before anything runs: the stage `keys` writes them to files, which
the other stages depend on, so that a comment, or a setting that changes no result, makes none of them run. Contents of
pictures and weights join them when a stage runs, and give the key that a finished cell is kept under.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dopsd import backbones, objectives
from dopsd.config.backbone import Backbone
from dopsd.config.params import Params
from dopsd.evaluation.drawing import Told
from dopsd.evaluation.instruments import Panel
from dopsd.evaluation.rows import NEW, ORDINARY, Row
from dopsd.study import code
from dopsd.study.grid import another, fetched, methods, of_one_shape, training
from dopsd.study.store import content
from dopsd.support import paths
from dopsd.support.errors import UserError, nearest
from dopsd.training import prepared, prepared_whole
from dopsd.training.state import fingerprint

WHO_RUNS_IT = {"device", "base"}  # of a backbone: changes no result that is meant to differ
SEES = ("vlm", "vlm_revision", "teacher_layer", "teacher_tokens", "min_pixels", "max_pixels")  # the teacher's eye
NOTEBOOKS = Path("notebooks")
DOMAIN = "domain"  # the instrument of studies whose concepts are domains of the world
MINIATURE = ("mini-base", "mini-turbo", "mini-turbo-2", "mini-reader", "mini-clip")


def turbos(params: Params) -> dict[int, Backbone]:
    """The few-step model of each seed's trainings; a seed that is not there has the study's own."""
    seeds = zip(params.grid.seeds, params.grid.turbos, strict=False)
    return {s: params.backbone.model_copy(update={"transformer": t}) for s, t in seeds}


def base(settings: Backbone) -> Backbone:
    """The same backbone with the undistilled model's transformer."""
    return settings.model_copy(update={"transformer": settings.base, "base": None})


def _backbone(settings: Backbone, seen: bool) -> dict:
    """What a result depends on; without its eye where no picture is seen. The transformer, which may be a seed's or the
    base's, counts by its weights, and of a hub by its name (`weights`)."""
    return settings.model_dump(exclude=WHO_RUNS_IT if seen else {*WHO_RUNS_IT, *SEES})


def weights(settings: Backbone, seen: bool) -> list[Any]:
    """The weights of a backbone: what is in local folders; of a hub's repository its name, whose revision is a setting."""
    sources = [settings.model, settings.transformer, getattr(settings, "vlm", None) if seen else None]
    return [content(Path(s)) if Path(s).is_dir() else s for s in sources if s]


def panel(params: Params) -> Panel:
    """What looks at the pictures, none of it opened."""
    return Panel(params.instruments, torch.device("cpu"), params.where)


def _prepared(params: Params, name: str):
    """The module that trains a method which asks for a preparation, by what it tunes."""
    return prepared_whole if training(params, name).tune == "full" else prepared


def check(params: Params) -> None:
    """UserError where the base is drawn and nothing says where it is, or where no instrument gives the scores that rates are
    chosen by and methods are matched by: said before anything runs, not after the trainings."""
    on_base = [name for name, m in methods(params).items() if (asked := prepared.of(m)) and asked.base]
    for name, m in methods(params).items():
        _prepared(params, name).check(m, training(params, name))
    for name, field in [("base", "references")] * ("base" in params.grid.references) + [
        (m, "trained") for m in on_base
    ]:
        if params.backbone.base is None:
            raise UserError(
                f"{params.where('backbone', 'base')}: backbone.base: missing; name the undistilled model, or take {name} out "
                f"of grid.{field}"
            )
    scores, rule = panel(params).scores, params.step_size
    wanted = {"fidelity": (rule.fidelity, NEW)} | ({"retention": (rule.retention, ORDINARY)} if params.searched else {})
    for field, (name, kind) in wanted.items():
        known = [s for s, what in scores.items() if kind in what.kinds]
        if name not in known:
            raise UserError(
                f"{params.where('step_size', field)}: step_size.{field}: {name!r} is no score of {kind} pictures that an "
                f"instrument gives{nearest(name, known)}"
            )


def eyes(params: Params) -> list[str]:
    """The weights of what looks at the pictures."""
    return [content(folder) for folder in panel(params).folders()]


def train(params: Params) -> dict[str, str]:
    """For each trained method: its settings, those of the training and the code that it runs."""
    of = backbones.module(params.backbone.name)
    out = {}
    for name, m in methods(params).items():
        whole = training(params, name).tune == "full"
        prepares = "dopsd.study.prepared_whole" if whole else "dopsd.study.prepared"
        worker = prepares if prepared.of(m) else "dopsd.study.train"
        ran = code.digest([worker, of, objectives.module(m.kind)])
        settings = m.settings.model_dump(), training(params, name).result(), _backbone(params.backbone, m.needs.seen)
        out[name] = fingerprint(ran, *settings)
    return out


def adapter(params: Params) -> str:
    """What code makes an adapter that methods share."""
    used = (objectives.module(kind) for kind in ("sft", "imitation"))
    return code.digest(["dopsd.study.prepared", backbones.module(params.backbone.name), *used])


def draw(params: Params, seen: bool = False) -> str:
    """What drawing depends on, whoever trained and whatever is asked. seen: a picture is seen, too."""
    ran = code.digest(["dopsd.study.draw", backbones.module(params.backbone.name)])
    asked, unseen = _backbone(params.backbone, seen), _backbone(params.backbone, False)
    # a model that sees by its own parts has no settings of an eye, which would tell the two apart
    return fingerprint(ran, asked, "seen") if seen and asked == unseen else fingerprint(ran, asked)


def drawn(rows: Sequence[Row], told: Told) -> list[tuple]:
    """What of its prompts a picture depends on."""
    texts = [r.described if told == "described" else r.text for r in rows]
    return [(r.kind, r.chance, text, r.noise, r.size, r.picture) for r, text in zip(rows, texts, strict=True)]


def score(params: Params) -> str:
    """What scoring depends on, whatever was drawn."""
    looking = panel(params)
    ran = code.digest(["dopsd.study.score", *looking.modules()])
    return fingerprint(ran, {name: s.model_dump() for name, s in looking.settings.items()})


def search(params: Params) -> dict[str, str]:
    """For each method whose learning rate is searched: what the score of a candidate depends on, the rate apart."""
    rule = params.step_size.model_dump(include={"fidelity", "retention"})
    looked = draw(params), score(params), code.digest(["dopsd.evaluation.step_size"]), rule, params.evaluate.few
    return {m: fingerprint(k, *looked) for m, k in train(params).items() if m in params.searched}


def _stage(module: str, *more: str) -> str:
    return code.digest([f"dopsd.stages.{module}", *more])


def _files(folder: Path, pattern: str) -> dict[str, str]:
    return {f.name: content(f) for f in sorted(folder.glob(pattern))}


def _of_notebooks(folder: Path) -> list[str]:
    """The modules that notebooks import."""
    cells = [c for f in sorted(folder.glob("*.ipynb")) for c in json.loads(f.read_text(encoding="utf-8"))["cells"]]
    return code.imported("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))


def _models(*names: str) -> dict[str, str]:
    return {name: content(paths.MODELS / name) for name in names}


def _bases(params: Params) -> dict[str, str]:
    """The base's weights, where a method is trained on it."""
    asked = (prepared.of(m) for m in methods(params).values())
    return {"base": fingerprint(weights(base(params.backbone), seen=False))} if any(a and a.base for a in asked) else {}


def all_stages(params: Params) -> dict[str, dict]:
    """What each stage of the study depends on, by its name: settings, weights and code, and the grid that it runs over."""
    check(params)
    grid, of = params.grid, backbones.module(params.backbone.name)
    over = {"concepts": list(grid.concepts), "seeds": list(grid.seeds)}
    models = [params.backbone, *turbos(params).values()]
    seen, unseen = ([weights(m, which) for m in models] for which in (True, False))
    kept, looked = {m: training(params, m).kept for m in grid.trained}, "teacher" in grid.references
    sheets = fingerprint(kept, params.evaluate.model_dump(exclude={"batch_size"}))
    shown = (
        [another(c, params) for c in grid.concepts] if any(m.needs.another for m in methods(params).values()) else []
    )
    out = {
        "fetch": {"code": _stage("fetch"), "fetch": params.fetch.model_dump(), "concepts": fetched(params)}
        | ({"one_shape": True} if of_one_shape(params) else {}),
        "prompts": {
            "code": _stage("prompts"),
            "prompts": params.prompts.model_dump(),
            "size": params.fetch.size,
            "search": params.step_size.seed,
            **over,
            "concepts": fetched(params),
        },
        "step_size": {
            "methods": search(params),
            "settings": params.step_size.model_dump(),
            "weights": fingerprint(seen, eyes(params)),
        },
        "train": {"methods": train(params), "weights": fingerprint(seen), "shown": shown, **_bases(params), **over},
        "draw": {
            "code": draw(params, looked),
            "methods": list(grid.methods),
            "sheets": sheets,
            "weights": fingerprint(seen if looked else unseen),
            **over,
        },
        "evaluate": {
            "code": score(params),
            "methods": list(grid.methods),
            "weights": fingerprint(eyes(params)),
            **over,
        },
        "report": {
            "code": _stage("report", *panel(params).modules()),
            "templates": _files(code.SOURCE / "report", "*.j2"),
            "settings": fingerprint(params.model_dump(exclude={"execute", "backbone"})),
        },
    }
    if NOTEBOOKS.is_dir():
        out["notebooks"] = {"code": code.digest(["dopsd.stages.notebooks", *_of_notebooks(NOTEBOOKS)])}
    if params.probe:
        also = [content(Path(vlm)) for vlm in params.probe.also if Path(vlm).is_dir()]
        asked = _backbone(params.backbone, seen=True), params.probe.model_dump(), params.evaluate.batch_size
        out["probe"] = {
            "code": _stage("probe", of),
            "settings": fingerprint(*asked),
            "weights": fingerprint(seen, also, eyes(params)),
        }
    if params.picture_probe:
        asked = _backbone(params.backbone, seen=True), params.picture_probe.model_dump(), params.evaluate.batch_size
        out["probe"] = {
            "code": _stage("probe", of, *panel(params).modules()),
            "settings": fingerprint(*asked, params.fetch.size, list(grid.concepts), params.instruments),
            "weights": fingerprint(seen, eyes(params)),
        }
    if DOMAIN in params.instruments:
        out["domains"] = {
            "code": _stage("domains"),
            "fetch": params.fetch.model_dump(),
            "prompts": params.prompts.model_dump(),
            "search": params.step_size.seed,
            **over,
            "concepts": fetched(params),
        }
    if params.miniature:
        out["miniature"] = {
            "code": _stage("miniature"),
            "settings": params.miniature.model_dump(),
            "weights": _models(*MINIATURE, *params.miniature.vlms),
        }
        texts = code.SOURCE / "report" / "site"
        out["page"] = {"code": _stage("page"), "texts": _files(texts, "*.j2") | _files(texts, "*.yaml")}
    return out
