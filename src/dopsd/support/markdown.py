"""What people named, as text in Markdown, in HTML within it, in a table and in YAML front matter: shown as it is, never read.

Names that hold nothing special come out as they went in.
"""

from __future__ import annotations

import json
import re

from dopsd.support.errors import printable

MARKS = re.compile(r"([\\`*\[\]|~$])|(?<![^\W_])(_)|(_)(?![^\W_])")  # an underscore within a word is none
HTML = {"<": "&lt;", ">": "&gt;"}
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*([ ._/-][A-Za-z0-9]+)*")  # of YAML, quotes apart,
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # if it is none of these


def text(value: object) -> str:
    """In a line, in a heading or in a cell of a table. Line ends are spaces; what is no character stands as an escape."""
    line = printable(" ".join(str(value).split()))
    line = MARKS.sub(r"\\\g<0>", line.replace("&", "&amp;") if re.search(r"&#?\w+;", line) else line)
    return re.sub("[<>]", lambda m: HTML[m[0]], line)


def code(value: object) -> str:
    """In a line, as code: between more backticks than it holds. A bar is escaped, as a table wants it even there."""
    line = printable(" ".join(str(value).split())).replace("|", r"\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def scalar(value: object) -> str:
    """As a text in YAML: plain where nothing else could be read, else in quotes."""
    line = str(value).encode(errors="replace").decode()
    if PLAIN.fullmatch(line) and line.lower() not in WORDS:
        return line
    quoted = json.dumps(line, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


FILTERS = {"text": text, "code": code, "scalar": scalar}  # of a template
