"""Benchmarks whose own packages score folders of pictures: how their prompts are written, and which files their scorers read.

As their repositories have it at the commits that are named; the code here is ours, and the scores are theirs.
"""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dopsd.commands import arguments
from dopsd.support.errors import UserError
from dopsd.support.text import json_lines, read_text


@dataclass(frozen=True)
class Prompt:
    """A prompt of a benchmark. name: what its pictures are called by; row: its line in the benchmark's file, as it is;
    where: the file, and the line of it, for messages."""

    name: str
    text: str
    row: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Picture:
    """A file that a scorer reads. file: in the folder that it is given; prompt: the number of its prompt, from 0; noises: the
    numbers of those whose pictures are in it, a square each, row by row, two beside each other."""

    file: Path
    prompt: int
    noises: tuple[int, ...]


class Benchmark(ABC):
    """noises: how many pictures of a prompt the benchmark asks for, and `most` how many its scorer reads."""

    noises: ClassVar[int]
    most: ClassVar[int]
    clone: ClassVar[str]  # what a clone of its repository is called
    script: ClassVar[Path]  # of its scorer, in a clone

    @abstractmethod
    def prompts(self, source: Path) -> list[Prompt]:
        """All prompts of its own file or folder, in order; UserError with file and line on the first that is none."""

    @abstractmethod
    def pictures(self, prompts: Sequence[Prompt], noises: int) -> list[Picture]:
        """The files of these prompts' pictures."""

    @abstractmethod
    def texts(self, prompts: Sequence[Prompt], folder: Path) -> dict[Path, str]:
        """What else the scorer reads beside them: files in the folder, and what is in each."""

    @abstractmethod
    def command(self, folder: Path, size: int, noises: int) -> list[list[str]]:
        """The commands that score a folder (an absolute path), run in a clone, one after another. size: pixels a side."""

    def line(self, source: Path, folder: Path, size: int, noises: int) -> str:
        """The one line for a shell that scores a folder. The clone is the one that the prompts are in, else its bare name."""
        clone = next((p for p in source.absolute().parents if (p / self.script).is_file()), Path(self.clone))
        commands = [["cd", str(clone)], *self.command(folder.absolute(), size, noises)]
        return " && ".join(map(shlex.join, commands))


class GenEval(Benchmark):
    """GenEval, github.com/djghosh13/geneval (cfaff69, 16f1681). A line of `prompts/evaluation_metadata.jsonl` holds `prompt`,
    `tag` (its task) and what must be seen. `generation/diffusers_generate.py` draws four pictures of each, and
    `evaluation/evaluate_images.py` reads, in every folder whose name is a number, the line again in metadata.jsonl and all
    samples/NUMBER.png; `summary_scores.py` wants object_names.txt where it runs."""

    noises, most = 4, 100_000
    clone, script = "geneval", Path("evaluation/evaluate_images.py")

    def prompts(self, source: Path) -> list[Prompt]:
        return _lines(source, ("prompt", "tag"))

    def pictures(self, prompts: Sequence[Prompt], noises: int) -> list[Picture]:
        each = [(i, p, k) for i, p in enumerate(prompts) for k in range(noises)]
        return [Picture(Path(p.name, "samples", f"{k:05}.png"), i, (k,)) for i, p, k in each]

    def texts(self, prompts: Sequence[Prompt], folder: Path) -> dict[Path, str]:
        return {folder / p.name / "metadata.jsonl": json.dumps(p.row) for p in prompts}

    def command(self, folder: Path, size: int, noises: int) -> list[list[str]]:
        found = str(_result(folder, ".jsonl"))
        detector = ["--model-path", "OBJECT_DETECTOR_FOLDER"]  # what its evaluation/download_models.sh was given
        scored = ["python", str(self.script), str(folder), "--outfile", found, *detector]
        return [scored, ["cd", "evaluation"], ["python", "summary_scores.py", found]]


