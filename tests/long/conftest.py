"""One tiny study, brought up to date and committed once for all tests; each works on a copy or a clone of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from studies import ALL, Study, copied, tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that start from the study come first: one process makes it while another begins with the last half."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("long")
    items.sort(key=lambda item: "committed" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def _a_core_each(worker_id: str) -> None:
    """A process of pytest-xdist and all that it starts stay on a core of their own."""
    if worker_id.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker_id[2:]) % len(cores)]})


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory, worker_id: str, _a_core_each: None) -> Study:
    """The study that all tests start from, made by the first process that needs it: not to be changed."""
    shared = tmp_path_factory.getbasetemp().parent if worker_id.startswith("gw") else tmp_path_factory.getbasetemp()
    folder, site, done = shared / "study", shared / "site", shared / "study.committed"
    with FileLock(shared / "study.lock"):
        if done.exists():
            return Study(folder, site)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that failed
        study = tiny(folder, site)
        study.commit()  # what is asked, before its numbers: the ledger says which commit it was
        said = study.repro()
        assert said.ran == ALL, said.text
        study.commit()
        done.touch()
        return study


@pytest.fixture
def study(committed: Study, tmp_path: Path) -> Iterator[Study]:
    """A copy of the study, with its outputs, store and cache."""
    yield copied(committed, tmp_path / "study", tmp_path / "site")
    shutil.rmtree(tmp_path / "study")


@pytest.fixture
def cloned(tmp_path: Path) -> Callable[[Study], Study]:
    """Clone a study: what is committed, without outputs, store and cache."""
    return lambda study: study.clone(tmp_path / "clone", tmp_path / "site")
