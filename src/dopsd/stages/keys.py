"""Stage `keys`: what the other stages depend on, of settings and code."""

from __future__ import annotations

from collections.abc import Mapping

from dopsd.config.params import load
from dopsd.stages._run import run
from dopsd.study.keys import all_stages
from dopsd.support import paths
from dopsd.support.files import write_json


def write(stages: Mapping[str, dict]) -> None:
    """Write reports/keys/<stage>.json of these stages, and leave no other there. stages: what each depends on."""
    written = {paths.key_file(stage): depends for stage, depends in stages.items()}
    for file, depends in written.items():
        write_json(depends, file)
    for file in set(paths.KEYS.glob("*.json")) - set(written):
        file.unlink()


def main() -> None:
    """Write what every stage of a study depends on."""
    write(all_stages(load()))


if __name__ == "__main__":
    run(main)
