"""Models from a local folder or from the Hugging Face hub, with one clear error where they cannot be had.

Weights are read from safetensors only (one exception says so where it is: `instruments.clip`), and no code of a
repository is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from dopsd.support.errors import UserError

RANDOM = "RANDOM_WEIGHTS"  # a file
WEIGHTS = ("*.safetensors", "*.json")  # of a model of transformers,
OPTIONAL = ("*.txt", "*.jinja", "*.json", "*.model")  # and a tokenizer's and its chat template, of some
REMEDY = "give a local folder or a hub name in params.yaml or the preset; if it is gated, log in with `hf auth login`"


def load_part(
    cls: Any,
    source: str,
    revision: str | None,
    what: str,
    subfolder: str | None = None,
    only: str | None = None,
    **options,
) -> Any:
    """`cls.from_pretrained` with one clear error in place of the hub's many. only="config": the configuration alone.

    cls: of diffusers or transformers; Any, for what the two call alike they declare apart."""
    where = f"{source}/{subfolder}" if subfolder else source
    if Path(source).parts[:1] == ("models",) and not (Path(source) / (subfolder or "")).exists():
        raise UserError(f"{where}: the {what} is missing; restore it from git, or run the recipe's stages (README)")
    if subfolder:
        options["subfolder"] = subfolder
    opens = cls.load_config if only else cls.from_pretrained
    if issubclass(cls, nn.Module) and not only:
        options["use_safetensors"] = True
    try:
        return opens(source, revision=revision, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot open the {what} ({str(error).splitlines()[0]}); {REMEDY}") from None


def fetch(source: str, revision: str | None, what: str, files: Sequence[str], optional: Sequence[str] = ()) -> Path:
    """The folder with a model's files: `source` itself where it is a folder, else the hub's repository, downloaded once.

    files: patterns of what must be there; optional: of what is taken along if it is.
    """
    folder = Path(source)
    if folder.parts[:1] == ("models",) and not folder.is_dir():
        raise UserError(f"{source}: the {what} is missing; run from the repository's root, or restore it from git")
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(source, revision=revision, allow_patterns=[*files, *optional]))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{source}: cannot fetch the {what} ({' '.join(str(error).split())[:200]}); {REMEDY}"
            ) from None
    for pattern in files:
        if not list(folder.glob(pattern)):
            raise UserError(f"{folder}: the {what} has no {pattern}; name a folder or a repository that holds it")
    return folder


def has_random_weights(source: str) -> bool:
    """Whether a local folder says of its model that it was never trained: who makes such a model for a trial puts an empty
    file RANDOM_WEIGHTS beside it, and every page that is made with it says so."""
    return (Path(source) / RANDOM).exists()
