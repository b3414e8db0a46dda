"""A study in a repository of its own, as its owner sees it: files that are edited, and `dvc` and `git` that are run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tiny
import yaml

ROOT = Path(__file__).parents[2]
TAKEN = (
    "src",
    "notebooks",
    "docs",
    "dvc.yaml",
    "claims.yaml",
    "requirements.lock",
    "benchmarks/results",
    "studies/full/runs.yaml",
    "studies/full/params.yaml",
    "studies/questions/params.yaml",
    "studies/questions/questions.yaml",
    "studies/domain/params.yaml",
    "studies/domain-words/params.yaml",
    "studies/domain-open/params.yaml",
    "studies/domain/claims.yaml",
    "studies/domain-words/claims.yaml",
    "studies/domain-open/claims.yaml",
    "studies/continual/params.yaml",
    "studies/continual/claims.yaml",
    "studies/questions/runs.yaml",
    "studies/domain/runs.yaml",
    "studies/domain-words/runs.yaml",
    "studies/domain-open/runs.yaml",
    "studies/continual/runs.yaml",
    "studies/full/dvc.lock",
    "studies/pilot/dvc.lock",
    "studies/questions/dvc.lock",
    "studies/domain/dvc.lock",
    "studies/domain-words/dvc.lock",
    "studies/domain-open/dvc.lock",
    "studies/continual/dvc.lock",
    "studies/rewrites/params.yaml",
    "studies/rewrites/claims.yaml",
    "studies/rewrites/runs.yaml",
    "studies/rewrites/dvc.lock",
    "studies/eight/params.yaml",
    "studies/eight/claims.yaml",
    "studies/eight/runs.yaml",
    "studies/eight/dvc.lock",
    "studies/base/params.yaml",
    "studies/base/claims.yaml",
    "studies/base/runs.yaml",
    "studies/base/dvc.lock",
    "studies/pictures/params.yaml",
    "studies/pictures/claims.yaml",
    "studies/pictures/questions.yaml",
    "studies/pictures/runs.yaml",
    "studies/pictures/dvc.lock",
    "studies/contexts/params.yaml",
    "studies/contexts/claims.yaml",
    "studies/contexts/contexts.yaml",
    "studies/contexts/runs.yaml",
    "studies/contexts/dvc.lock",
    ".dvcignore",
    ".gitignore",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots",
)
MADE = ("data/concepts", "data/prompts", "models/lora", "samples", "reports", "dvc.lock")  # by `dvc repro`
TINY = tiny.STUDY | {
    "grid": tiny.STUDY["grid"] | {"references": ["untouched", "described"]},  # the base is tests/test_stages.py's
    "probe": {"nfe": [1], "layers": [-2], "images": 24, "table_images": 24},
}
SMALLER = (  # what no setting makes small: targets, and the miniature's renders, many steps and sheet
    ("src/dopsd/evaluation/probe.py", "targets(settings.images,", "targets(12,"),
    ("src/dopsd/mini/quality.py", "sample_scenes(settings.renders,", "sample_scenes(32,"),
    ("src/dopsd/mini/drawer.py", "(self.scheduler, int(steps))", "(self.scheduler, min(int(steps), 4))"),
    ("src/dopsd/mini/name_bars.py", "COLUMNS = 12 ", "COLUMNS = 2 "),
)
CELLS = re.compile(r"^([\w ]+): (\d+) cells, (\d+) kept, (\d+) to run$", re.MULTILINE)
SEARCH = {
    "step_size train": 4,
    "step_size draw": 5,
    "step_size evaluate": 5,
}  # two candidates of two methods, and untouched
ALL = SEARCH | {"train": 4, "draw": 8, "evaluate": 8}  # cells that the tiny study runs from nothing
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Said:
    """What `dvc repro` printed."""

    text: str

    @property
    def stages(self) -> list[str]:
        """The stages whose commands ran."""
        return re.findall(r"^Running stage '(?:\S+:)?(\w+)'", self.text, re.MULTILINE)

    @property
    def cells(self) -> dict[str, tuple[int, int, int]]:
        """{stage: (cells, of them kept, of them to run)}, of the stages that ran."""
        return {stage: tuple(map(int, numbers)) for stage, *numbers in CELLS.findall(self.text)}

    @property
    def ran(self) -> dict[str, int]:
        """{stage: cells that it had to run}, of the stages that had any."""
        return {stage: run for stage, (_, _, run) in self.cells.items() if run}


class Study:
    """A repository with a study. `environment` is of its commands; they neither see nor touch anything of the user's."""

    def __init__(self, folder: Path, site: Path):
        self.folder = folder
        who = {f"GIT_{who}_{what}": "study@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dvc = {f"DVC_{what}_DIR": str(site / what) for what in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")}
        quiet = {"DVC_NO_ANALYTICS": "1", "TQDM_DISABLE": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HF_HUB_OFFLINE": "1"}
        small = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}
        path = {"PATH": os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])}
        self.environment = {**os.environ, **who, **dvc, **quiet, **small, **path}
        for name in ("PYTHONPATH", "DOPSD_JOBS"):
            self.environment.pop(name, None)

    def start(self, *command: str, stdout=subprocess.PIPE) -> subprocess.Popen:
        """Start a command in a process group of its own; both channels go to `stdout`."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, timeout: float = 900) -> str:
        """What a command prints, on both channels; it must succeed.

        It prints into a file: a worker that it leaves behind (`dvc queue start`) would keep a pipe open until it ends.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            process = self.start(*command, stdout=file)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            file.seek(0)
            said = file.read()
        assert process.returncode == 0, said
        return said

    def answer(self, *command: str) -> str:
        """What a command prints on stdout alone."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> Said:
        return Said(self.run("dvc", "repro", *arguments))

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def status(self, *paths: str) -> list[str]:
        """What git finds changed or new."""
        return self.answer("git", "status", "--porcelain", "--", *(paths or ["."])).splitlines()

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "study")

    def set(self, **fields: object) -> None:
        """Change params.yaml: set(methods__dopsd__ema=0.9)."""
        file = self.folder / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, value in fields.items():
            *sections, last = name.split("__")
            section = params
            for key in sections:
                section = section[key]
            section[last] = value
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old)
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def remove_results(self, *more: str) -> None:
        """Remove all that was made and is not in git: outputs, the store, DVC's cache and what it remembers; and `more`."""
        for name in (
            "data/concepts",
            "models/lora",
            "models/store",
            "samples",
            ".dvc/cache",
            *more,
        ):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def bytes(self, *folders: str) -> dict[str, str]:
        """{file: digest} of all that `dvc repro` makes, or of some of it."""
        out = {}
        for path in (self.folder / name for name in folders or MADE):
            files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
            for file in files:
                out[str(file.relative_to(self.folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
        return out

    def keys(self, folder: str = "models/lora") -> dict[str, str]:
        """{method/concept/seed: key} of published cells."""
        root = self.folder / folder
        owners = {c.parent: json.loads(c.read_text())["owner"] for c in sorted(root.rglob("sealed.json"))}
        return {f.relative_to(root).as_posix(): o["cell"] for f, o in owners.items() if "cell" in o}

    def finished(self) -> dict[str, int]:
        """{key: when it was finished} of the cells in the store."""
        cards = (self.folder / "models/store").glob("*/sealed.json")
        return {c.parent.name: c.stat().st_mtime_ns for c in cards}

    def clone(self, folder: Path, site: Path) -> Study:
        """A clone of what is committed."""
        self.git("clone", "-q", str(self.folder), str(folder))
        return Study(folder, site)


def tiny(folder: Path, site: Path) -> Study:
    """The repository's code and models with a study that takes a minute or two; nothing of it is run or committed yet."""
    for name in TAKEN:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        else:
            shutil.copy(source, target)
    for model in (ROOT / "models").glob("mini-*"):
        shutil.copytree(model, folder / "models" / model.name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    params["methods"]["dopsd"]["rollout_steps"] = 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    study = Study(folder, site)
    for change in SMALLER:
        study.edit(*change)
    study.git("init", "-q", "-b", "main")
    return study


def copied(study: Study, folder: Path, site: Path) -> Study:
    """A copy with all that was made: outputs, the store, DVC's cache, git."""
    shutil.copytree(study.folder, folder, symlinks=True)
    return Study(folder, site)


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    """The files whose bytes are not the same, or that are there only once (see `Study.bytes`)."""
    return {file for file, _ in before.items() ^ now.items()}
