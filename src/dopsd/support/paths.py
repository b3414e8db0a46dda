"""Where the pipeline keeps what, relative to the repository. dvc.yaml says the same."""

from __future__ import annotations

from pathlib import Path

METRICS = Path("reports/metrics")
STEP_SIZE = METRICS / "step_size.json"
MODELS = Path("models")
STORE = MODELS / "store"  # what is finished or worked on, by key; git and DVC ignore it
WORK = MODELS / "work"  # of the miniature's recipe; git and DVC ignore it
KEYS = Path("reports/keys")
SUMMARY = Path("reports/summary.json")
LORA = MODELS / "lora"
PICTURES_OF_CELLS = Path("samples/cells")
SCORES = Path("samples/scores")
ORDINARY = "ordinary"  # in the place of a concept: what the untouched model draws once for all of them
TABLES = Path("reports/tables")
FIGURES = Path("reports/figures")
PICTURES = Path("reports/pictures")
PROBE_SHEET = PICTURES / "probe.png"
PROMPT_SHEETS = PICTURES / "prompts"


CONCEPTS = Path("data/concepts")
PROMPTS = Path("data/prompts")
TABLE = Path("samples/scores.parquet")  # every score of every picture of every cell, the long table
OWN = (
    CONCEPTS,
    PROMPTS,
    LORA,
    STORE,
    WORK,
    PICTURES_OF_CELLS,
    SCORES,
    Path("reports"),
)  # folders that are a study's alone


def prompts(concept: str) -> Path:
    """The prompts of a concept, or the ordinary ones: a row a line."""
    return PROMPTS / f"{concept}.jsonl"


def concept_set(concept: str) -> Path:
    """The folder of a concept's image-text set."""
    return CONCEPTS / concept


def adapters(method: str, concept: str, seed: int) -> Path:
    """The folder of a training: step-XXXX/ with the adapter's weights, loss.csv."""
    return LORA / method / concept / str(seed)


def samples(method: str, concept: str, seed: int) -> Path:
    """The folder of what a cell drew (see `evaluation.sheets`)."""
    return PICTURES_OF_CELLS / method / concept / str(seed)


def scores(method: str, concept: str, seed: int) -> Path:
    """The folder of a cell's scores, as the store keeps them."""
    return SCORES / method / concept / str(seed)


def key_file(stage: str) -> Path:
    """What a stage's results depend on, of settings and code (written by the stage `keys`)."""
    return KEYS / f"{stage}.json"
