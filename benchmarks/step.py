"""One optimiser step of D-OPSD and SFT, its peak memory, and how near it comes to the device's own speed.

    python benchmarks/step.py --model tiny-zimage --size 256                  # on a CPU, in minutes
    python benchmarks/step.py --model zimage --size 1024 --out step.json      # full size, random weights, on a GPU

Every form of the step runs in one process on the same inputs, one after another; a ratio is of the medians of their rounds.
`reference` does what is known of the paper's release: one backward over the sum of all K states, the encoders resident and
run at every step (`Encoders`), checkpointing on. The other forms are this project's own loop
(`dopsd.training.loop.Training`) on the shipped preset, opened from disk as users open theirs, with the options in their
names.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3Model

from dopsd import backbones, objectives
from dopsd.backbones import kind
from dopsd.backbones.pipeline import device as named_device
from dopsd.config.params import load_preset
from dopsd.method import flow
from dopsd.method.context import Condition
from dopsd.method.rollout import rollout
from dopsd.objectives import Batch
from dopsd.support.errors import UserError
from dopsd.training import budget
from dopsd.training.loop import Training

DTYPE = {"cuda": "bfloat16", "cpu": "float32"}
GIB = 2**30
TINY = {"dim": 64, "n_layers": 4, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": 64}
TINY |= {"axes_dims": [8, 12, 12], "axes_lens": [2048, 512, 512], "in_channels": 16}
TINY_KLEIN = {"num_layers": 2, "num_single_layers": 2, "num_attention_heads": 4, "joint_attention_dim": 192}
TINY_KLEIN |= {"attention_head_dim": 16, "axes_dims_rope": [4, 4, 4, 4]}
TINY_KREA = {"num_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}
TINY_KREA |= {"attention_head_dim": 16, "axes_dims_rope": [4, 6, 6], "timestep_embed_dim": 16, "num_text_layers": 3}
TINY_KREA |= {"text_hidden_dim": 64, "text_intermediate_size": 128}
TINY_KREA |= {"text_num_attention_heads": 2, "text_num_key_value_heads": 2}
KLEIN_4B = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680}
KLEIN_9B = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288}
MODELS = {  # the preset that is timed, and the transformer's sizes
    "tiny-zimage": ("zimage", TINY),
    "tiny-klein": ("klein-4b", TINY_KLEIN | {"guidance_embeds": False}),
    "tiny-krea": ("krea", TINY_KREA),
    "zimage": ("zimage", {"axes_lens": [2048, 512, 512]}),
    "klein-4b": ("klein-4b", KLEIN_4B | {"guidance_embeds": False}),
    "klein-9b": ("klein-9b", KLEIN_9B | {"guidance_embeds": False}),
    "krea": ("krea", {}),  # diffusers' own defaults: 12.8 B
}
OPTIONS = {  # in a form's name -> changes to the preset
    "compiled": "backbone.compile_blocks=true",
    "graphs": "train.cuda_graphs=true",
    "merged": "train.merged_teacher=true",
    "checkpointed": "train.gradient_checkpointing=true",
    "int8": "backbone.quantize=int8",
    "fp8": "backbone.quantize=fp8",
    "nf4": "backbone.quantize=nf4",
}
WITHIN = "within"  # and GiB: `dopsd tune --memory`, of a form that is checkpointed
TEXT = {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "vocab_size": 151936}  # Qwen3-4B
TEXT |= {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
TEXT_9B = TEXT | {"hidden_size": 4096, "intermediate_size": 12288}  # Qwen3-8B, klein-9B's
TINY_TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "vocab_size": 1000}
TINY_TEXT |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
SMALL = {"block_out_channels": (16, 32, 32, 32), "norm_num_groups": 16}
LARGE = {"block_out_channels": (128, 256, 512, 512), "norm_num_groups": 16}
VAES = {  # by backbone: sizes of a small one and of one that is timed; diffusers' defaults where nothing is said
    "zimage": (BLOCKS | SMALL, BLOCKS | LARGE, {"latent_channels": 16, "shift_factor": 0.1}),
    "klein": (BLOCKS | SMALL, {}, {}),
    "krea": ({"base_dim": 8, "num_res_blocks": 1}, {}, {}),
}


def synchronised(device: torch.device) -> float:
    """The time, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def made(build: Callable[[], Any], device: torch.device, dtype: torch.dtype) -> Any:
    """What `build` builds, on a device and in a type from the start: on the way there no larger copy of it is anywhere."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return build()
    finally:
        torch.set_default_dtype(before)


def vae(model: str, small: bool) -> Any:
    """The model's autoencoder with random weights, with the latents that its transformer reads."""
    backbone = load_preset(MODELS[model][0]).backbone
    little, whole, shape = VAES[backbone.name]
    return kind(backbone).vae_class(**(little if small else whole), **shape)


