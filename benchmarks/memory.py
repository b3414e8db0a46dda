"""What full fine-tuning and LoRAs of Z-Image-Turbo hold on a GPU, as docs/real-models.md has it: counted and measured.

    python benchmarks/memory.py          # prints the table and writes benchmarks/results/zimage-memory.json

Weights, gradients, moments and averages are counted from the shapes of the real transformer, which is not opened. Activations
are what was measured above them in a LoRA's step (benchmarks/results, an H100, batch 1): full fine-tuning's are taken to be
the same. A sum that a step has shown is measured, all others are counted; beside those of `--sharded` stands the peak that
`scale.py` has seen, where it has run on so many GPUs.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from scale_predicted import FLOAT, GIB, SHARDED, Trained, held
from step import MODELS

from dopsd.backbones import kind
from dopsd.config.params import load_preset
from dopsd.study.plan import TRAINED

RESULTS = Path(__file__).parent / "results"
MIB = {"141 GB": 143771, "80 GB": 81559, "24 GB": 24564}  # of cards, as NVIDIA's tools tell
CARDS = {name: mib / 1024 - 1 for name, mib in MIB.items()}  # GiB, less CUDA's own
BF16 = 2
SPOKEN = 3 * BF16  # of a weight: student, teacher and gradient in bf16, the rest on the CPU
NOT_OFFERED = "FSDP2's CPU offload (not offered)"  # leaves the gradient in whole, and what is gathered
UNSHARED = TRAINED + BF16  # all of it in float32, and the teacher's copy in bf16


def shapes() -> tuple[int, int, int]:
    """Weights of the transformer, of its largest block, and of a LoRA of rank 64 on the shipped preset's layers."""
    preset = load_preset("zimage")
    name, config = MODELS["zimage"]
    with torch.device("meta"):
        transformer = kind(load_preset(name).backbone).transformer_class(**config)
    blocks = [m for m in transformer.modules() if type(m).__name__ in transformer._repeated_blocks]
    targets = tuple(f".{t}" for t in preset.train.lora_targets)
    tuned = [m for n, m in transformer.named_modules() if isinstance(m, torch.nn.Linear) and n.endswith(targets)]
    lora = preset.train.lora_rank * sum(m.in_features + m.out_features for m in tuned)
    whole, block = (max(sum(p.numel() for p in m.parameters()) for m in ms) for ms in ([transformer], blocks))
    return whole, block, lora


def peak(file: str, form: str) -> float:
    """GiB of a measured step."""
    (row,) = [r for r in json.loads((RESULTS / file).read_text())["rows"] if r["form"] == form]
    return row["peak_gib"]


def seen(what: str, how: str, gpus: int | str) -> float | None:
    """GiB of the peak that `scale.py` has measured of what is counted; None where it has not."""
    file = RESULTS / f"h200-scale-{gpus}.json"
    if (what, how) != ("full, --sharded", "1024, checkpointed") or not file.exists():
        return None
    return max(r["peak_gib"] for r in json.loads(file.read_text())["rows"] if r["form"] == "full+checkpointed")


def rows() -> list[dict]:
    """Each: what is trained and how, GPUs, GiB that stand on each and of activations, their sum, whether it is measured, and
    of one that is counted the peak that was seen (None: not measured)."""
    whole, block, lora = shapes()
    loras = (whole * BF16 + lora * TRAINED) / GIB
    plain = peak("h100-zimage-1024.json", "dopsd+compiled+graphs")
    checked = peak("h100-zimage-1024-earlier.json", "dopsd+checkpointed")
    small = peak("h100-zimage-512.json", "dopsd+compiled+graphs")
    nf4 = peak("h100-zimage-1024-earlier.json", "dopsd+compiled+checkpointed+graphs+nf4")
    known = {"1024": plain - loras, "1024, checkpointed": checked - loras, "512": small - loras}
    out = [
        {"what": "LoRA, nf4, 1024, checkpointed", "gpus": 1, "stands": None, "activations": None, "sum": nf4},
        *(
            {"what": f"LoRA, {how}", "gpus": 1, "stands": loras, "activations": more, "sum": loras + more}
            for how, more in known.items()
        ),
    ]
    out = [row | {"measured": True, "seen": None} for row in out]
    gathered = block * (2 * BF16 + FLOAT)  # two blocks at a time, and one's gradients on their way
    trained = Trained("full", whole, BF16, 4, 1)
    ways = [("full", 1, whole * UNSHARED), ("full, offload", 1, whole * SPOKEN)]
    ways += [("full, --sharded", n, held(trained, n) + gathered) for n in (1, 2, 4, 8)]
    ways.append((f"full, --sharded, {NOT_OFFERED}", "any", whole * FLOAT + gathered))
    for what, gpus, stands in ways:
        for how in ("1024, checkpointed", "1024"):
            row = {"what": f"{what}, {how}", "gpus": gpus, "stands": stands / GIB, "activations": known[how]}
            row |= {"sum": stands / GIB + known[how], "measured": False, "seen": seen(what, how, gpus)}
            out.append(row)
    return out


def fits(row: dict, card: str) -> str:
    """Whether a card holds it."""
    return "yes" if row["sum"] <= CARDS[card] else "no"


def table(found: list[dict]) -> str:
    """Markdown, a line a row."""
    heads = ["what is trained, at which size", "GPUs", "stands, GiB", "activations, GiB", "sum, GiB", *CARDS]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for r in found:
        cells = [r["what"], "any" if r["what"].startswith("LoRA") else r["gpus"]]
        cells += ["" if r[k] is None else f"{r[k]:.1f}" for k in ("stands", "activations")]
        total = f"**{r['sum']:.1f}**, measured" if r["measured"] else f"{r['sum']:.1f}"
        cells.append(total + (f"; **{r['seen']:.1f}** measured" if r["seen"] else ""))
        lines.append(f"| {' | '.join(map(str, [*cells, *(fits(r, card) for card in CARDS)]))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    made = rows()
    bytes_each = {
        "sharded": SHARDED,
        "gradient_in_whole": FLOAT,
        "unshared": UNSHARED,
        "offload": SPOKEN,
        "lora": TRAINED,
    }
    facts = {"cards_gib": CARDS, "bytes_a_weight": bytes_each, "rows": made}
    (RESULTS / "zimage-memory.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(table(made))
