"""What a step takes on several GPUs, predicted from `scale.py` on one GPU and from counted bytes, before it is measured.

    python benchmarks/scale_predicted.py benchmarks/results/h200-scale-1.json --link "NVLink 4, 450 GB/s a direction" \
        --gbytes 450 --out benchmarks/results/h200-scale-predicted.json

Of one GPU two rows are needed of a form, weak (a picture) and strong (all pictures of a batch): the difference is what
pictures take, the rest what optimiser and average take. On n GPUs pictures are split, and so is the rest of full fine-tuning;
a LoRA's rest each GPU does itself. Bytes go at the link's full rate: gathers of weights beside the computing (the longer of
the two counts), gradients after it. So a prediction is a bound from below: of a machine whose links and kernels do not
disturb each other.

With --two, what scale.py wrote on two GPUs, a second prediction stands beside it in "fitted". Two GPUs tell by how much a
picture takes longer there, d = p_2 - p_1, and what a step has after its pictures, r_2, beside what is left of one GPU's, r_1.
Where weights are gathered both are put down to bytes, of which n processes send s_n = 2 (n - 1) / n times what two do:

    full, n GPUs: pictures (p_1 + d s_n) + r_1 / n + max(0, r_2 - r_1 / 2) s_n
    lora, n GPUs: pictures (p_1 + d)     + r_1     + max(0, r_2 - r_1) s_n

A LoRA gathers nothing: its d is what the slower one of two GPUs loses.
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


Pair = tuple[dict, dict]  # the weak and the strong row of a form, as `scale.py` writes them


def parted(pair: Pair) -> tuple[float, float]:
    """Seconds that a picture takes, and those that a step has beside its pictures."""
    weak, strong = pair
    picture = (strong["seconds"] - weak["seconds"]) / (strong["pictures_a_gpu"] - 1)
    return picture, weak["seconds"] - picture


def fitted(one: Pair, two: Pair, gpus: int, scaling: str) -> dict:
    """A row of the second prediction: see the module's text."""
    (picture, rest), (at_two, rest_at_two) = parted(one), parted(two)
    full, grows = one[0]["form"].startswith("full"), 2 * (gpus - 1) / gpus
    pictures = 1 if scaling == "weak" else one[1]["pictures_a_gpu"] // gpus
    slower = (at_two - picture) * (grows if full else 1)
    sending = max(0.0, rest_at_two - (rest / 2 if full else rest)) * grows
    seconds = pictures * (picture + slower) + rest / (gpus if full else 1) + sending
    row = {"form": one[0]["form"], "scaling": scaling, "gpus": gpus, "pictures_a_gpu": pictures, "seconds": seconds}
    return row | {"pictures_a_second": pictures * gpus / seconds}


def predicted(one: Pair, gpus: int, scaling: str, itemsize: int, states: int, rate: float) -> dict:
    """A row like those of `scale.py`, from the two of one GPU. rate: bytes a second that a GPU sends."""
    (weak, strong), (picture, rest) = one, parted(one)
    tune, batch = weak["form"].partition("+")[0], strong["pictures_a_gpu"]
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


def measured(file: Path, gpus: int) -> tuple[dict, dict[str, Pair]]:
    """What scale.py wrote on so many GPUs: all of it, and each form's pair of rows; BadParameter where it is of others."""
    found = json.loads(file.read_text())
    if found["gpus"] != gpus:
        raise typer.BadParameter(f"{file}: of {found['gpus']} GPUs; give what scale.py wrote on {gpus}")
    known = {(r["form"], r["scaling"]): r for r in found["rows"]}
    forms = dict.fromkeys(f for f, _ in known if {(f, "weak"), (f, "strong")} <= known.keys())
    if not forms:
        raise typer.BadParameter(f"{file}: no form with a weak and a strong row; run scale.py with both")
    return found, {f: (known[f, "weak"], known[f, "strong"]) for f in forms}


def table(rows: list[dict], second: list[dict]) -> str:
    """Markdown: the rows, with the second prediction's seconds where there is one."""
    also = {(r["form"], r["scaling"], r["gpus"]): f"{r['seconds']:.3f}" for r in second}
    lines = ["| form | scaling | GPUs | seconds | fitted | pictures/s | peak GiB | GB sent |", "|" + "---|" * 8]
    for r in rows:
        memory = "not known" if r["peak_gib"] is None else f"{r['peak_gib']:.1f}"
        which = r["form"], r["scaling"], r["gpus"]
        cells = [r["form"].replace("+", ", "), *which[1:], f"{r['seconds']:.3f}", also.get(which, "")]
        cells += [f"{r['pictures_a_second']:.2f}", memory, f"{sum(r['sent_counted'].values()) / 1e9:.3g}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main(
    one: Annotated[Path, typer.Argument(help="what scale.py wrote on one GPU")],
    link: Annotated[str, typer.Option(help="what the GPUs are linked by, in words")],
    gbytes: Annotated[float, typer.Option(min=0.001, help="GB a second that it lets a GPU send")],
    gpus: Annotated[list[int] | None, typer.Option(min=2, help="2, 4 and 8 if not given")] = None,
    states: Annotated[int, typer.Option(help="of the roll-out")] = 4,
    two: Annotated[Path | None, typer.Option(help="what scale.py wrote on two GPUs: a second prediction")] = None,
    out: Annotated[Path | None, typer.Option(help="a .json file")] = None,
) -> None:
    """Predict, and print a table. A batch that GPUs cannot share evenly has no strong row."""
    found, pairs = measured(one, 1)
    of_two = measured(two, 2)[1] if two else {}
    itemsize = 2 if found["device"] != "CPU" else FLOAT
    rows: list[dict] = []
    second: list[dict] = []
    for form, pair in pairs.items():
        for scaling in ("weak", "strong"):
            for n in gpus or (2, 4, 8):
                if scaling == "strong" and found["pictures"] % n:
                    continue
                rows.append(predicted(pair, n, scaling, itemsize, states, gbytes * 1e9))
                if form in of_two and n > 2:
                    second.append(fitted(pair, of_two[form], n, scaling))
    print(table(rows, second))
    facts = {k: found[k] for k in ("device", "torch", "model", "size", "rank", "pictures")}
    facts |= {"predicted_from": one.name, "link": link, "gbytes_a_second": gbytes, "rows": rows}
    if two:
        facts |= {"fitted_on": [one.name, two.name], "fitted": second}
    if out:
        out.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    typer.run(main)
