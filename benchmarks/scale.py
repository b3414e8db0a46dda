"""One optimiser step of D-OPSD over several GPUs: a LoRA in data parallel, and full fine-tuning that is shared out (FSDP2).

    torchrun --standalone --nproc-per-node 8 benchmarks/scale.py --out benchmarks/results/h200-scale-8.json
    torchrun --standalone --nproc-per-node 2 benchmarks/scale.py --model tiny-zimage --size 64 --rounds 2      # on CPUs

Strong scaling: a batch of `--pictures` over all GPUs; weak: a picture a GPU. Each process takes its pictures one at a time,
as `dopsd tune` does with train.accumulation, in this project's own loops on the shipped preset with random weights of the
real size. `benchmarks/scale_predicted.py` predicts from a run on one GPU what others take.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import PartialState
from accelerate.utils import gather_object
from scale_predicted import Trained, forwards, sent
from step import DTYPE, GIB, MODELS, forward_flops, inputs, matmul_rate, preset_of, random_model, synchronised
from torch import nn
from torch.profiler import ProfilerActivity, profile

from dopsd import backbones, objectives
from dopsd.backbones.pipeline import device as named_device
from dopsd.training import sharded
from dopsd.training.loop import Training

WARM = 2
BYTES = {
    "float": 4,
    "c10::BFloat16": 2,
    "c10::Half": 2,
    "double": 8,
    "TensorList": 4,
}  # an all-reduce's list is float32 here
TOTAL = {  # the profiler's names of collectives, and where among their inputs the whole of what is sent stands
    "c10d::_allgather_base_": ("all_gather", 0),
    "c10d::_reduce_scatter_base_": ("reduce_scatter", 1),
    "c10d::allreduce_": ("all_reduce", 0),
}


def slowest(number: float | None) -> float | None:
    """The largest of what the processes have measured."""
    each = gather_object([number]) if PartialState().num_processes > 1 else [number]
    return None if None in each else max(each)


def profiled(step: Callable[[], object], processes: int) -> dict[str, float]:
    """Bytes that this process sends in a step, by collective, as rings send them, from what the profiler has seen."""
    on_gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *on_gpu], record_shapes=True) as seen:
        step()
    with tempfile.TemporaryDirectory() as folder:
        seen.export_chrome_trace(str(file := Path(folder, "trace.json")))
        events = json.loads(file.read_text())["traceEvents"]
    out = dict.fromkeys(("all_gather", "reduce_scatter", "all_reduce"), 0.0)
    for event in events:
        if event.get("name") in TOTAL:
            (kind, which), args = TOTAL[event["name"]], event["args"]
            dims, size = args["Input Dims"][which], BYTES[args["Input type"][which]]
            lists = dims if args["Input type"][which] == "TensorList" else [dims]
            whole = size * sum(torch.Size(d).numel() for d in lists)
            out[kind] += whole * (2 if kind == "all_reduce" else 1) * (processes - 1) / processes
    return out


def began(form: str, model: str, path: str, rank: int, pictures: int) -> tuple[Training, object]:
    """A training of a form, such as "full+checkpointed", that takes so many pictures in each process, and its backbone."""
    (tune, *options), device = form.split("+"), named_device("auto")
    preset = preset_of(model, path, options, rank, DTYPE[device.type])
    batch = {"batch_size": pictures * PartialState().num_processes, "accumulation": pictures, "tune": tune}
    built = backbones.load(preset.backbone)
    kind = sharded.Training if tune == "full" else Training
    method = objectives.method("dopsd", preset.methods, "the preset")
    return kind(built, method, preset.train.model_copy(update=batch), 0, 1e-4), built


def counted(training: Training, built, form: str, pictures: int) -> Trained:
    """What `sent` counts from."""
    whole = sum(p.numel() for p in nn.Module.parameters(built.transformer) if form.startswith("full"))
    trained = sum(p.numel() for p in training.parameters)
    assert not whole or whole == trained
    return Trained(form.partition("+")[0], trained, built.dtype.itemsize, training.method.needs.rollout_steps, pictures)


def measured(form: str, scaling: str, pictures: int, given: dict) -> dict:
    """A row: seconds (the median of the rounds, in the slowest process), peak memory, bytes sent by one process."""
    device, processes = named_device("auto"), PartialState().num_processes
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    torch._dynamo.reset()
    training, built = began(form, given["model"], given["path"], given["rank"], pictures)
    parts = [inputs(built, given["size"], given["text"], given["seen"])] * pictures
    seconds, losses = [], []
    for _ in range(WARM + given["rounds"]):
        PartialState().wait_for_everyone()
        begun = synchronised(device)
        losses.append(training.advance(parts)[0])
        seconds.append(synchronised(device) - begun)
    took, peak = slowest(statistics.median(seconds[WARM:])), None
    if device.type == "cuda":
        peak = slowest(torch.cuda.max_memory_allocated(device) / GIB)
    what = counted(training, built, form, pictures)
    work = forwards(what) * pictures * given["forward_flops"]
    row = {"form": form, "scaling": scaling, "gpus": processes, "pictures_a_gpu": pictures, "trained": what.weights}
    row |= {"seconds": took, "all": seconds, "losses": losses, "pictures_a_second": pictures * processes / took}
    row |= {"of_the_matmul_rate": work / took / given["matmul_flops"], "peak_gib": peak}
    row |= {"sent_counted": sent(what, processes)}
    profiling = given["profile"] and processes > 1
    row |= {"sent_profiled": profiled(lambda: training.advance(parts), processes) if profiling else None}
    del training.passes
    built.transformer = None
    return row


def line(row: dict) -> str:
    """A row of the table in markdown."""
    memory = f"{row['peak_gib']:.1f}" if row["peak_gib"] else "not measured"
    counts, seen = (row[k] and sum(row[k].values()) / 1e9 for k in ("sent_counted", "sent_profiled"))
    cells = [row["form"].replace("+", ", "), row["scaling"], row["gpus"], f"{row['seconds']:.3f}"]
    cells += [f"{row['pictures_a_second']:.2f}", f"{row['of_the_matmul_rate']:.0%}", memory, f"{counts:.3g}"]
    return f"| {' | '.join(map(str, [*cells, 'not measured' if seen is None else f'{seen:.3g}']))} |"


def main(
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "zimage",
    size: Annotated[int, typer.Option(help="pixels a side")] = 1024,
    pictures: Annotated[int, typer.Option(help="of a batch over all GPUs, in strong scaling")] = 8,
    rank: Annotated[int, typer.Option(help="of the LoRA")] = 64,
    text: Annotated[int, typer.Option(help="tokens of the student's prompt")] = 96,
    seen: Annotated[int, typer.Option(help="tokens of the teacher's picture and prompt")] = 700,
    rounds: int = 5,
    form: Annotated[list[str] | None, typer.Option(help="lora or full, with options: full+checkpointed")] = None,
    scaling: Annotated[list[str] | None, typer.Option(help="weak, strong")] = None,
    profile: Annotated[bool, typer.Option("--profile/--no-profile", help="one step more, for the bytes sent")] = True,
    out: Annotated[Path | None, typer.Option(help="a .json file for all numbers")] = None,
    models: Annotated[Path, typer.Option(help="a folder for random weights, as large as the model")] = Path(
        "models/work/random"
    ),
) -> None:
    """Measure the forms on the GPUs of this launcher and print a table."""
    device = named_device("auto")
    here, dtype = PartialState(cpu=device.type == "cpu"), getattr(torch, DTYPE[device.type])
    if pictures % here.num_processes:
        raise typer.BadParameter(f"--pictures {pictures} cannot be split over {here.num_processes} processes")
    with here.local_main_process_first():
        path = random_model(model, models, device, dtype)
    given = {"model": model, "path": path, "size": size, "rank": rank, "text": text, "seen": seen, "rounds": rounds}
    given |= {"matmul_flops": matmul_rate(device, dtype), "forward_flops": forward_flops(model, path, size, text)}
    given |= {"profile": profile}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    facts = {"device": name, "gpus": here.num_processes, "torch": torch.__version__, "pictures": pictures}
    facts |= {k: v for k, v in given.items() if k not in ("path", "profile")}
    rows: list[dict] = []
    if here.is_main_process:
        print(f"{model}, {size} x {size}, {here.num_processes} x {name}, torch {torch.__version__}, ", end="")
        print(
            f"{given['matmul_flops'] / 1e12:.1f} TFLOP/s in matmuls\n\n| form | scaling | GPUs | seconds | pictures/s ",
            end="",
        )
        print("| of the matmul rate | peak GiB | GB sent, counted | profiled |\n|" + "---|" * 9, flush=True)
    for which in form or ["lora", "full+checkpointed"]:
        for how in scaling or ["weak", "strong"]:
            each = {"weak": 1, "strong": pictures // here.num_processes}[how]
            rows.append(measured(which, how, each, given))
            if here.is_main_process:
                print(line(rows[-1]), flush=True)
                if out:
                    out.write_text(json.dumps(facts | {"rows": rows}, indent=1))
    here.wait_for_everyone()


if __name__ == "__main__":
    typer.run(main)
