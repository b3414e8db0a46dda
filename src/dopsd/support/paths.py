"""Where the pipeline keeps what, relative to the repository. dvc.yaml says the same."""

from __future__ import annotations

from pathlib import Path

METRICS = Path("reports/metrics")
STEP_SIZE = METRICS / "step_size.json"
WORK = Path("models/work")  # states of unfinished trainings; git and DVC ignore it
TABLES = Path("reports/tables")
FIGURES = Path("reports/figures")
PICTURES = Path("reports/pictures")
PROBE_SHEET = PICTURES / "probe.png"
PROMPT_SHEETS = PICTURES / "prompts"


def concept_set(concept: str) -> Path:
    """The folder of a concept's image-text set."""
    return Path("data/concepts") / concept


def adapters(method: str, concept: str, seed: int) -> Path:
    """The folder of a training: step-XXXX/ with the adapter's weights, loss.csv."""
    return Path("models/lora") / method / concept / str(seed)


def reference(seed: int) -> Path:
    """The untouched model's pictures of the ordinary prompts."""
    return Path("samples/reference") / f"{seed}.safetensors"


def samples(method: str, concept: str, seed: int) -> Path:
    """The folder of a cell's contact sheets."""
    return Path("samples/cells") / method / concept / str(seed)


def cells(method: str, concept: str) -> Path:
    """The scores of a method on a concept, an entry a seed."""
    return METRICS / "cells" / method / f"{concept}.json"
