"""The one error that a person who runs the project should ever read, and how it is told."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can mend: the message names the file, the field and the remedy.

    Commands and stages print it in one line without a traceback and exit with `status`.
    """

    status = 1


def nearest(name: object, known: Iterable[object]) -> str:
    """What to add to "unknown X": `; did you mean "steps"?` where a known name is near, and all known ones where few are."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names and len(names) <= 20 else ""


def told(error: BaseException) -> str:
    """The first line of an error's message that says something, or its class: for the reason in a UserError."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def printable(text: str) -> str:
    """Text that every terminal can print: what is no character (a name in no encoding) stands as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def reported() -> Iterator[None]:
    """Around a command or a stage: what a person can mend is one line on stderr and an exit status, never a traceback.

    UserError: its text and status. OSError (a full disk, a missing right, a quota): what failed and where. Ctrl-C: 130.
    Everything else is a fault of ours and keeps its traceback.
    """
    try:
        yield
    except UserError as error:
        said, status = str(error), error.status
    except KeyboardInterrupt:
        said, status = "stopped by the user", 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        said, status = f"{where}{error.strerror or told(error)}; nothing finished is lost: mend it and run again", 1
    else:
        return
    print(f"{'error: ' if status == 1 else ''}{printable(said)}", file=sys.stderr)
    raise SystemExit(status)
