"""Cells side by side: on the cores and GPUs of this machine by joblib, or on a SLURM cluster by submitit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import joblib
import torch
from tqdm import tqdm

from dopsd.config.study import Execute
from dopsd.support.alone import follow
from dopsd.support.errors import UserError

Result = TypeVar("Result")
JOBS = "DOPSD_JOBS"  # of the environment: jobs at a time, for one run


THREADS = 1  # of a job on the CPU, whatever else runs: sums are ordered by threads, so another number moves last digits


@dataclass(frozen=True)
class Place:
    """Where a job runs: "cpu", "cuda:0", ..., and with how many threads."""

    device: str
    threads: int


def places(settings: Execute, device: str) -> list[Place]:
    """A place for each job that may run at a time. device: "auto", "cpu" or "cuda", as the backbone asks.

    On GPUs `settings.jobs_per_gpu` on each, with an equal share of the cores; on the CPU as many as there are cores, with
    one thread each; `settings.jobs`, or DOPSD_JOBS, where that is given. UserError where DOPSD_JOBS is no number.
    """
    gpus = torch.cuda.device_count() if device != "cpu" else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get(JOBS) or settings.jobs or (gpus * settings.jobs_per_gpu or cores)
    try:
        jobs = max(1, int(asked))
    except ValueError:
        raise UserError(f"{JOBS}={asked!r} of the environment: give a number of jobs, or unset it") from None
    names = [f"cuda:{i % gpus}" if gpus else "cpu" for i in range(jobs)]
    return [Place(name, max(1, cores // jobs) if gpus else THREADS) for name in names]


def _in_place(function: Callable[..., Result], place: Place, number: int, *arguments) -> tuple[int, Result]:
    """Run a job on its GPU, or on the CPU, with its number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(place.threads)
    try:
        if place.device.startswith("cuda"):
            torch.cuda.set_device(place.device)
        return number, function(*arguments, place.device)
    finally:
        torch.set_num_threads(before)


def _followed(parent: int, function: Callable[..., Result], *arguments) -> tuple[int, Result]:
    """`_in_place` in a worker, which ends when the process that gave it its job has."""
    follow(parent, "the process that runs the cells")
    return _in_place(function, *arguments)


def _caught(function: Callable[..., Result], place: Place, number: int, *arguments) -> tuple[int, Result | UserError]:
    """`_in_place` on a cluster, where an error that is raised comes back as a trace of text only."""
    try:
        return _in_place(function, place, number, *arguments)
    except UserError as error:
        return number, error


def side_by_side(
    function: Callable[..., Result], jobs: Sequence[tuple], settings: Execute, device: str, what: str, work: Path
) -> list[Result]:
    """`function(*job, device)` for every job -> results in the jobs' order, with a progress bar named `what`.

    function: of a module's top level. settings: the section `execute` (jobs, jobs_per_gpu, cluster). work: where submitit
    keeps its files. The first error ends the run; what other jobs have finished by then stays finished.
    """
    if not jobs:
        return []
    if settings.cluster != "none":
        return _on_cluster(function, jobs, settings, device, what, work)
    at = places(settings, device)[: len(jobs)]
    here = os.getpid()
    calls = (joblib.delayed(_followed)(here, function, at[i % len(at)], i, *job) for i, job in enumerate(jobs))
    parallel = joblib.Parallel(
        len(at),
        return_as="generator_unordered",
        pre_dispatch="n_jobs",
        batch_size=1,  # pyright: ignore[reportArgumentType] - joblib declares nothing, and its default is a text
    )
    with _without_bars() if len(at) > 1 else nullcontext():
        return _gathered(cast(Iterable[tuple[int, Result]], parallel(calls)), len(jobs), what)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Processes that start within show no bars, which would overwrite this one's."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # tqdm reads it when it is imported
    try:
        yield
    finally:
        os.environ.pop("TQDM_DISABLE")
        if before is not None:
            os.environ["TQDM_DISABLE"] = before


def _gathered(results: Iterable[tuple[int, Result]], n: int, what: str) -> list[Result]:
    out: dict[int, Result] = {}
    for number, result in tqdm(results, total=n, desc=what, unit="cell", mininterval=1):
        out[number] = result
    return [out[i] for i in range(n)]


def _on_cluster(
    function: Callable[..., Result], jobs: Sequence[tuple], settings: Execute, device: str, what: str, work: Path
) -> list:
    import submitit

    executor = submitit.AutoExecutor(work, cluster=settings.cluster)
    executor.update_parameters(
        name=what, timeout_min=settings.minutes, gpus_per_node=settings.gpus, cpus_per_task=settings.cores
    )
    if settings.cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=settings.jobs or len(jobs), **settings.slurm)
    place = Place("cuda:0", settings.cores) if settings.gpus else Place("cpu", THREADS)
    with executor.batch():
        submitted = [executor.submit(_caught, function, place, i, *job) for i, job in enumerate(jobs)]
    out = _gathered((job.result() for job in submitit.helpers.as_completed(submitted)), len(jobs), what)
    for error in (x for x in out if isinstance(x, UserError)):
        raise error
    return out
