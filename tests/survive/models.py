"""Folders of models: of another kind, not all there, broken, or with code of their own."""

from __future__ import annotations

from pathlib import Path

from survive.cases import GONE, Model, cases, flat

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
INDEX = '{"metadata": {}, "weight_map": {"x": "model-00001-of-00002.safetensors"}}'
CODE = {"auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M", "AutoTokenizer": ["mine.T", "mine.T"]}}
OWN = "open('owned', 'w').write('ran')\n"


def opened(model: str, *says: str, preset: str = "zimage.yaml", **change) -> tuple:
    """`dopsd draw` with a model's source, or with a copy of a tiny model that is changed."""
    run = (
        "draw",
        "a star",
        "--backbone",
        preset,
        "--set",
        f"backbone.model={model}",
        "--pictures",
        "1",
        "--size",
        "32",
    )
    return run, says, change


def changed(of: str, change: dict, *says: str) -> tuple:
    return opened("m", *says, preset=f"{of}.yaml", files={"m": Model(of, change)})


def seen(change: dict, *says: str) -> tuple:
    """A VLM that is asked for captions."""
    run = (
        "tune",
        "--images",
        "set",
        "--name",
        "thing",
        "--backbone",
        "zimage.yaml",
        "--captions",
        "vlm",
        "--set",
        "backbone.vlm=v",
    )
    return run, says, {"files": {"v": Model("vlm", change), "set/data.txt": ""}}


