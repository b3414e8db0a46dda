"""States of sharded trainings, by torch's distributed checkpoint: every process writes its shards, any number reads them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load as read_shards
from torch.distributed.checkpoint.state_dict_saver import save as write_shards

from dopsd.config.train import Train
from dopsd.support import sealed
from dopsd.support.errors import UserError, told
from dopsd.support.files import PART, whole
from dopsd.training import resume, state

FOLDER = "shards"  # of a state: what the processes wrote
PLAIN = ("step", "seconds", "log")  # of a state, all that is no tensor
METADATA = ".metadata"  # in it, which shard is where; hidden, so the seal's files do not count it and its facts do


def keep(folder: Path, kept: dict, owner: Any, most: int) -> None:
    """`state.keep` of a state whose tensors are shards: every process writes its own, the first one the plain values. All
    must call, on one file system. A disk that is full leaves the older states."""
    processes, tensors = PartialState(), {k: v for k, v in kept.items() if k not in PLAIN}
    main, target = processes.is_main_process, state.place(folder, kept["step"])
    with whole(target) if main else nullcontext(target.with_name(PART + target.name)) as part:
        if main:
            part.mkdir()
        processes.wait_for_everyone()
        try:
            write_shards(tensors, checkpoint_id=part / FOLDER)
        except CheckpointException as error:  # in every process, whichever could not write
            raise _first(error) if main else UserError(f"{target}: cannot be written ({told(_first(error))})") from None
        if main:
            state.save(part / state.FILE, {k: kept[k] for k in PLAIN})
            sealed.seal(part, owner, metadata=sealed.digest(part / FOLDER / METADATA))
    if main:
        state.prune(folder, most, kept["step"])
    processes.wait_for_everyone()


def _first(error: CheckpointException) -> BaseException:
    """What the first process that failed has to say."""
    return next(iter(error.failures.values()))[0]


def newest(folder: Path, earlier: Path | None, owner: Any, settings: Train) -> Path | None:
    """Where the last good state is (see `resume.newest`); None where there is none. The first process reads them all; the
    others must call, too, and are told."""
    found: list[Path | None] = [None]
    if PartialState().is_main_process:
        for other in dict.fromkeys((None, earlier)):
            if left := resume.newest(folder, other, owner, settings, main=True):
                found = [state.place(other or folder, left["step"])]
                break
    return broadcast_object_list(found)[0]


def load(place: Path, like: dict) -> dict:
    """The state at a place, read into the tensors of one like it, which may be shared out among another number of processes.
    All must call. UserError where it is damaged."""
    if sealed.facts(place)["metadata"] != sealed.digest(place / FOLDER / METADATA):
        raise UserError(f"{place / FOLDER / METADATA}: damaged; delete {place} and run again")
    plain, tensors = state.load(place / state.FILE), {k: v for k, v in like.items() if k not in PLAIN}
    assert plain is not None  # the seal says that it is there
    try:
        read_shards(tensors, checkpoint_id=place / FOLDER)
    except CheckpointException as error:
        raise UserError(f"{place}: cannot be read ({told(_first(error))}); delete it and run again") from None
    return tensors | plain


def check(folder: Path | None, sharded: bool) -> None:
    """UserError where the states of a training are of the other form than a training that is `sharded`, or not, reads."""
    for place in state.kept(folder).values() if folder else ():
        if (place / FOLDER).is_dir() != sharded:
            which, remedy = ("without", "leave it out") if sharded else ("with", "give it")
            raise UserError(
                f"{place}: a state of a training {which} --sharded, which this one cannot read; {remedy} to go on, or choose "
                "another --out"
            )
