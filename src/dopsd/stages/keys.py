"""Stage `keys`: what the other stages depend on, of settings and code."""

from __future__ import annotations

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.keys import all_stages
from dopsd.support import paths
from dopsd.support.files import write_json


def main() -> None:
    """Write reports/keys/<stage>.json."""
    written = {paths.key_file(stage): depends for stage, depends in all_stages(load()).items()}
    for file, depends in written.items():
        write_json(depends, file)
    for file in set(paths.KEYS.glob("*.json")) - set(written):
        file.unlink()


if __name__ == "__main__":
    run(main)