CASES = flat(
    [
        cases(
            "where a model is",
            opened("./none", "./none", "no such folder", process=True),
            opened("/no/such/place", "/no/such/place", "no such folder"),
            opened("https://huggingface.co/x/y", "https://huggingface.co/x/y", "no such folder"),
            opened("a.safetensors", "a.safetensors", "a file", files={"a.safetensors": b""}),
            opened("models/none", "models/none/transformer", "missing", "restore it from git"),
        ),
        cases(
            "a model that cannot be fetched",
            opened("nobody/nothing", "nobody/nothing/transformer", "cannot open", "hf auth login"),
            opened("nothing", "nothing/transformer", "cannot open"),
        ),
        cases(
            "a folder that is no pipeline",
            opened("empty", "empty", "no folder transformer", files={"empty/x": ""}),
            changed("zimage", {"vae": GONE}, "m", "no folder vae"),
            changed("zimage", {"scheduler": GONE}, "m", "no folder scheduler"),
            changed("zimage", {"text_encoder": GONE}, "m", "no folder text_encoder"),
            changed("klein", {"tokenizer": GONE}, "m", "no folder tokenizer"),
        ),
        cases(
            "a model of another kind",
            changed(
                "zimage",
                {"transformer": Path("klein/transformer")},
                "m/transformer",
                "Flux2Transformer2DModel",
                "ZImageT",
            ),
            changed("klein", {"transformer": Path("zimage/transformer")}, "m/transformer", "ZImageTransformer2DModel"),
            changed("zimage", {"vae": Path("klein/vae")}, "m/vae", "AutoencoderKLFlux2", "AutoencoderKL;"),
            changed(
                "zimage", {"text_encoder/config.json": {"model_type": "llama"}}, "m/text_encoder", "llama", "qwen3"
            ),
            changed(
                "zimage",
                {"scheduler/scheduler_config.json": {"_class_name": "DDIMScheduler"}},
                "m/scheduler",
                "DDIMScheduler",
            ),
        ),
        cases(
            "a class that no library knows",
            changed("zimage", {"transformer/config.json": {"_class_name": "Mine"}}, "m/transformer", "holds a Mine"),
            changed("klein", {"vae/config.json": {"_class_name": "Mine"}}, "m/vae", "holds a Mine"),
            changed("zimage", {"text_encoder/config.json": {"model_type": "mine"}}, "m/text_encoder", "holds a mine"),
        ),
        cases(
            "a broken configuration",
            changed("zimage", {"transformer/config.json": "{"}, "m/transformer", "cannot open the transformer"),
            changed("zimage", {"transformer/config.json": b"\xff\xfe"}, "m/transformer", "cannot open the transformer"),
            changed("zimage", {"vae/config.json": "[]"}, "m/vae", "does not say what it holds"),
            changed(
                "zimage",
                {"transformer/config.json": {"n_layers": "two"}},
                "m/transformer",
                "cannot open the transformer",
            ),
            changed("zimage", {"text_encoder/config.json": GONE}, "m/text_encoder", "does not say what it holds"),
        ),
        cases(
            "weights that cannot be read",
            changed("zimage", {TRANSFORMER: b""}, "m/transformer", "cannot open the transformer"),
            changed("zimage", {TRANSFORMER: b"x" * 1000}, "m/transformer", "cannot open the transformer"),
            changed("zimage", {TRANSFORMER: GONE}, "m/transformer", "cannot open the transformer"),
            changed("zimage", {TEXT: b"x" * 1000}, "m/text_encoder", "cannot open the text_encoder"),
            changed("klein", {"vae/diffusion_pytorch_model.safetensors": b"1"}, "m/vae", "cannot open the vae"),
        ),
        cases(
            "a shard that is not there",
            changed(
                "zimage", {TRANSFORMER: GONE, f"{TRANSFORMER}.index.json": INDEX}, "m/transformer", "00001-of-00002"
            ),
            changed("zimage", {TEXT: GONE, f"{TEXT}.index.json": INDEX}, "m/text_encoder", "00001-of-00002"),
        ),
        cases(
            "weights that are not all, or too many",
            changed(
                "zimage", {"transformer/config.json": {"n_layers": 3}}, "m/transformer", "lacks 15 weights", "layers.2."
            ),
            changed(
                "zimage", {"transformer/config.json": {"n_layers": 1}}, "m/transformer", "more than fits: 15 weights"
            ),
            changed(
                "zimage",
                {"text_encoder/config.json": {"num_hidden_layers": 2, "layer_types": ["full_attention"] * 2}},
                "m/text_encoder",
                "more than fits: 11 weights",
            ),
            changed(
                "klein",
                {"transformer/config.json": {"num_single_layers": 2}},
                "m/transformer",
                "lacks",
                "single_transformer",
            ),
        ),
        cases(
            "weights of other shapes",
            changed(
                "zimage",
                {"transformer/config.json": {"cap_feat_dim": 64}},
                "m",
                "32 wide",
                "reads 64",
                "not of one model",
            ),
            changed("zimage", {"text_encoder/config.json": {"intermediate_size": 32}}, "m/text_encoder", "cannot open"),
            changed("klein", {"transformer/config.json": {"joint_attention_dim": 64}}, "m", "96 wide", "reads 64"),
            changed("zimage", {"transformer/config.json": {"in_channels": 8}}, "m", "latents of 4 channels", "reads 8"),
            changed("zimage", {"vae/config.json": {"shift_factor": None}}, "m", "no shift_factor"),
        ),
        cases(
            "a tokenizer that does not fit",
            changed("zimage", {"tokenizer/tokenizer.json": "{"}, "m/tokenizer", "cannot open the tokenizer"),
            changed("zimage", {"tokenizer/chat_template.jinja": GONE}, "m/tokenizer", "no chat template"),
            changed("zimage", {"tokenizer/tokenizer.json": GONE}, "m/tokenizer", "cannot open the tokenizer"),
        ),
        cases(
            "layers that an encoder has not",
            (
                (
                    "draw",
                    "a star",
                    "--backbone",
                    "klein.yaml",
                    "--set",
                    "backbone.text_layers=[1, 2, 40]",
                    "--size",
                    "32",
                ),
                ("backbone.text_layers [1, 2, 40]", "4 layers"),
            ),
            (
                ("draw", "a star", "--backbone", "klein.yaml", "--set", "backbone.text_layers=[1, 2]", "--size", "32"),
                ("64 wide", "reads 96"),
            ),
        ),
        cases(
            "code of a repository",
            changed(
                "zimage",
                {"text_encoder/config.json": CODE | {"model_type": "mine"}, "text_encoder/mine.py": OWN},
                "m/text_encoder",
                "holds a mine",
            ),
            changed(
                "zimage",
                {
                    "tokenizer/tokenizer_config.json": CODE | {"tokenizer_class": "T"},
                    "tokenizer/mine.py": OWN,
                    "tokenizer/tokenizer.json": GONE,
                },
                "m/tokenizer",
                "cannot open the tokenizer",
            ),
        ),
        cases(
            "a GPU that is not here",
            *(
                (
                    ("draw", "a star", "--backbone", f"{kind}.yaml", "--set", "backbone.device=cuda"),
                    ("backbone.device cuda", "GPU 0 is not here", "choose auto or cpu"),
                )
                for kind in ("mini", "zimage", "klein")
            ),
            (
                ("draw", "a star", "--backbone", "mini.yaml", "--set", "backbone.device=cuda"),
                "LOCAL_RANK='one'",
                {"environment": {"LOCAL_RANK": "one"}},
            ),
            (
                ("draw", "a star", "--backbone", "mini.yaml", "--set", "backbone.device=cuda"),
                "GPU 3 is not here",
                {"environment": {"LOCAL_RANK": "3"}},
            ),
        ),
        cases(
            "weights in fewer bits",
            *(
                (
                    (
                        "draw",
                        "a star",
                        "--backbone",
                        "zimage.yaml",
                        "--size",
                        "32",
                        "--set",
                        f"backbone.quantize={kind}",
                    ),
                    (f"backbone.quantize {kind}",),
                )
                for kind in ("nf4", "fp8")
            ),
        ),
    ]
)
