from pathlib import Path

from dopsd.support.environment import environment, locked

ROOT = Path(__file__).parents[2]


def test_environment_yml_carries_the_locks_versions():
    lock, project = (ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text()
    assert (ROOT / "environment.yml").read_text() == environment(lock, project), "run `make lock`"


def test_the_lock_is_hashed_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    packages = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(packages) > 100 and all(line.endswith("\\") for line in packages)  # a hash follows each


def test_markers_choose_one_version():
    versions = locked(
        "a==1 ; python_full_version < '3.12' \\\n    --hash=x\na==2 ; python_full_version >= '3.12' \\\nb-c==3 \\\n"
    )
    assert versions == {"a": "1", "b-c": "3"}