class Dpg(Benchmark):
    """DPG-Bench, github.com/TencentQQGYLab/ELLA (025f650). Each file `dpg_bench/prompts/NAME.txt` is a prompt.
    `dpg_bench/compute_dpg_bench.py` takes every file of a folder for a picture, finds its questions by the name before the
    first dot, and cuts up to four squares of --resolution out of it: left and right above, left and right below. Its README
    recommends four."""

    noises, most = 4, 4
    clone, script = "ELLA", Path("dpg_bench/compute_dpg_bench.py")

    def prompts(self, source: Path) -> list[Prompt]:
        if not source.is_dir():
            raise UserError(f"--prompts {source}: no folder; name the benchmark's own dpg_bench/prompts")
        files = sorted(source.glob("*.txt"))
        for file in files:
            if "." in file.stem:
                raise UserError(f"{file}: a dot in its name, at which the scorer would cut it; rename it")
        return _some([_prompt(f.stem, read_text(f).strip(), {}, str(f)) for f in files], source)

    def pictures(self, prompts: Sequence[Prompt], noises: int) -> list[Picture]:
        return [Picture(Path(f"{p.name}.png"), i, tuple(range(noises))) for i, p in enumerate(prompts)]

    def texts(self, prompts: Sequence[Prompt], folder: Path) -> dict[Path, str]:
        return {}

    def command(self, folder: Path, size: int, noises: int) -> list[list[str]]:
        of = ["--image-root-path", str(folder), "--resolution", str(size), "--pic-num", str(noises)]
        to = ["--res-path", str(_result(folder, ".txt"))]  # if not given, among the pictures
        return [["accelerate", "launch", str(self.script), *of, *to, "--vqa-model", "mplug"]]


class GenEval2(Benchmark):
    """GenEval 2, github.com/facebookresearch/GenEval2, by its README (c088ab7): a line of `geneval2_data.jsonl` holds
    `prompt`, `vqa_list` and more; `evaluation.py` reads such a file, and a JSON object that says of each prompt where its one
    picture is."""

    noises, most = 1, 1
    clone, script = "GenEval2", Path("evaluation.py")

    def prompts(self, source: Path) -> list[Prompt]:
        return _lines(source, ("prompt", "vqa_list"))

    def pictures(self, prompts: Sequence[Prompt], noises: int) -> list[Picture]:
        return [Picture(Path(f"{p.name}.png"), i, (0,)) for i, p in enumerate(prompts)]

    def texts(self, prompts: Sequence[Prompt], folder: Path) -> dict[Path, str]:
        files = {p.text: str(folder.absolute() / f"{p.name}.png") for p in prompts}
        lines = "".join(json.dumps(p.row) + "\n" for p in prompts)  # of those that are drawn: each wants a picture
        return {folder / "images.json": json.dumps(files, indent=1), folder / "data.jsonl": lines}

    def command(self, folder: Path, size: int, noises: int) -> list[list[str]]:
        data, scores = ["--benchmark_data", str(folder / "data.jsonl")], str(_result(folder, ".json"))
        seen = ["--image_filepath_data", str(folder / "images.json"), "--method", "soft_tifa_gm"]
        told = ["python", "soft_tifa_analysis.py", *data, "--score_data", scores]
        return [["python", str(self.script), *data, *seen, "--output_file", scores], told]


BENCHMARKS: dict[str, Benchmark] = {"geneval": GenEval(), "dpg": Dpg(), "geneval2": GenEval2()}


def _result(folder: Path, suffix: str) -> Path:
    """Where a scorer writes: beside the folder, since one of them takes all that is in it for pictures."""
    return folder.with_name(f"{folder.name}-scores{suffix}")


def _lines(file: Path, fields: Sequence[str]) -> list[Prompt]:
    """The prompts of a JSONL file, called by their numbers in five digits. fields: what each line must have."""
    out = []
    for number, row in json_lines(file):
        where = f"{file}:{number}"
        if lacking := [f for f in fields if f not in row]:
            raise UserError(f"{where}: {lacking[0]}: missing, so it is no line of this benchmark; name its own file")
        out.append(_prompt(f"{len(out):05}", row["prompt"], row, where))
    return _some(out, file)


def _prompt(name: str, text: Any, row: Mapping[str, Any], where: str) -> Prompt:
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{where}: prompt: {text!r} is no text; name the benchmark's own file")
    return Prompt(name, arguments.text(text, where), row, where)


def _some(prompts: list[Prompt], source: Path) -> list[Prompt]:
    if not prompts:
        raise UserError(f"{source}: no prompts; name the benchmark's own")
    return prompts