def random_model(model: str, folder: Path, device: torch.device, dtype: torch.dtype) -> str:
    """A pipeline's folder (transformer, a small VAE, scheduler, index) with random weights, written once -> its path."""
    where = folder / model
    if not (where / "model_index.json").exists():  # written last
        preset, config = MODELS[model]
        cls = kind(load_preset(preset).backbone)
        torch.manual_seed(0)
        transformer = made(lambda: cls.transformer_class(**config), device, dtype)
        transformer.save_pretrained(where / "transformer")
        vae(model, small=True).save_pretrained(where / "vae")
        scheduler = FlowMatchEulerDiscreteScheduler(1000, shift=3.0, use_dynamic_shifting=preset != "zimage")
        scheduler.save_pretrained(where / "scheduler")
        index: dict[str, Any] = {"_class_name": cls.pipeline.__name__}
        if layers := transformer.config.get("num_text_layers"):  # krea: every third one, as in Krea-2-Turbo
            index |= {"is_distilled": True, "text_encoder_select_layers": list(range(2, 3 * layers, 3))}
        (where / "model_index.json").write_text(json.dumps(index))
    return str(where)


def preset_of(model: str, path: str, options: list[str], rank: int, dtype: str):
    """The shipped preset with a form's options; unlike it without checkpointing, if not asked for, and batch 1."""
    changes = [f"backbone.model={path}", "backbone.revision=null", f"backbone.dtype={dtype}", "train.batch_size=1"]
    changes += ["train.accumulation=1", "train.gradient_checkpointing=false"]
    changes += ["train.steps=1000000", f"train.lora_rank={rank}", f"train.lora_alpha={2 * rank}"]
    return load_preset(MODELS[model][0], [*changes, *(OPTIONS[o] for o in options)])


def inputs(built, size: int, text: int, seen: int) -> Batch:
    """One sample of random latents and features, as the backbone reads them: `text` tokens for the student, `seen` for the
    teacher. klein pads every prompt to backbone.student_tokens, and its teacher sees the picture as a reference; a token of
    krea's is its states in all tapped layers."""
    generator = torch.Generator().manual_seed(0)
    edits = built.settings.name == "klein"
    width = built.text_width()[0] * (len(built.taps) if built.settings.name == "krea" else 1)
    if edits:
        text = seen = built.settings.student_tokens
    x = torch.randn(1, *built.latent_shape(size, size), generator=generator).to(built.device)

    def context(length: int, references: tuple = ()) -> list[Condition]:
        return [Condition(torch.randn(length, width, generator=generator).to(built.device, built.dtype), references)]

    teacher = context(seen, (x[0].cpu(),) if edits else ())
    grid = built.step_grid(4, x.shape[-2:]).to(built.device)
    noise = torch.randn(x.shape, generator=generator).to(built.device)  # the same for every form
    return Batch(x, noise, torch.tensor([0.5], device=built.device), context(text), teacher, grid)


