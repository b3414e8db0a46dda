"""Tables and sentences of the reports, which are Markdown, as HTML of the page: nothing in them is read as HTML, and their
links lead from the page's folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import mistune
from markupsafe import Markup, escape
from mistune.plugins.table import table

BREAK = "<br>"  # the one tag that our tables hold
CELLS = re.compile(r"(?<!\\)\|")  # what stands between a table's cells


class _Renderer(mistune.HTMLRenderer):
    """link: an address of a report -> the same from the page."""

    def __init__(self, link: Callable[[str], str]):
        super().__init__(escape=True)
        self.leads = link

    def link(self, text: str, url: str, title: str | None = None) -> str:
        outside = "://" in url or url.startswith(("#", "/", "javascript:", "data:"))
        return text if outside else f'<a href="{escape(self.leads(url))}">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return text

    def inline_html(self, html: str) -> str:
        return BREAK if html == BREAK else str(escape(html))

    def block_html(self, html: str) -> str:
        return str(escape(html))


def _parser(link: Callable[[str], str]) -> mistune.Markdown:
    parser = mistune.Markdown(_Renderer(link), plugins=[table])
    renderer: Any = parser.renderer
    for name, tag in (("table", "table"), ("table_cell", "")):
        renderer.register(name, _table if tag else _cell)
    return parser


def _table(renderer: object, text: str) -> str:
    """A table that can be sorted and scrolled."""
    return f'<div class="scroll" tabindex="0"><table class="sortable">\n{text}</table></div>\n'


def _cell(renderer: object, text: str, align: str | None = None, head: bool = False) -> str:
    return f'<th scope="col">{text}</th>\n' if head else f"<td>{text}</td>\n"


def html(text: str, link: Callable[[str], str] = str) -> Markup:
    """Markdown as HTML blocks."""
    return Markup(_parser(link)(text))


def line(text: str, link: Callable[[str], str] = str) -> Markup:
    """A sentence, without a paragraph around it."""
    return Markup(str(html(text, link)).strip().removeprefix("<p>").removesuffix("</p>"))


def _cells(text: str) -> list[list[str]]:
    """A Markdown table's lines, each of its cells."""
    return [[cell.strip() for cell in CELLS.split(line.strip()[1:-1])] for line in text.strip().splitlines()]


def heads(text: str) -> list[str]:
    """The heads of a Markdown table's columns; [] of no text."""
    return _cells(text)[0] if text else []


def narrow(text: str, shown: Collection[str], called: Mapping[str, str], link: Callable[[str], str] = str) -> Markup:
    """A Markdown table with its first column and those whose heads are shown; the others are folded beneath it, under a line
    that names them. called: what heads and cells of the first column are called instead."""
    lines = _cells(text)
    names, first = lines[0], [called.get(row[0], row[0]) for row in lines]
    kept = [k for k, name in enumerate(names) if k and name in shown]
    rest = [k for k in range(1, len(names)) if k not in kept]

    def part(columns: Collection[int]) -> Markup:
        rows = [[first[n], *(row[k] for k in columns)] for n, row in enumerate(lines)]
        rows[0] = [called.get(name, name) for name in rows[0]]
        return html("".join(f"| {' | '.join(row)} |\n" for row in rows), link)

    if not rest:
        return part(kept)
    says = line("; ".join(called.get(names[k], names[k]) for k in rest))
    folded = f"<details><summary>Further columns: {says}</summary>\n{part(rest)}</details>\n"
    return part(kept) + Markup(folded)
