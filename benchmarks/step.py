"""One optimiser step of D-OPSD and SFT, its peak memory, and how near it comes to the device's own speed.

    python benchmarks/step.py --model tiny-zimage --size 256                  # on a CPU, in minutes
    python benchmarks/step.py --model zimage --size 1024 --out step.json      # full size, random weights, on a GPU

Every form of the step runs in one process on the same inputs, one after another; a ratio is of the medians of their rounds.
`reference` does what is known of the paper's release: one backward over the sum of all K states, text encoder and VLM
resident and run at every step, the target encoded by the VAE and not used, checkpointing on. The other forms are this
project's own loop (`dopsd.train.Training`) with the options in their names.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    ZImageTransformer2DModel,
)
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3Model

from dopsd import flow
from dopsd.backbones.base import Condition
from dopsd.backbones.klein import Klein
from dopsd.backbones.zimage import ZImage
from dopsd.objectives import Batch
from dopsd.rollout import rollout
from dopsd.train import Training

GIB = 2**30
TINY = {"dim": 64, "n_layers": 4, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": 64}
TINY |= {"axes_dims": [8, 12, 12], "axes_lens": [2048, 512, 512]}
KLEIN_4B = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680}
KLEIN_9B = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288}
ZIMAGE_LORA = ("to_q", "to_k", "to_v", "to_out.0", "w1", "w2", "w3")
KLEIN_LORA = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
KLEIN_LORA += ("to_qkv_mlp_proj", "linear_in", "linear_out")
MODELS = {
    "tiny-zimage": (ZImage, ZImageTransformer2DModel, TINY, ZIMAGE_LORA),
    "zimage": (ZImage, ZImageTransformer2DModel, {"axes_lens": [2048, 512, 512]}, ZIMAGE_LORA),
    "klein-4b": (Klein, Flux2Transformer2DModel, KLEIN_4B | {"guidance_embeds": False}, KLEIN_LORA),
    "klein-9b": (Klein, Flux2Transformer2DModel, KLEIN_9B | {"guidance_embeds": False}, KLEIN_LORA),
}
TRAIN = {
    "batch_size": 1, "accumulation": 1, "rollout_steps": 4, "loss": "x0", "teacher": "ema", "ema": 0.9999, "tune": "lora",
    "offload": False, "betas": (0.9, 0.999), "weight_decay": 0.0, "clip": 1.0, "steps": 10**6,
}  # fmt: skip


@dataclass
class Case:
    """A form of the step: its name, what to run, and what to count."""

    name: str
    step: object
    build_gib: float


def synchronised(device: torch.device) -> float:
    """The time, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def backbone(model: str, device: torch.device, dtype: torch.dtype, quantize: str):
    """A backbone of random weights in memory: the class's own velocity and grids, without folders and encoders."""
    cls, transformer_class, config, _ = MODELS[model]
    out = object.__new__(cls)
    out.settings = SimpleNamespace(quantize=quantize, native_steps=4, name=cls.__name__.lower())
    out.device, out.dtype = device, dtype
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            out.transformer = transformer_class(**config)
    finally:
        torch.set_default_dtype(before)
    out.channels = out.transformer.config.in_channels
    out.transformer.eval().requires_grad_(False)
    if quantize != "none":
        quantized(out.transformer, quantize)
    dynamic = {"use_dynamic_shifting": True} if cls is Klein else {}
    out.scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, **dynamic)
    return out


def quantized(transformer: torch.nn.Module, kind: str) -> None:
    """What `backbone.quantize` does when weights are opened, here to weights in memory (torchao)."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, Int8WeightOnlyConfig, PerRow, quantize_

    config = (
        Int8WeightOnlyConfig() if kind == "int8" else Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
    )
    blocks = torch.nn.ModuleList(m for n, m in transformer.named_children() if isinstance(m, torch.nn.ModuleList))
    quantize_(blocks, config, filter_fn=lambda m, name: isinstance(m, torch.nn.Linear) and min(m.weight.shape) >= 64)


def inputs(built, model: str, size: int, text: int, seen: int) -> Batch:
    """One sample of random latents and features: `text` tokens for the student, `seen` for the teacher."""
    generator = torch.Generator().manual_seed(0)
    config = built.transformer.config
    width = config.cap_feat_dim if MODELS[model][0] is ZImage else config.joint_attention_dim
    side = size // (8 if MODELS[model][0] is ZImage else 16)
    x = torch.randn(1, config.in_channels, side, side, generator=generator).to(built.device)

    def context(length: int, references: tuple = ()) -> list[Condition]:
        return [Condition(torch.randn(length, width, generator=generator).to(built.device, built.dtype), references)]

    teacher = context(seen) if MODELS[model][0] is ZImage else context(text, (x[0].cpu(),))
    grid = built.step_grid(4, x.shape[-2:]).to(built.device)
    return Batch(x, torch.randn_like(x), torch.tensor([0.5], device=built.device), context(text), teacher, grid)


class Encoders:
    """The reference's resident encoders: two language models of the text encoder's size, and a VAE."""

    def __init__(self, tiny: bool, device: torch.device, dtype: torch.dtype):
        size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "vocab_size": 1000}
        if not tiny:
            size = {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "vocab_size": 151936}
        heads = {"num_attention_heads": 2 if tiny else 32, "num_key_value_heads": 2 if tiny else 8}
        config = Qwen3Config(**size, **heads, head_dim=32 if tiny else 128)
        blocks = (16, 32, 32, 32) if tiny else (128, 256, 512, 512)
        kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
        with device:
            self.models = [Qwen3Model(config).to(dtype).eval().requires_grad_(False) for _ in range(2)]
            self.vae = AutoencoderKL(block_out_channels=blocks, latent_channels=16, norm_num_groups=16, **kinds).to(
                dtype
            )
        self.vae.requires_grad_(False)

    @torch.no_grad()
    def run(self, size: int, text: int, seen: int) -> None:
        device, dtype = self.vae.device, self.vae.dtype
        for model, length in zip(self.models, (text, seen), strict=True):
            model(input_ids=torch.zeros(1, length, dtype=torch.long, device=device), use_cache=False)
        self.vae.encode(torch.zeros(1, 3, size, size, device=device, dtype=dtype))


def reference_step(training: Training, batch: Batch, encoders: Encoders, size: int, text: int, seen: int):
    """The release's form of D-OPSD: see the module's text."""

    def step() -> float:
        encoders.run(size, text, seen)
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


def forward_flops(built, batch: Batch) -> float:
    """FLOPs of one forward of the student, counted by torch."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built.velocity(batch.noise, batch.times, batch.student_context)
    return float(counter.get_total_flops())


