"""Jobs side by side: in this process, in several, through submitit's stand-in for SLURM."""

from pathlib import Path

import jobs
import pytest
import torch

from dopsd.config.study import Execute
from dopsd.study import executor
from dopsd.study.executor import Place, places, side_by_side
from dopsd.support.errors import UserError


@pytest.fixture(autouse=True)
def _as_params_say(monkeypatch):
    monkeypatch.delenv(executor.JOBS, raising=False)


def test_a_job_in_this_process_leaves_its_threads_as_they_were(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ((_, _, _, threads),) = side_by_side(jobs.square, [(3,)], Execute(jobs=2), "cpu", "test", tmp_path)
        assert threads == 1 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_results_come_in_the_jobs_order_from_as_many_processes_as_asked(tmp_path):
    given = [(x,) for x in range(5)]
    alone = side_by_side(jobs.square, given, Execute(jobs=1), "cpu", "test", tmp_path)
    assert [r[0] for r in alone] == [0, 1, 4, 9, 16] and len({r[2] for r in alone}) == 1
    both = side_by_side(jobs.square, given, Execute(jobs=2), "cpu", "test", tmp_path)
    assert [r[0] for r in both] == [0, 1, 4, 9, 16] and {r[1] for r in both} == {"cpu"}
    assert {r[3] for r in (*alone, *both)} == {1}  # so that a cell alone has the bits that it has among others
    assert alone[0][2] not in {r[2] for r in both}
    assert side_by_side(jobs.square, [], Execute(), "cpu", "test", tmp_path) == []


def test_cores_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setattr(executor.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert places(Execute(), "auto") == [Place("cpu", 1)] * 8
    assert places(Execute(jobs=2), "auto") == [Place("cpu", 1)] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert places(Execute(), "auto") == [Place("cuda:0", 4), Place("cuda:1", 4)]
    assert [p.device for p in places(Execute(jobs_per_gpu=3), "cuda")] == ["cuda:0", "cuda:1"] * 3
    assert {p.device for p in places(Execute(), "cpu")} == {"cpu"}
    monkeypatch.setenv(executor.JOBS, "3")
    assert len(places(Execute(jobs=2), "auto")) == 3
    monkeypatch.setenv(executor.JOBS, "many")
    with pytest.raises(UserError, match="DOPSD_JOBS='many'"):
        places(Execute(), "auto")


@pytest.mark.parametrize("at_a_time", [1, 2])
def test_an_error_is_the_workers_own_and_what_was_finished_stays(tmp_path, at_a_time):
    given = [(x, tmp_path) for x in (0, 1)]
    with pytest.raises(UserError, match=r"params\.yaml: nothing to square"):
        side_by_side(jobs.leave_a_mark, given, Execute(jobs=at_a_time), "cpu", "test", tmp_path)
    assert at_a_time == 2 or (tmp_path / "0").exists()


def test_a_cluster_through_submitit(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    settings = Execute(cluster="local", gpus=0, cores=1, minutes=2)
    out = side_by_side(jobs.square, [(3,), (4,)], settings, "cpu", "test", tmp_path / "cluster")
    assert [r[0] for r in out] == [9, 16] and len({r[2] for r in out}) == 2
    with pytest.raises(UserError, match=r"params\.yaml: nothing to square"):
        side_by_side(jobs.leave_a_mark, [(0, tmp_path), (1, tmp_path)], settings, "cpu", "test", tmp_path / "cluster")
    assert (tmp_path / "0").exists()
