"""A new folder anywhere that fsspec reaches: of this machine, of S3, a repository of the Hugging Face hub, and more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from huggingface_hub import HfApi
from huggingface_hub.utils import parse_hf_uri

from dopsd.support.errors import UserError, nearest, told
from dopsd.support.progress import progress

PLACES = "a folder, s3://BUCKET/FOLDER or hf://models/USER/REPO"
LAST = "README.md"  # of a folder: where it stands, all of the folder does


@dataclass(frozen=True)
class Remote:
    """Where a folder is to be put. No network is asked before `check_empty`. option: of the command line, for errors."""

    url: str
    option: str

    @classmethod
    def of(cls, url: str, option: str) -> Remote:
        """UserError where the URL is none, where its file system is not known or its package is not here."""
        scheme, separator, path = url.rpartition("://")
        where = f"{option} {url}"
        if "::" in url or "://" in scheme:
            raise UserError(f"{where}: several addresses in one; give {PLACES}")
        if separator and not path.strip("/"):
            raise UserError(f"{where}: names no folder; give {PLACES}")
        if scheme and scheme not in fsspec.available_protocols():
            known = nearest(scheme, fsspec.available_protocols())
            raise UserError(f"{where}: no file system {scheme}://{known}; give {PLACES}")
        try:
            fsspec.get_filesystem_class(scheme or "file")
            if scheme == "hf":
                parse_hf_uri(url)
        except ImportError as error:
            raise UserError(f"{where}: {told(error)}; then run again") from None
        except ValueError as error:  # of the hub's
            raise UserError(f"{where}: {told(error)} Give hf://models/USER/REPO") from None
        return cls(url, option)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the folder's path there."""
        here = {} if "://" in self.url else {"auto_mkdir": True}
        return fsspec.url_to_fs(self.url, **here)

    def check_empty(self) -> None:
        """UserError where something is there already, hidden files apart (a new repository of the hub has one), or where the
        place cannot be looked at."""
        try:
            system, path = self._opened
            found = system.ls(path, detail=False)
        except FileNotFoundError:
            return
        except Exception as error:  # each file system has errors of its own
            raise UserError(f"{self.option} {self.url}: cannot be looked at ({told(error)}); {ACCESS}") from None
        names = sorted(PurePosixPath(f).name for f in found)
        if there := [n for n in names if not n.startswith(".")]:
            shown = ", ".join(there[:3]) + ", ..." * (len(there) > 3)
            raise UserError(
                f"{self.option} {self.url}: holds files already ({shown}), and nothing is overwritten; name a new folder, or "
                "remove that one first"
            )

    def put(self, folder: Path) -> int:
        """Copy all files of a folder there, README.md as the last -> how many. UserError where that fails on the way.

        A repository of the hub gets all of them in one commit: the hub counts commits, and refuses more than some an hour."""
        files = sorted((f for f in folder.rglob("*") if f.is_file()), key=lambda f: (f == folder / LAST, f))
        done = 0
        try:
            if self.url.startswith("hf://") and (at := parse_hf_uri(self.url)).type != "bucket":
                to = {"repo_id": at.id, "repo_type": at.type, "revision": at.revision}
                HfApi().upload_folder(folder_path=folder, path_in_repo=at.path_in_repo or None, **to)
                return len(files)
            system, path = self._opened
            for file in progress(files, desc="publish", unit="file", shown=True):
                system.put_file(os.fspath(file), f"{path}/{file.relative_to(folder).as_posix()}")
                done += 1
        except Exception as error:  # each file system has errors of its own
            raise UserError(
                f"{self.option} {self.url}: {told(error)}; {done} of {len(files)} files are there. {ACCESS}, remove what is "
                "there, and run again"
            ) from None
        return done


ACCESS = "See that the place exists and that you may write to it (s3: AWS_ACCESS_KEY_ID and so on; hf: `hf auth login`)"
