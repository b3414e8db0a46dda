"""What of sharded trainings can be told in one process, which is a group of its own."""

import errno

import pytest
import tiny
import torch
import torch.distributed as dist
from accelerate import PartialState
from small import result
from torch.distributed.checkpoint.api import CheckpointException

from dopsd import backbones
from dopsd.sets.jsonl import read_set
from dopsd.support.errors import UserError
from dopsd.training import loop, shard_states, sharded, state
from dopsd.training.stop import Stopped


@pytest.fixture
def trained(all_settings, train_settings, concept_set, tmp_path_factory, tmp_path):
    """Trains a tiny model in full -> the folder of the training."""
    PartialState(cpu=True)  # first: it would take the group for a launcher's
    options = train_settings.model_copy(update={"tune": "full", "steps": 3, "batch_size": 1, "accumulation": 1})

    def run(how=sharded.train, work="work", **changes):
        given = {"seed": 3, "learning_rate": 1e-3, "work": tmp_path / work, "name": "test", "exclusive": True}
        given |= {"cache": tmp_path_factory.getbasetemp() / "features"}
        model, settings = backbones.load(all_settings["zimage"]), options.model_copy(update=changes)
        return how(model, read_set(concept_set), tiny.method("dopsd"), settings, **given)

    yield run
    if dist.is_initialized():
        dist.destroy_process_group()


def stops(patch, at: int, kind=sharded.Training) -> None:
    patch.setattr(kind, "anyone", lambda self, asked: asked or self.step == at)


def test_a_stopped_one_goes_on_bit_for_bit_with_more_steps_after_the_end_too(trained, monkeypatch):
    whole = trained(work="whole", steps=4)
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="stopped after step 1 of 3; the same command"):
        stops(patch, 1)
        trained()
    begun = sharded.Training.go_on
    steps = []
    monkeypatch.setattr(sharded.Training, "go_on", lambda self, *a: begun(self, *a) or steps.append(self.step))
    assert state.kept(trained()).keys() == {3}
    more = trained(steps=4)
    assert steps == [1, 3] and result(more) == result(whole) and len(result(whole)) > 4


def test_a_damaged_state_is_skipped_and_one_whose_index_is_damaged_is_named(trained, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stops(patch, 2)
        trained()
    monkeypatch.setattr(sharded, "run", lambda training, *rest: found.append(training.step))
    found: list[int] = []
    trained()
    (folder,) = state.kept(trained()).values()
    index = folder / "shards" / ".metadata"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"shards/\.metadata: damaged; delete .*state-0000002 and run again$"):
        trained()
    (shard,) = (folder / "shards").glob("*.distcp")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    trained()
    assert found == [2, 2, 0] and "this state is skipped" in capsys.readouterr().err


def test_a_full_disk_leaves_the_older_state_and_another_fault_is_named(trained, monkeypatch, tmp_path):
    work = tmp_path / "work"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stops(patch, 1)
        trained()
    full = CheckpointException("", {1: (OSError(errno.ENOSPC, "No space left on device"), None)})

    def fails(tensors, checkpoint_id):
        raise full

    for part, said in (("write", r"state-0000003: cannot be written \(.*\); make room"), ("read", "cannot be read")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=said):
            patch.setattr(shard_states, f"{part}_shards", fails)
            trained()
        assert [f.name for f in work.glob("*/state-*")] == ["state-0000001"] and not [*work.glob("*/.tmp*")]


def test_states_of_the_other_form_are_named_and_stay(trained, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stops(patch, 2, loop.Training)
        trained(loop.train)
    with pytest.raises(
        UserError, match=r"state-0000002: a state of a training without --sharded, .* leave it out to go on"
    ):
        trained()
    finished = trained(work="other")
    with pytest.raises(UserError, match=r"state-0000003: a state of a training with --sharded, .* give it to go on"):
        shard_states.check(finished, sharded=False)
    shard_states.check(finished, sharded=True)
    shard_states.check(None, sharded=True)


def test_blocks_are_gathered_in_the_backbones_type_and_masters_stay_float32(trained, all_settings, train_settings):
    model = backbones.load(all_settings["zimage"].model_copy(update={"dtype": "bfloat16"}))
    settings = train_settings.model_copy(update={"tune": "full", "batch_size": 1, "accumulation": 1})
    training, seen = sharded.Training(model, tiny.method("dopsd"), settings, 0, 1e-3), set()
    block = model.transformer.layers[0]
    block.register_forward_pre_hook(lambda module, given: seen.update(p.dtype for p in module.parameters()))
    noise, times = torch.zeros(1, *model.latent_shape(32, 32)), torch.ones(1)
    with torch.no_grad():
        model.velocity(noise, times, model.context(["a red disc"]))
    assert seen == {torch.bfloat16} and {p.dtype for p in training.parameters} == {torch.float32}
    before = {name: p.full_tensor().clone() for name, p in model.transformer.named_parameters()}
    other = {who: {n: p + 1 for n, p in mine.items()} for who, mine in training.weights.state().items()}
    training.weights.restore(other)
    assert all(torch.equal(p.full_tensor(), before[name] + 1) for name, p in model.transformer.named_parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tune": "lora"}, "is for train.tune full"),
        ({"offload": True}, "shares out what train.offload moves to the CPU; set that to false"),
        ({"cuda_graphs": True}, "train.cuda_graphs cannot record a pass that gathers weights; set it to false"),
    ],
)
def test_what_cannot_be_sharded_is_said_first(train_settings, changes, said):
    with pytest.raises(UserError, match=f"^--sharded: {said}"):
        sharded.check(train_settings.model_copy(update={"tune": "full"} | changes))


def test_accelerates_own_fsdp_is_refused(train_settings, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match=r"^--sharded: not under accelerate's own FSDP; launch with"):
        sharded.check(train_settings.model_copy(update={"tune": "full"}))