def measured(form: str, model: str, size: int, rank: int, text: int, seen: int, device, dtype, rounds: int) -> dict:
    """Build a form of the step, run it, and take its seconds and peak memory."""
    method, *options = form.split("+")
    quantize = next((o for o in options if o in ("int8", "fp8")), "none")
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    built = backbone(model, device, dtype, quantize)
    checkpointing = method == "reference" or "checkpointed" in options
    settings = TRAIN | {"lora_rank": rank, "lora_alpha": 2 * rank, "lora_targets": MODELS[model][3]}
    settings = SimpleNamespace(**settings, gradient_checkpointing=checkpointing)
    training = Training(built, "dopsd" if method == "reference" else method, settings, 0, 1e-4)
    batch = inputs(built, model, size, text, seen)
    flops = forward_flops(built, batch)
    if "compiled" in options:
        built.transformer.compile_repeated_blocks(fullgraph=False)
    if method == "reference":
        step = reference_step(training, batch, Encoders(model.startswith("tiny"), device, dtype), size, text, seen)
    else:
        step = lambda: training.advance([batch])[0]  # noqa: E731 - the two forms have one shape
    seconds, losses = [], []
    for _ in range(rounds + 1):
        begun = synchronised(device)
        losses.append(step())
        seconds.append(synchronised(device) - begun)
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None
    # forwards a step: K of the student, twice again for its backward (inputs and what they depend on), K of the teacher
    forwards = 3 if method == "sft" else 4 * 4
    forwards -= 0 if method == "sft" else 4  # the frozen base needs no gradients of its weights: about one forward less
    return {
        "form": form, "seconds": statistics.median(seconds[1:]), "all": seconds[1:], "first": seconds[0],
        "peak_gib": peak, "forward_tflop": flops / 1e12, "step_tflop": forwards * flops / 1e12, "losses": losses,
    }  # fmt: skip


def table(rows: list[dict], rate: float) -> str:
    """Markdown: seconds, ratio to the reference, share of the matmul rate, memory."""
    base = next((r["seconds"] for r in rows if r["form"] == "reference"), None)
    lines = ["| form | seconds | reference / form | of the matmul rate | peak GiB |", "|---|---|---|---|---|"]
    for r in rows:
        ratio = f"{base / r['seconds']:.2f}" if base else ""
        memory = f"{r['peak_gib']:.1f}" if r["peak_gib"] else "not measured"
        share = r["step_tflop"] * 1e12 / r["seconds"] / rate
        lines.append(f"| {r['form'].replace('+', ', ')} | {r['seconds']:.3f} | {ratio} | {share:.0%} | {memory} |")
    return "\n".join(lines)


def main(
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "tiny-zimage",
    size: Annotated[int, typer.Option(help="pixels a side")] = 256,
    rank: Annotated[int, typer.Option(help="of the LoRA")] = 64,
    text: Annotated[int, typer.Option(help="tokens of the student's prompt")] = 96,
    seen: Annotated[int, typer.Option(help="tokens of the teacher's picture and prompt")] = 512,
    rounds: int = 5,
    form: Annotated[list[str] | None, typer.Option(help="such as reference, sft, dopsd+compiled+fp8")] = None,
    seconds: Annotated[float, typer.Option(help="begin no further form after this time")] = 1e9,
    out: Annotated[Path | None, typer.Option(help="a .json file for all numbers")] = None,
) -> None:
    """Measure the forms of a step and print a table."""
    forms = form or ["reference", "dopsd+checkpointed", "dopsd", "sft"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    begun, rows, rate = time.perf_counter(), [], matmul_rate(device, dtype)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    for f in forms:
        if time.perf_counter() - begun > seconds:
            print(f"{f}: not begun, the time is over")
            continue
        rows.append(measured(f, model, size, rank, text, seen, device, dtype, rounds))
        print(table(rows[-1:], rate).splitlines()[-1], flush=True)
        if out:
            out.write_text(
                json.dumps({"device": name, "matmul_flops": rate, "model": model, "size": size, "rows": rows})
            )
    print(
        f"\n{model}, {size} x {size}, rank {rank}, {name}, {rate / 1e12:.1f} TFLOP/s in matmuls\n\n{table(rows, rate)}"
    )


if __name__ == "__main__":
    typer.run(main)
