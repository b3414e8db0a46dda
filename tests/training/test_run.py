"""A run of the loop on a field of two weights: what is kept, drawn, saved and logged, and when."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import small
from small import RATE, Visits, training

from dopsd.training import results, state
from dopsd.training.loop import Preview, Stopped, run
from dopsd.training.results import save_weights, write_log


@pytest.fixture
def options(train_settings):
    return small.settings(train_settings)


class Clock:
    """A time that a step takes one second of."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("dopsd.training.loop.time.time", lambda: self.now)


@pytest.fixture
def started(options, monkeypatch, tmp_path):
    """A training of four steps of a second each, and what it drew and saved."""
    clock, seen = Clock(monkeypatch), SimpleNamespace(previews=[], states=[], kept=[])
    one = training(options.model_copy(update={"save_every": 1.5, "checkpoints": (1, 3)}), "sft")
    advance = one.advance

    def slow(parts):
        clock.now += 1.0
        return advance(parts)

    monkeypatch.setattr(one, "advance", slow)
    states, kept = seen.states, seen.kept
    monkeypatch.setattr(state, "keep", lambda at, made, owner, most: states.append((at, made["step"], owner, most)))
    monkeypatch.setattr(results, "save_weights", lambda weights, at, owner: kept.append(f"{at.name} of {owner}"))
    return one, seen, tmp_path


def test_a_run_keeps_draws_saves_and_logs_when_it_is_due(started):
    one, seen, folder = started
    for name in ("state-0000002", "step-0002"):
        (folder / name).mkdir()
    run(one, Visits(), folder, "me", "test", Preview(3, seen.previews.append))
    assert seen.previews == [0, 3, 4]
    assert seen.kept == [f"step-000{i} of me" for i in (1, 3, 4)]
    assert seen.states == [(folder, 2, "me", 2)]  # not at the end
    assert sorted(f.name for f in folder.iterdir()) == ["loss.csv", "time.json"]
    rows = [row.split(",") for row in (folder / "loss.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["step", "1", "2", "3", "4"]
    assert [float(row[2]) for row in rows[1:]] == [RATE] * 4
    assert [tuple(map(float, row)) for row in rows[1:]] == one.log
    assert one.seconds == 4.0
    assert (folder / "time.json").read_text().split() == ["{", '"seconds":', "4.0,", '"steps":', "4", "}"]


def test_a_run_that_is_asked_to_stop_saves_after_its_step(started, monkeypatch):
    one, seen, folder = started

    @contextmanager
    def asked():
        request = SimpleNamespace(asked=False)
        advance = one.advance

        def interrupted(parts):
            request.asked = one.step == 0
            return advance(parts)

        one.advance = interrupted
        yield request

    monkeypatch.setattr("dopsd.training.loop.asked_to_stop", asked)
    with pytest.raises(Stopped, match=r"^stopped after step 1 of 4; the same command goes on from there$"):
        run(one, Visits(), folder, "me", "test", Preview(2, seen.previews.append))
    assert seen.states == [(folder, 1, "me", 2)] and seen.previews == [0] and not list(folder.iterdir())


class Bar:
    """A progress bar that notes what it is told."""

    def __init__(self, **how):
        self.how, self.steps, self.said = how, 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self):
        self.steps += 1

    def set_postfix(self, **said):
        self.said.append(said)


@pytest.mark.parametrize("main", [True, False])
def test_the_bar_says_where_a_training_is(started, monkeypatch, main):
    one, _, folder = started
    one.step, bars = 2, []
    monkeypatch.setattr("dopsd.training.loop.progress", lambda **how: bars.append(Bar(**how)) or bars[-1])
    monkeypatch.setattr("dopsd.training.loop.memory", lambda device: f"memory of {device}")
    monkeypatch.setattr(type(one.accelerator), "is_main_process", main)
    run(one, Visits(), folder, "me", "corgi", None)
    (bar,) = bars
    assert bar.how == {"total": 4, "initial": 2, "desc": "corgi", "shown": main} and bar.steps == 2
    assert bar.said == [{"loss": f"{row[1]:.4f}", "memory": "memory of cpu"} for row in one.log]


def test_a_run_that_goes_on_draws_no_first_preview(started):
    one, seen, folder = started
    one.step = 3
    run(one, Visits(), folder, "me", "test", Preview(9, seen.previews.append))
    assert seen.previews == [4] and len(one.log) == 1


def test_only_the_main_process_writes(started):
    one, seen, folder = started
    one.accelerator = SimpleNamespace(
        is_main_process=False,
        num_processes=1,
        process_index=0,
        backward=one.accelerator.backward,
        clip_grad_norm_=one.accelerator.clip_grad_norm_,
        wait_for_everyone=lambda: seen.states.append("waited"),
    )
    run(one, Visits(), folder, "me", "test", Preview(4, seen.previews.append))
    assert seen.previews == [0, 4] and seen.kept == [] and seen.states == ["waited"] and not list(folder.iterdir())


def test_weights_are_written_whole_in_place_of_older_ones(tmp_path):
    class Written:
        def save(self, folder):
            assert not list(folder.iterdir()) and folder.name == ".tmp-step-0001"
            (folder / "new").touch()

    for old in ("step-0001", ".tmp-step-0001", ".old-step-0001"):
        (tmp_path / old).mkdir()
        (tmp_path / old / "old").touch()
    save_weights(Written(), tmp_path / "step-0001")
    assert [str(f.relative_to(tmp_path)) for f in sorted(tmp_path.rglob("*"))] == [
        "step-0001", "step-0001/new", "step-0001/sealed.json",
    ]  # fmt: skip


def test_a_log_is_a_row_a_step(tmp_path):
    write_log([(1, 0.5, 0.1, 2.0), (2, 0.25, 0.1, 1.0)], tmp_path / "loss.csv")
    assert (tmp_path / "loss.csv").read_bytes() == (b"step,loss,lr,grad_norm\r\n1,0.5,0.1,2.0\r\n2,0.25,0.1,1.0\r\n")
    assert [f.name for f in tmp_path.iterdir()] == ["loss.csv"]
