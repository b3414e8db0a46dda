"""The command line itself: what is said before anything is opened."""

from __future__ import annotations

from survive.cases import cases, flat

TUNE = ("tune", "--images", "pictures", "--backbone", "mini.yaml")
DRAW = ("draw", "a red star", "--backbone", "mini.yaml")
HALF = "\udcff"  # a byte that is no UTF-8, as the system hands it over


def draw(*more: str) -> tuple[str, ...]:
    return (*DRAW, *more)


def tune(*more: str) -> tuple[str, ...]:
    return (*TUNE, "--name", "thing", *more)


CASES = flat(
    [
        cases(
            "unknown command",
            ("tun", ("No such command 'tun'", "'tune'", "dopsd --help"), {"process": True}),
            ("Draw x", "No such command 'Draw'"),
            ("help", "No such command 'help'"),
            ("--bogus", "No such option: --bogus"),
            status=2,
        ),
        cases(
            "unknown option",
            (draw("--bogus"), ("No such option: --bogus", "dopsd draw --help"), {"process": True}),
            (draw("--lorra", "x"), ("No such option: --lorra", "--lora")),
            (tune("--step", "3"), ("No such option: --step", "--steps")),
            (draw("second"), "unexpected extra argument"),
            status=2,
        ),
        cases(
            "missing argument",
            ("draw", ("Missing argument", "prompt")),
            ("tune --images x", ("Missing option", "--name")),
            ("tune --name x", ("Missing option", "--images")),
            ("export x --name y", ("Missing option", "--out")),
            ("draw x --size", ("--size", "requires an argument")),
            status=2,
        ),
        cases(
            "an option that is no number",
            (draw("--size", "big"), ("--size", "valid integer")),
            (draw("--seed", "1.5"), ("--seed", "valid integer")),
            (draw("--nfe", "four"), ("--nfe", "valid integer")),
            (tune("--steps", "1e3"), ("--steps", "valid integer")),
            (tune("--learning-rate", "fast"), ("--learning-rate", "valid number")),
            status=2,
        ),
        cases(
            "a number out of its range",
            (draw("--nfe", "0"), ("--nfe", "1"), {"process": True}),
            (draw("--nfe", "1001"), ("--nfe", "1000")),
            (draw("--pictures", "0"), "--pictures"),
            (draw("--seed", "-1"), "--seed"),
            (tune("--steps", "0"), "--steps"),
            status=2,
        ),
        cases(
            "an option that is not finite",
            (tune("--learning-rate", "inf"), ("--learning-rate inf", "tune.learning_rate", "finite")),
            (tune("--learning-rate", "1e999"), ("tune.learning_rate", "finite")),
            (tune("--learning-rate", "0"), ("--learning-rate 0.0", "tune.learning_rate", "greater than 0")),
        ),
        cases("an option that is below all", (tune("--learning-rate", "nan"), "--learning-rate"), status=2),
        cases(
            "empty argument",
            (("draw", ""), "the argument '' is empty", {"process": True}),
            (("draw", "  "), "the argument '  ' is empty"),
            (draw("--out="), "'--out='"),
            (("tune", "--images", "", "--name", "x"), "is empty"),
            (tune("--out", ""), "leave the option out"),
            status=2,
        ),
        cases(
            "zero byte in an argument",
            (("draw", "a\0b"), ("zero byte", "a\\x00b")),
            (draw("--lora", "l\0"), "zero byte"),
            (tune("--out", "o\0"), "zero byte"),
            (draw("--set", "train.steps=\0"), "zero byte"),
            (("plan", "x\0"), "zero byte"),
            status=2,
        ),
        cases(
            "an argument that is not UTF-8",
            (("draw", "a " + HALF), ("not UTF-8", "\\udcff")),
            (tune("--out", "o" + HALF), "not UTF-8"),
            (("measure", HALF, "--images", "x", "--name", "y"), "not UTF-8"),
            (("export", HALF, "--out", "x", "--name", "y"), "not UTF-8"),
            status=2,
        ),
        cases(
            "control characters",
            (("draw", "a \x1b[31m red"), ("PROMPT", "control characters")),
            (("draw", "a \x07"), "control characters"),
            (("tune", "--images", "x", "--name", "my\x08corgi"), ("--name", "control characters")),
            (("export", "x", "--out", "y", "--name", "\x7fn"), ("--name", "control characters")),
        ),
        cases(
            "a text longer than any model reads",
            (("draw", "red " * 6000), ("PROMPT", "24000 characters")),
            (("tune", "--images", "x", "--name", "n" * 20_001), ("--name", "20001 characters")),
        ),
        cases(
            "a name without a letter",
            *(
                (("tune", "--images", "x", "--name", name), ("no letter or digit", name))
                for name in ("!!!", "---", "___", "…", "🙂")
            ),
        ),
        cases(
            "a file's name that is too long",
            (tune("--out", "o" * 300), ("--out", "300 bytes", "255")),
            (tune("--out", "柯" * 100), "300 bytes"),
            (draw("--out", "d" * 260 + ".png"), "264 bytes"),
            (tune("--out", "a/" + "b" * 256 + "/c"), "256 bytes"),
        ),
        cases(
            "--out is a file, or under one",
            (tune("--out", "taken"), ("--out taken", "a file, not a folder"), {"process": True}),
            (tune("--out", "taken/below"), ("taken", "is a file")),
            (("export", "c", "--out", "taken", "--name", "x", "--backbone", "mini.yaml"), "a file, not a folder"),
            (draw("--out", "taken/x.png"), ("taken", "is a file")),
            files={"taken": "kept"},
        ),
        cases(
            "a picture's format",
            *((draw("--out", name), (name, "ends in .png")) for name in ("a.pdf", "a.jpg", "a.svg", "a", "a.png.txt")),
        ),
        cases(
            "a picture that is a folder",
            (draw("--out", "f.png"), ("f.png", "a folder"), {"files": {"f.png/x": ""}}),
            (draw("--out", "."), "ends in .png"),
        ),
        cases(
            "a size that patches do not divide",
            (draw("--size", "50"), ("--size 50", "multiple of 16")),
            (tune("--size", "1000"), ("--size 1000", "tune.size", "multiple of 16")),
            (draw("--size", "100000"), ("--size 100000", "16384")),
            (draw("--set", "tune.size=65"), ("--set tune.size=65", "multiple of 16")),
        ),
        cases(
            "tuned weights' folder",
            (draw("--lora", "none"), ("--lora none", "no such folder"), {"process": True}),
            (draw("--lora", "l/w.safetensors"), ("a file", "pytorch_lora_weights")),
            (draw("--lora", "l"), ("holds neither", "pytorch_lora_weights.safetensors")),
            (draw("--lora", "out"), ("holds neither", "out/checkpoints/step-0004")),
            (draw("--lora", "full"), ("holds neither", "full/checkpoints/step-0004")),
            files={
                "l/w.safetensors": b"x",
                "out/checkpoints/step-0004/pytorch_lora_weights.safetensors": b"x",
                "full/checkpoints/step-0004/transformer/model.safetensors": b"x",
            },
        ),
        cases(
            "a finished training's folder",
            (("measure", "none", "--images", "x", "--name", "y"), ("none", "no preset.yaml"), {"process": True}),
            (("measure", "half", "--images", "x", "--name", "y"), ("half", "no preset.yaml")),
            (("measure", "odd", "--images", "x", "--name", "y"), ("odd/preset.yaml", "no sections")),
            files={"half/README.md": "", "odd/preset.yaml": "1"},
        ),
        cases(
            "a study's folder",
            ("plan none", ("none", "no such folder"), {"process": True}),
            ("plan mini.yaml", "no such folder"),
            ("plan .", ("params.yaml", "missing")),
            ("plan s", ("params.yaml", "a folder"), {"files": {"s/params.yaml/x": ""}}),
        ),
        cases(
            "a checkpoint's folder",
            ("export none --out e --name x --backbone mini.yaml", ("none", "no LoRA there")),
            ("export c --out e --name x --backbone mini.yaml", ("c/pytorch_lora_weights.safetensors", "no LoRA")),
            files={"c/README.md": ""},
        ),
        cases(
            "words that the miniature does not know",
            (("draw", "a corgi", "--backbone", "mini.yaml"), ("no word for corgi", "it knows")),
            (("draw", "柯基", "--backbone", "mini.yaml"), "no word for 柯基"),
        ),
        cases(
            "the set's folder",
            (tune(), ("pictures", "not a folder")),
            (("tune", "--images", "mini.yaml", "--name", "x", "--backbone", "mini.yaml"), "not a folder"),
            (tune("--captions", "best"), ("--captions 'best'", "name or vlm")),
        ),
    ]
)
