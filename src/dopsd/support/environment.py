"""environment.yml for conda users, from the lock: the same version of every direct dependency (`make lock` writes it)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = "3.11"  # of the conda environment
HEAD = """# The versions of requirements.lock, for conda users: conda env create -f environment.yml && conda activate dopsd
# Written by `make lock`; a test keeps it in step with the lock.
name: dopsd
channels: [conda-forge]
dependencies:
"""


def locked(lock: str) -> dict[str, str]:
    """Package -> version, as far as they hold for Python 3.11."""
    lines = re.findall(r"^([\w.\[\]-]+==[^\\\n]+?)\s*\\?$", lock, re.MULTILINE)
    pins = [Requirement(line) for line in lines]
    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    kept = [p for p in pins if p.marker is None or p.marker.evaluate(environment)]
    return {canonicalize_name(p.name): next(iter(p.specifier)).version for p in kept}


def environment(lock: str, pyproject: str) -> str:
    """The text of environment.yml."""
    project = tomllib.loads(pyproject)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    versions = locked(lock)
    names = sorted(canonicalize_name(Requirement(w).name) for w in wanted)
    pins = "".join(f"      - {name}=={versions[name]}\n" for name in names)
    return f"{HEAD}  - python={PYTHON}\n  - pip\n  - pip:\n{pins}      - --editable .\n"


if __name__ == "__main__":
    read = {f: Path(f).read_text(encoding="utf-8") for f in ("requirements.lock", "pyproject.toml")}
    Path("environment.yml").write_text(environment(read["requirements.lock"], read["pyproject.toml"]), encoding="utf-8")
