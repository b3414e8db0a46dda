"""A page as a browser reads it."""

from html.parser import HTMLParser
from pathlib import Path

PAGE = Path(__file__).parents[1] / "reports" / "index.html"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Read(HTMLParser):
    """What a page holds: its tags with their attributes, its text, the tags that were left open, and what a cell says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]
