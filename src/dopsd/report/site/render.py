"""Tables and sentences of the reports, which are Markdown, as HTML of the page: nothing in them is read as HTML, and their
links lead from the page's folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mistune
from markupsafe import Markup, escape
from mistune.plugins.table import table

BREAK = "<br>"  # the one tag that our tables hold


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
