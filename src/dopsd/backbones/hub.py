"""Models from a local folder or from the Hugging Face hub, with one clear error where they cannot be had.

Weights are read from safetensors only (one exception says so where it is: `instruments.clip`), and no code of a
repository is run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn
from transformers import dynamic_module_utils

from dopsd.support.errors import UserError, out_of_memory, told

REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
# who opens a part of a part (open_clip its tokenizer) says nothing of a repository's own code, and transformers would ask on
# the terminal whether to run it: nobody is asked, and it is not run
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
COMMIT = re.compile("[0-9a-f]{40}")
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

    cls: of diffusers or transformers; Any, for what the two call alike they declare apart. UserError where the folder holds
    another kind of model, or weights that are not all that the model has: the libraries would fill in random ones."""
    where = f"{source}/{subfolder}" if subfolder else source
    if Path(source).parts[:1] == ("models",) and not (Path(source) / (subfolder or "")).exists():
        raise UserError(f"{where}: the {what} is missing; restore it from git, or run the recipe's stages (README)")
    is_there(source, what)
    if subfolder and Path(source).is_dir() and not Path(where).is_dir():
        raise UserError(f"{source}: no folder {subfolder} in it, so no pipeline as diffusers saves it; name another")
    if subfolder:
        options["subfolder"] = subfolder
    if cls.__module__.startswith("transformers"):
        options["trust_remote_code"] = False  # not asked on the terminal, either
    is_model = nn.Module in cls.__mro__ or hasattr(cls, "_model_mapping")  # the latter: AutoModel
    try:
        kind_is_right(cls, source, revision, subfolder, where, what)
        if only:
            return cls.load_config(source, revision=revision, **options)
        if not is_model:
            return cls.from_pretrained(source, revision=revision, **options)
        options |= {"use_safetensors": True, "output_loading_info": True}
        model, report = cls.from_pretrained(source, revision=revision, **options)
    except UserError:
        raise
    except Exception as error:  # what is in a foreign folder makes the libraries raise all kinds
        if out_of_memory(error):
            raise
        raise UserError(f"{where}: cannot open the {what} ({told(error)}); {REMEDY}") from None
    complete(model, report, where, what)
    if not Path(source).is_dir():
        say_unpinned(source, revision, getattr(model.config, "_commit_hash", None))
    return model


def is_there(source: str, what: str) -> None:
    """UserError where a model's source is neither a folder nor what a repository of the hub could be called."""
    if Path(source).is_file():
        raise UserError(f"{source}: a file; name the folder of the {what}")
    if not Path(source).is_dir() and not REPOSITORY.fullmatch(source):
        raise UserError(f"{source}: no such folder, and no name of a hub's repository; name the {what}")


def kind_is_right(cls: Any, source: str, revision: str | None, subfolder: str | None, where: str, what: str) -> None:
    """UserError where a folder says that it holds another kind of model than `cls`, which would be opened with random weights
    and the sizes of a default. Nothing where `cls` opens every kind."""
    at = {"subfolder": subfolder} if subfolder else {}
    if hasattr(cls, "load_config"):  # of diffusers
        found, wanted = dict(cls.load_config(source, revision=revision, **at)).get("_class_name"), cls.__name__
    elif getattr(cls, "config_class", None):
        config = cls.config_class.get_config_dict(source, revision=revision, **at)[0]
        found, wanted = config.get("model_type"), cls.config_class.model_type
    else:
        return
    if found != wanted:
        holds = f"holds a {found}" if found else "does not say what it holds (config.json)"
        raise UserError(f"{where}: {holds}, and the {what} must be a {wanted}; name a model of this kind")


def complete(model: Any, report: Mapping[str, Any], where: str, what: str) -> None:
    """UserError where a model's weights are not all read from its folder, or not all of a part of it that the model has.
    Parts that it has not, such as a language model's head, are left out."""
    parts = {name for name, _ in model.named_children()}
    plain = [k.removeprefix("model.") for k in report["unexpected_keys"]]
    left = [k for k in plain if k.partition(".")[0] in parts and "inv_freq" not in k]
    other = [str(k[0] if isinstance(k, tuple) else k) for k in report["mismatched_keys"]]
    for keys, said in (
        (report["missing_keys"], "lacks"),
        (other, "has other shapes of"),
        (left, "has more than fits:"),
    ):
        if keys := sorted(keys):
            raise UserError(
                f"{where}: the {what} {said} {len(keys)} weights ({', '.join(keys[:3])}{', ...' if keys[3:] else ''}); its "
                "files are not of this model, or not all there: fetch them again"
            )


def fetch(source: str, revision: str | None, what: str, files: Sequence[str], optional: Sequence[str] = ()) -> Path:
    """The folder with a model's files: `source` itself where it is a folder, else the hub's repository, downloaded once.

    files: patterns of what must be there; optional: of what is taken along if it is.
    """
    folder = Path(source)
    if folder.parts[:1] == ("models",) and not folder.is_dir():
        raise UserError(f"{source}: the {what} is missing; run from the repository's root, or restore it from git")
    is_there(source, what)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(source, revision=revision, allow_patterns=[*files, *optional]))
            say_unpinned(source, revision, folder.name)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{source}: cannot fetch the {what} ({' '.join(str(error).split())[:200]}); {REMEDY}"
            ) from None
    for pattern in files:
        if not list(folder.glob(pattern)):
            raise UserError(f"{folder}: the {what} has no {pattern}; name a folder or a repository that holds it")
    return folder


@cache
def say_unpinned(source: str, revision: str | None, commit: str | None) -> None:
    """Say once that the newest version of a repository is read, and which one that is."""
    if commit and (revision is None or not COMMIT.fullmatch(revision)):
        print(
            f"{source}: no commit is named, so the newest is read, {commit}; name it as revision to keep it",
            file=sys.stderr,
        )


def has_random_weights(source: str) -> bool:
    """Whether a local folder says of its model that it was never trained: who makes such a model for a trial puts an empty
    file RANDOM_WEIGHTS beside it, and every page that is made with it says so."""
    return (Path(source) / RANDOM).exists()
