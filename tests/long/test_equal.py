"""Equal runs give equal bytes, killed ones, too."""

import os
import random
import signal
import time

from studies import ALL, Said, changed

SEARCH = ("reports/tables/step_size.csv", "reports/metrics/step_size.json")


def test_two_runs_give_equal_bytes(study):
    before = study.bytes()
    study.remove_results("reports", "dvc.lock")
    said = study.repro()
    assert said.ran == ALL, said.text
    assert changed(before, study.bytes()) == set()
    assert study.status() == []


def kill(process) -> str:
    """Kill a process and all that it started, at once; what it had printed."""
    os.killpg(process.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    return said


def test_a_killed_run_goes_on_with_what_was_not_finished_and_ends_in_the_same_bytes(study, committed):
    study.git("rm", "-q", *SEARCH)
    study.commit()
    study.remove_results()
    study.environment["DOPSD_JOBS"] = "2"
    chance, kills, finished, unfinished = random.Random(0), 0, {}, 0
    for cells in (1, 9, 18, 27):  # of 34, that are finished before a kill
        process = study.start("dvc", "repro")
        while len(study.finished()) < cells and process.poll() is None:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 2))
        assert process.poll() is None, process.communicate()[0]
        kill(process)
        kills += 1
        assert study.status("reports", ":!reports/keys", *(f":!{f}" for f in SEARCH)) == []
        now = study.finished()
        assert finished.items() <= now.items(), "a finished cell was run again"
        assert len(now) >= cells
        unfinished += len(list((study.folder / "models/store/work").glob("*")))
        finished = now
    assert kills == 4 and unfinished, "every kill fell between two cells"
    said = study.repro()
    assert finished.items() <= study.finished().items() and len(study.finished()) == sum(ALL.values()) == 34
    assert sum(said.ran.values()) == 34 - len(finished), said.text
    assert changed(committed.bytes(), study.bytes()) == set()
    assert sorted(line.split()[-1] for line in study.status()) == sorted(SEARCH)  # which the commit above took out
    assert Said(study.run("dvc", "repro")).stages == []
