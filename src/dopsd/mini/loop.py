"""One resumable training loop for every part of the miniature."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from dopsd.training import state as states

SAVE_EVERY = 120.0  # seconds
Placed = TypeVar("Placed", bound=nn.Module)
Averaged = TypeVar("Averaged", bound=nn.Module)


class Kept(Protocol):
    """What a training goes on from: a module, an optimiser, an average."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(module: Placed, where: torch.device, **how: Any) -> Placed:
    """`module.to(where, **how)`. Transformers and diffusers wrap `to` in a way that hides its arguments' types; that of a
    plain module is known."""
    return module.to(where, **how)


def autocast(where: torch.device) -> AbstractContextManager:
    """bf16 on a GPU and on a CPU with matrix units for it (AMX); fp32 on other CPUs, where bf16 is slow."""
    if where.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return torch.autocast(where.type, torch.bfloat16)
    return nullcontext()


def compiles(wanted: Literal["auto"] | bool) -> bool:
    """Whether to use torch.compile: as wanted, or, for "auto", where a C compiler is found."""
    return bool(shutil.which("cc") or shutil.which("gcc")) if wanted == "auto" else bool(wanted)


def generator(seed: int) -> torch.Generator:
    """A CPU generator: the same numbers whatever the device."""
    return torch.Generator().manual_seed(seed)


class Average(Generic[Averaged]):
    """An EMA of a model's weights, kept in fp32 (torch's own AveragedModel)."""

    def __init__(self, model: Averaged, decay: float):
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def module(self) -> Averaged:
        return cast(Averaged, self.averaged.module)

    def update(self, model: Averaged) -> None:
        self.averaged.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        return self.averaged.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.averaged.load_state_dict(state_dict)


def fit(
    loss_fn: Callable[[int], Tensor],
    modules: Mapping[str, Kept],
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    work: Path,
    name: str,
    minutes: float | None = None,
    warmup: int = 100,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Minimise `loss_fn(step)` and leave the result in the modules.

    The step size warms up linearly and falls to zero along a cosine, over `steps` or over `minutes`, whichever ends
    first (a share of time is a share of training). Progress is saved to `work/<name>.pt` every two minutes and resumed
    from there; the loss is written to `work/<name>.csv`.
    """
    work.mkdir(parents=True, exist_ok=True)
    state_file, log_file = work / f"{name}.pt", work / f"{name}.csv"
    peak = [group["lr"] for group in optimizer.param_groups]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    kept = {**modules, "optimizer": optimizer}
    step, spent = _resume(state_file, kept)
    log, saved, begun = [], time.time(), time.time()
    bar = tqdm(total=steps, initial=step, desc=name, mininterval=5)
    for step in range(step, steps):  # noqa: B020 - goes on from the resumed step
        elapsed = spent + time.time() - begun
        share = max(step / steps, elapsed / (60 * minutes) if minutes else 0.0)
        if share >= 1:
            break
        scale = min(1.0, (step + 1) / warmup) * 0.5 * (1 + torch.cos(torch.tensor(share * torch.pi)).item())
        for group, lr in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = lr * scale
        loss = loss_fn(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if after_step:
            after_step(step)
        bar.update()
        if step % 50 == 0:
            value = loss.item()
            if value != value:
                raise FloatingPointError(f"{name}: the loss is not a number at step {step}")
            log.append((step, value, float(norm), scale, elapsed))
            bar.set_postfix(loss=f"{value:.4f}")
        if time.time() - saved > SAVE_EVERY:
            _save(state_file, kept, step + 1, elapsed)
            saved = time.time()
    _write_log(log_file, log)
    for group, lr in zip(optimizer.param_groups, peak, strict=True):
        group["lr"] = lr
    _save(state_file, kept, step + 1, spent + time.time() - begun)
    bar.close()


def _save(file: Path, kept: Mapping[str, Kept], step: int, spent: float) -> None:
    states.save(file, {"step": step, "spent": spent, **{k: m.state_dict() for k, m in kept.items()}})


def _resume(file: Path, kept: Mapping[str, Kept]) -> tuple[int, float]:
    state = states.load(file)
    if state is None:
        return 0, 0.0
    for k, module in kept.items():
        module.load_state_dict(state[k])
    return state["step"], state["spent"]


def _write_log(file: Path, rows: list[tuple]) -> None:
    new = not file.exists()
    with file.open("a", newline="") as f:
        writer = csv.writer(f)
        if new:
            writer.writerow(("step", "loss", "grad_norm", "learning_rate_scale", "seconds"))
        writer.writerows(rows)


def batches(n: int, size: int, seed: int) -> Iterator[Tensor]:
    """Endless index batches over shuffled passes of n items."""
    g = generator(seed)
    while True:
        order = torch.randperm(n, generator=g)
        yield from order[: n - n % size].split(size)
