"""Presets, params.yaml and `--set`: files that a person writes."""

from __future__ import annotations

import os
from pathlib import Path

from survive.cases import GONE, cases, flat

PRESET = "extends: mini.yaml\n"


def of(text: str | bytes, *more: str) -> tuple:
    """`dopsd draw` with a preset of this text."""
    return ("draw", "a star", "--backbone", "p.yaml", *more), {"files": {"p.yaml": text}}


def preset(text: str | bytes, *says: str, **more) -> tuple:
    run, files = of(text)
    return run, says, files | more


def setting(change: str, *says: str) -> tuple:
    return ("draw", "a star", "--backbone", "mini.yaml", "--set", change), (f"--set {change[:80]}", *says)


def study(changes: dict, *says: str, stage: str = "keys") -> tuple:
    return ("stage", stage), ("params.yaml", *says), {"params": changes}


def link(file: Path) -> None:
    file.symlink_to("nowhere")


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)

CASES = flat(
    [
        cases(
            "a preset's name",
            *(
                (("draw", "a star", "--backbone", name), ("no preset", repr(name), near))
                for name, near in (
                    ("zimag", "'zimage'"),
                    ("klein", "'klein-"),
                    ("mini turbo", "'mini-turbo'"),
                    ("flux.1", "known: klein-4b"),
                    ("ZIMAGE", "known: klein-4b"),
                )
            ),
        ),
        cases(
            "a preset's file that is none",
            (("draw", "a star", "--backbone", "none.yaml"), ("none.yaml", "missing", "zimage"), {"process": True}),
            (("draw", "a star", "--backbone", "f.yaml"), ("f.yaml", "a folder"), {"files": {"f.yaml/x": ""}}),
            (("draw", "a star", "--backbone", "q.yaml"), ("q.yaml", "pipe"), {"files": {"q.yaml": os.mkfifo}}),
            (("draw", "a star", "--backbone", "l.yaml"), ("l.yaml", "no such file"), {"files": {"l.yaml": link}}),
        ),
        cases(
            "text that is not UTF-8",
            preset(b"extends: mini.yaml\n# caf\xe9\n", "p.yaml", "not UTF-8", "byte 24"),
            preset((PRESET + "train: {steps: 3}\n").encode("utf-16"), "p.yaml", "not UTF-8"),
            preset(b"extends: mini.yaml\0", "p.yaml", "zero byte"),
            preset(b"\xff\xfe\x00", "p.yaml", "not UTF-8 (byte 0)"),
        ),
        cases(
            "text that is no YAML",
            preset("train: [1", "p.yaml", "not YAML", "line 1"),
            preset(PRESET + "train:\n\tsteps: 3\n", "p.yaml", "line 3"),
            preset(PRESET + "train: {steps: 3\ntune: 4", "p.yaml", "not YAML"),
            preset(PRESET + "a: *b\n", "p.yaml", "line 2", "undefined alias"),
            preset("a: 1\n---\nb: 2\n", "p.yaml", "not YAML", "document"),
        ),
        cases(
            "a file that holds something else",
            *(preset(text, "p.yaml", "no sections") for text in ("", "# nothing", "- a\n- b", "just words", "3")),
        ),
        cases(
            "a key that stands twice",
            preset(
                PRESET + "train: {steps: 3}\ntrain: {steps: 4}\n",
                "p.yaml",
                "line 3",
                "'train' stands twice",
                "line 2",
                process=True,
            ),
            preset(PRESET + "train: {steps: 3, batch_size: 2, steps: 4}\n", "p.yaml", "'steps' stands twice"),
            preset("extends: mini.yaml\nextends: zimage\n", "p.yaml", "'extends' stands twice"),
            preset(PRESET + "methods:\n  dopsd:\n    ema: 0.9\n    ema: 0.99\n", "line 5", "'ema' stands twice"),
            setting("methods.dopsd={ema: 0.9, ema: 0.5}", "'ema' stands twice"),
        ),
        cases(
            "a file that is deep, or large once it is written out",
            preset(PRESET + "a: " + "[" * 5000 + "]" * 5000, "p.yaml", "nested deeper than 32"),
            preset(PRESET + "a: " + "{b: " * 40 + "1" + "}" * 40, "p.yaml", "nested deeper than 32"),
            preset(PRESET + BOMB, "p.yaml", "more than 100000 values"),
            preset(PRESET + "a: &a [*a]\n", "p.yaml", "an alias inside of what it stands for"),
            setting("train.checkpoints=" + "[" * 40 + "]" * 40, "nested deeper than 32"),
        ),
        cases(
            "a tag of YAML",
            preset(
                PRESET + "train: !!python/object/apply:os.system ['touch owned']\n", "p.yaml", "line 2", "python/object"
            ),
            preset(PRESET + "tune: {license: !!binary aGk=}\n", "p.yaml", "binary"),
            preset(PRESET + "train: !mine {steps: 3}\n", "p.yaml", "!mine"),
            preset(PRESET + "train: {lora_targets: !!set {a, b}}\n", "p.yaml", "set"),
            preset(PRESET + "train: {steps: !!float x}\n", "p.yaml", "not a finite number"),
        ),
        cases(
            "a key that is no text",
            preset(PRESET + "1: 2\n", "p.yaml", "line 2", "the key '1' is no text", "quotes"),
            preset(PRESET + "train: {true: 2}\n", "p.yaml", "the key 'true' is no text"),
            preset(PRESET + "train: {1.5: 2}\n", "the key '1.5'"),
            preset(PRESET + "train: {null: 2}\n", "the key 'null'"),
            preset(PRESET + "? [a, b]\n: 2\n", "p.yaml", "is no text"),
        ),
        cases(
            "a section that there is not",
            preset(PRESET + "trian: {steps: 3}\n", "p.yaml", "trian", "'train'"),
            preset(PRESET + "Train: {steps: 3}\n", "p.yaml", "Train"),
            study({"trian": {"steps": 3}}, "trian", "'train'"),
            setting("trian.steps=3", "no section 'trian'", "'train'"),
        ),
        cases(
            "a field that there is not",
            preset(PRESET + "train: {step: 3}\n", "p.yaml", "train.step", "'steps'"),
            preset(PRESET + "tune: {previews: {evry: 3}}\n", "p.yaml", "tune.previews.evry", "'every'"),
            setting("backbone.vlm_revison=x", "backbone.vlm_revison", "'vlm_revision'"),
            study({"grid.concept": ["beacon"]}, "grid.concept", "'concepts'"),
            study({"fetch.folders": {"mine": {"image": "x", "name": "y"}}}, "fetch.folders.mine.image", "'images'"),
        ),
        cases(
            "a number that is a text",
            preset(PRESET + "train: {steps: '4'}\n", "p.yaml", "train.steps", "integer", "'4'"),
            setting("train.steps=010", "train.steps", "'010'"),
            setting("train.steps=0x10", "train.steps", "'0x10'"),
            setting("train.save_every=1:30", "train.save_every", "'1:30'"),
            study({"train.batch_size": "two"}, "train.batch_size", "'two'"),
        ),
        cases(
            "a truth for a number, a number for a truth",
            setting("train.steps=true", "train.steps", "integer", "True"),
            setting("tune.learning_rate=yes", "tune.learning_rate", "number", "True"),
            setting("train.offload=1", "train.offload", "boolean", "1"),
            setting("train.cuda_graphs='yes'", "train.cuda_graphs", "boolean"),
            study({"grid.seeds": [True]}, "grid.seeds.0", "integer"),
        ),
        cases(
            "a number of another kind",
            setting("train.steps=4.0", "train.steps", "integer", "4.0"),
            setting("train.steps=1e3", "train.steps", "integer", "1000.0"),
            setting("train.steps=[3]", "train.steps", "integer"),
            setting("tune.license=3", "tune.license", "string", "in quotes"),
            setting("train.steps=", "train.steps", "None"),
        ),
        cases(
            "a field out of its range",
            setting("train.lora_rank=0", "train.lora_rank", "1"),
            setting("train.lora_rank=5000", "train.lora_rank", "4096"),
            setting("tune.nfe=1001", "tune.nfe", "1000"),
            setting("tune.seed=-1", "tune.seed", "0"),
            study({"prompts.ordinary": 7}, "prompts.ordinary", "8"),
        ),
        cases(
            "a number that is not finite",
            setting("tune.learning_rate=.nan", "not a finite number"),
            setting("tune.learning_rate=1e400", "not a finite number"),
            preset(PRESET + "train: {clip: .inf}\n", "p.yaml", "line 2", "not a finite number"),
            study({"train.weight_decay": float("nan")}, "not a finite number"),
            setting("train.steps=" + "9" * 5000, "no number that can be read"),
        ),
        cases(
            "a choice",
            setting("backbone.device=gpu", "backbone.device", "'cuda'", "'gpu'"),
            setting("backbone.dtype=float16", "backbone.dtype", "'bfloat16'"),
            setting("backbone.name=flux", "backbone.name", "unknown 'flux'", "zimage, klein"),
            setting("backbone.name=zimage2", "backbone.name", "'zimage'"),
            study({"execute.cluster": "pbs"}, "execute.cluster", "'slurm'"),
        ),
        cases(
            "a field that is not there",
            preset("extends: defaults\n", "p.yaml: backbone.name", "required"),
            preset("backbone: {name: zimage}\n", "p.yaml", "required"),
            study({"evaluate.batch_size": GONE}, "evaluate.batch_size", "required"),
            study({"grid": GONE}, "grid", "required"),
            study({"compare.baseline": GONE}, "compare.baseline", "required"),
        ),
        cases(
            "fields that do not fit together",
            setting("train.accumulation=3", "batch_size 2 cannot be split into accumulation 3"),
            setting("train.checkpoints=[3, 2]", "checkpoints must rise"),
            setting("backbone.min_pixels=5000", "min_pixels 5000 is above max_pixels 4096"),
            setting("tune.method=lora", "tune.method 'lora' has no entry"),
            study({"train.tune": "full", "train.merged_teacher": True}, "merged_teacher is for tune lora"),
        ),
        cases(
            "the file that says the wrong field",
            preset(
                "extends: low.yaml\ntrain: {save_every: 3}\n",
                "low.yaml: train.steps",
                files={
                    "p.yaml": "extends: low.yaml\ntrain: {save_every: 3}\n",
                    "low.yaml": PRESET + "train: {steps: x}\n",
                },
            ),
            preset(
                "extends: low.yaml\n",
                "low.yaml: methods.dopsd.loss",
                files={"p.yaml": "extends: low.yaml\n", "low.yaml": PRESET + "methods: {dopsd: {loss: l1}}\n"},
            ),
            (
                ("draw", "a star", "--backbone", "p.yaml", "--set", "train.save_every=9"),
                "p.yaml: train: batch_size 2",
                {"files": {"p.yaml": PRESET + "train: {accumulation: 3}\n"}},
            ),
            (
                ("draw", "a star", "--backbone", "p.yaml", "--set", "train.batch_size=5"),
                "--set train.batch_size=5: train:",
                {"files": {"p.yaml": PRESET + "train: {accumulation: 2}\n"}},
            ),
        ),
        cases(
            "what a preset extends",
            preset("extends: p.yaml\n", "extends itself"),
            preset(
                "extends: q.yaml\n", "extends itself", files={"p.yaml": "extends: q.yaml", "q.yaml": "extends: p.yaml"}
            ),
            preset("extends: 3\n", "p.yaml", "extends: 3", "name one preset"),
            preset("extends: zimgae\n", "p.yaml: extends", "no preset 'zimgae'", "'zimage'"),
            preset("extends: none.yaml\n", "p.yaml: extends", "none.yaml", "missing"),
        ),
        cases(
            "the form of --set",
            *(
                setting(change, "SECTION.FIELD=VALUE")
                for change in ("steps=3", "train.steps", "train..steps=3", "=3", "train.=3")
            ),
        ),
        cases(
            "a method, and its settings",
            setting("methods.dopsdd.ema=0.5", "methods.dopsdd", "no such method", "'dopsd'"),
            setting("methods.dopsd.emma=0.5", "methods.dopsd.emma", "'ema'"),
            setting("methods.dopsd.ema='0.5'", "methods.dopsd.ema", "number"),
            setting("methods.sft=3", "methods.sft", "object"),
            study({"grid.trained": ["sft", "magic"], "step_size.given.magic": 1e-3}, "grid.trained names 'magic'"),
        ),
        cases(
            "an instrument, and its settings",
            setting("instruments.dyno.model=x", "instruments.dyno", "no such instrument", "'dino'"),
            setting("instruments.kid.feature=x", "instruments.kid.feature", "'features'"),
            setting("instruments.frechet.features=dino", "instruments.frechet: features: 'dino'", "add it"),
            setting("instruments.mini_clip=3", "instruments.mini_clip", "object"),
            study({"instruments.reader.modle": "x"}, "instruments.reader.modle", "'model'"),
        ),
    ]
)
