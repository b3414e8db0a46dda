"""The one error that a person who runs the project should ever read, and how it is told."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

SMALLER = (
    "draw or train smaller (--size), fewer at a time (train.accumulation, evaluate.batch_size), or keep the weights in fewer "
    "bits (backbone.quantize)"
)


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


class Usage(UserError):
    """A command line that is none: what is missing, unknown or out of its range."""

    status = 2


def printable(text: str) -> str:
    """Text in one line that does nothing to a terminal: what moves a cursor, ends a line, turns the direction of writing or
    is no character (a name in no encoding) stands as an escape."""
    shown = (c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return "".join(shown)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, of this machine or of a GPU."""
    torch = sys.modules.get("torch")  # not imported for this: where it is not, it has no errors
    of_gpu = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return of_gpu or isinstance(error, MemoryError) or "DefaultCPUAllocator: " in str(error)


@contextmanager
def reported() -> Iterator[None]:
    """Around a command or a stage: what a person can mend is one line on stderr and an exit status, never a traceback.

    UserError: its text and status. OSError (a full disk, a missing right, a quota): what failed and where. Too little memory.
    Ctrl-C: 130. Everything else is a fault of ours and keeps its traceback.
    """
    try:
        yield
    except UserError as error:
        said, status = str(error), error.status
    except KeyboardInterrupt:
        said, status = "stopped by the user", 130
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        said, status = f"not enough memory ({told(error)[:150]}); {SMALLER}", 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        said, status = f"{where}{error.strerror or told(error)}; nothing finished is lost: mend it and run again", 1
    else:
        return
    print(f"{'' if status == 130 else 'error: '}{printable(said)}", file=sys.stderr)
    raise SystemExit(status)
