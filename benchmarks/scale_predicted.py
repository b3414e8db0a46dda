"""What a step takes on several GPUs, predicted from `scale.py` on one GPU and from counted bytes, before it is measured.

    python benchmarks/scale_predicted.py benchmarks/results/h200-scale-1.json --link "NVLink 4, 450 GB/s a direction" \
        --gbytes 450 --out benchmarks/results/h200-scale-predicted.json

Of one GPU two rows are needed of a form, weak (a picture) and strong (all pictures of a batch): the difference is what
pictures take, the rest what optimiser and average take. On n GPUs pictures are split, and so is the rest of full fine-tuning;
a LoRA's rest each GPU does itself. Bytes go at the link's full rate: gathers of weights beside the computing (the longer of
the two counts), gradients after it. So a prediction is a bound from below: of a machine whose links and kernels do not
disturb each other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

GIB, FLOAT = 2**30, 4
SHARDED = 4 * FLOAT  # bytes of a weight that is shared out: master, Adam's two moments, EMA
WHOLE = FLOAT  # and of its gradient, which each process adds up over the states in whole, until it is shared out


@dataclass(frozen=True)
class Trained:
    """What of a form its bytes are counted from: lora or full, trained weights, bytes of a gathered one, states of a
    roll-out, pictures that a process takes, one after another."""

    tune: str
    weights: int
    itemsize: int
    states: int
    pictures: int


def forwards(what: Trained) -> int:
    """Of a picture: student and teacher at each state, and a backward pass, which costs one more where weights are frozen and
    two where each has a gradient. What checkpointing computes again does not count."""
    return (4 if what.tune == "full" else 3) * what.states


def sent(what: Trained, processes: int) -> dict[str, float]:
    """Bytes that a process sends in a step, by collective, where rings send them: (n - 1) / n of the whole, twice in an
    all-reduce. Norms and losses, some bytes, are left out.

    full: each pass gathers the weights, the student's backward pass once more; gradients go once a step, in float32.
    """
    share = (processes - 1) / processes
    if what.tune == "lora":
        return {"all_gather": 0.0, "reduce_scatter": 0.0, "all_reduce": 2 * share * what.weights * FLOAT}
    gathers = 3 * what.states * what.pictures * what.weights * what.itemsize
    return {"all_gather": share * gathers, "reduce_scatter": share * what.weights * FLOAT, "all_reduce": 0.0}


def held(what: Trained, processes: int) -> float:
    """Bytes that a process of full fine-tuning holds of weights, gradients, moments and EMA at the most."""
    return what.weights * (SHARDED / processes + WHOLE)


def predicted(weak: dict, strong: dict, gpus: int, scaling: str, itemsize: int, states: int, rate: float) -> dict:
    """A row like those of `scale.py`, from the two of one GPU. rate: bytes a second that a GPU sends."""
    tune, batch = weak["form"].partition("+")[0], strong["pictures_a_gpu"]
    picture = (strong["seconds"] - weak["seconds"]) / (batch - 1)
    rest = weak["seconds"] - picture
    pictures = 1 if scaling == "weak" else batch // gpus
    what = Trained(tune, weak["trained"], itemsize, states, pictures)
    out, computed = sent(what, gpus), picture * pictures
    after = out["reduce_scatter"] + out["all_reduce"]
    seconds = max(computed, out["all_gather"] / rate) + after / rate + rest / (gpus if tune == "full" else 1)
    peak = {1: weak, batch: strong}.get(pictures, strong)["peak_gib"]
    if peak is not None and tune == "full":
        peak += (held(what, gpus) - held(what, 1)) / GIB
    row = {"form": weak["form"], "scaling": scaling, "gpus": gpus, "pictures_a_gpu": pictures, "seconds": seconds}
    row |= {"pictures_a_second": pictures * gpus / seconds, "peak_gib": peak, "sent_counted": out}
    return row | {"seconds_sending": sum(out.values()) / rate}


def main(
    one: Annotated[Path, typer.Argument(help="what scale.py wrote on one GPU")],
    link: Annotated[str, typer.Option(help="what the GPUs are linked by, in words")],
    gbytes: Annotated[float, typer.Option(min=0.001, help="GB a second that it lets a GPU send")],
    gpus: Annotated[list[int] | None, typer.Option(min=2, help="2, 4 and 8 if not given")] = None,
    states: Annotated[int, typer.Option(help="of the roll-out")] = 4,
    out: Annotated[Path | None, typer.Option(help="a .json file")] = None,
) -> None:
    """Predict, and print a table."""
    found = json.loads(one.read_text())
    if found["gpus"] != 1:
        raise typer.BadParameter(f"{one}: of {found['gpus']} GPUs; give what scale.py wrote on one")
    known = {(r["form"], r["scaling"]): r for r in found["rows"]}
    forms = [f for f in dict.fromkeys(f for f, _ in known) if {(f, "weak"), (f, "strong")} <= known.keys()]
    if not forms:
        raise typer.BadParameter(f"{one}: no form with a weak and a strong row; run scale.py with both")
    itemsize = 2 if found["device"] != "CPU" else FLOAT
    rows = []
    for form in forms:
        for scaling in ("weak", "strong"):
            for n in gpus or (2, 4, 8):
                pair = known[form, "weak"], known[form, "strong"]
                rows.append(predicted(*pair, n, scaling, itemsize, states, gbytes * 1e9))
    print("| form | scaling | GPUs | seconds | pictures/s | peak GiB | GB sent |\n|" + "---|" * 7)
    for r in rows:
        memory = "not known" if r["peak_gib"] is None else f"{r['peak_gib']:.1f}"
        cells = [r["form"].replace("+", ", "), r["scaling"], r["gpus"], f"{r['seconds']:.3f}"]
        cells += [f"{r['pictures_a_second']:.2f}", memory, f"{sum(r['sent_counted'].values()) / 1e9:.3g}"]
        print(f"| {' | '.join(map(str, cells))} |")
    facts = {k: found[k] for k in ("device", "torch", "model", "size", "rank", "pictures")}
    facts |= {"predicted_from": one.name, "link": link, "gbytes_a_second": gbytes}
    if out:
        out.write_text(json.dumps(facts | {"rows": rows}, indent=1))


if __name__ == "__main__":
    typer.run(main)