class Encoders:
    """The reference's resident encoders: language models of the text encoder's size, run on what student and teacher read,
    and a VAE, run on the target.

    Z-Image: two language models, the text encoder and the VLM (without its tower), and the target's latents are not used.
    klein: one for both prompts, and the latents are what the teacher sees. krea: one for both, as its text encoder sees; no
    release knows it, so this is what the same script would do.
    """

    def __init__(self, model: str, device: torch.device, dtype: torch.dtype):
        tiny = model.startswith("tiny")
        config = Qwen3Config(**(TINY_TEXT if tiny else TEXT_9B if model == "klein-9b" else TEXT))
        several = 2 if MODELS[model][0] == "zimage" else 1
        with device:
            own = [Qwen3Model(config).to(dtype).eval().requires_grad_(False) for _ in range(several)]
            self.vae = vae(model, small=tiny).to(dtype).requires_grad_(False)
        self.models = own * (2 // several)  # the student's and the teacher's
        self.frames = (1,) if MODELS[model][0] == "krea" else ()  # its VAE is one of videos

    @torch.no_grad()
    def run(self, size: int, batch: Batch) -> None:
        device, dtype = self.vae.device, self.vae.dtype
        for model, context in zip(self.models, (batch.student_context, batch.teacher_context), strict=True):
            ids = torch.zeros(1, len(context[0].features), dtype=torch.long, device=device)
            model(input_ids=ids, use_cache=False)
        self.vae.encode(torch.zeros(1, 3, *self.frames, size, size, device=device, dtype=dtype))


def reference_step(training: Training, batch: Batch, encoders: Encoders, size: int):
    """The release's form of D-OPSD: see the module's text."""

    def step() -> float:
        encoders.run(size, batch)
        losses = []
        student = training.backbone.velocity
        for state in rollout(lambda x, t: student(x, t, batch.student_context), batch.noise, batch.grid):
            u_t = training.teach(state.x, state.t, batch.teacher_context)
            x0_s, x0_t = (flow.x0_from_velocity(state.x, u, state.t) for u in (state.v, u_t))
            losses.append(F.mse_loss(x0_s, x0_t))
        loss = torch.stack(losses).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(training.parameters, 1.0)
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=True)
        training.teacher.update()
        return loss.item()

    return step


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product on this device, the best of a few."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        begun = synchronised(device)
        a @ b
        best = max(best, 2 * n**3 / (synchronised(device) - begun))
    return best


def forward_flops(model: str, path: str, size: int, text: int) -> float:
    """FLOPs of one forward of the student, counted by torch."""
    built = backbones.load(preset_of(model, path, [], 4, DTYPE[named_device("auto").type]).backbone)
    batch = inputs(built, size, text, text)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built.velocity(batch.noise, batch.times, batch.student_context)
    return float(counter.get_total_flops())


def measured(form: str, model: str, path: str, size: int, rank: int, text: int, seen: int, rounds: int) -> dict:
    """Open a form of the step as `dopsd tune` does, run it, and take its seconds and peak memory."""
    method, *options = form.split("+")
    budgets = [float(o.removeprefix(WITHIN)) for o in options if o.startswith(WITHIN)]
    options = [o for o in options if not o.startswith(WITHIN)]
    gc.collect()
    device = named_device("auto")
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    torch._dynamo.reset()
    reference = method == "reference"
    options += ["checkpointed"] if reference else []
    preset = preset_of(model, path, options, rank, DTYPE[device.type])
    built = backbones.load(preset.backbone)
    named = "dopsd" if reference else method
    seconds, losses = [], []
    with budget.within(built.transformer, budgets[0] if budgets else None, device):
        training = Training(built, objectives.method(named, preset.methods, "the preset"), preset.train, 0, 1e-4)
        batch = inputs(built, size, text, seen)
        if reference:
            step = reference_step(training, batch, Encoders(model, device, built.dtype), size)
        else:
            step = lambda: training.advance([batch])[0]  # noqa: E731 - the two forms have one shape
        for _ in range(rounds + 2):
            begun = synchronised(device)
            losses.append(step())
            seconds.append(synchronised(device) - begun)
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None
    tokens = [len(c[0].features) for c in (batch.student_context, batch.teacher_context)]
    # forwards a step: each state is one of the student and one of the teacher, and a backward that costs a third one (the
    # frozen base needs gradients of inputs only); SFT has one state and no teacher
    return {
        "form": form, "seconds": statistics.median(seconds[2:]), "all": seconds, "peak_gib": peak, "losses": losses,
        "tokens": tokens, "forwards": 2 if method == "sft" else 3 * training.method.needs.rollout_steps,
    }  # fmt: skip


def table(rows: list[dict], rate: float, flops: float) -> str:
    """Markdown: seconds, ratio to the reference, share of the matmul rate, memory."""
    base = next((r["seconds"] for r in rows if r["form"] == "reference"), None)
    lines = ["| form | seconds | reference / form | of the matmul rate | peak GiB |", "|---|---|---|---|---|"]
    for r in rows:
        ratio = f"{base / r['seconds']:.2f}" if base else ""
        memory = f"{r['peak_gib']:.1f}" if r["peak_gib"] else "not measured"
        share = r["forwards"] * flops / r["seconds"] / rate
        lines.append(f"| {r['form'].replace('+', ', ')} | {r['seconds']:.3f} | {ratio} | {share:.0%} | {memory} |")
    return "\n".join(lines)


def main(
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "tiny-zimage",
    size: Annotated[int, typer.Option(help="pixels a side")] = 256,
    rank: Annotated[int, typer.Option(help="of the LoRA")] = 64,
    text: Annotated[int, typer.Option(help="tokens of the student's prompt")] = 96,
    seen: Annotated[int, typer.Option(help="tokens of the teacher's picture and prompt")] = 512,
    rounds: int = 5,
    form: Annotated[
        list[str] | None, typer.Option(help="such as reference, sft, dopsd+compiled+fp8, dopsd+checkpointed+within24")
    ] = None,
    seconds: Annotated[float, typer.Option(help="begin no further form after this time")] = 1e9,
    out: Annotated[Path | None, typer.Option(help="a .json file for all numbers")] = None,
    models: Annotated[Path, typer.Option(help="a folder for random weights, as large as the model")] = Path(
        "models/work/random"
    ),
) -> None:
    """Measure the forms of a step and print a table."""
    forms = form or ["reference", "dopsd+checkpointed", "dopsd", "sft"]
    device = named_device("auto")
    dtype = getattr(torch, DTYPE[device.type])
    path = random_model(model, models, device, dtype)
    begun, rows, rate = time.perf_counter(), [], matmul_rate(device, dtype)
    flops = forward_flops(model, path, size, text)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    for f in forms:
        if time.perf_counter() - begun > seconds:
            print(f"{f}: not begun, the time is over")
            continue
        try:
            rows.append(measured(f, model, path, size, rank, text, seen, rounds))
        except torch.OutOfMemoryError as error:
            print(f"{f}: out of memory ({str(error).splitlines()[0]})", flush=True)
            continue
        except UserError as error:  # an option that this machine, or another option, does not allow
            print(f"{f}: {error}", flush=True)
            continue
        print(table(rows[-1:], rate, flops).splitlines()[-1], flush=True)
        if out:
            facts = {"device": name, "torch": torch.__version__, "matmul_flops": rate, "forward_flops": flops}
            out.write_text(json.dumps(facts | {"model": model, "size": size, "rank": rank, "rows": rows}))
    print(
        f"\n{model}, {size} x {size}, rank {rank}, {name}, torch {torch.__version__}, {rate / 1e12:.1f} TFLOP/s in matmuls,"
    )
    print(f"{flops / 1e12:.1f} TFLOP a forward\n\n{table(rows, rate, flops)}")


if __name__ == "__main__":
    typer.run(main)
