"""The model card of a LoRA: what it is, how it was made, what was measured."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dopsd.support import markdown


def write_card(out: Path, **facts) -> Path:
    """The model card, `out`/README.md, from report/lora_card.md.j2; a fact that is missing is an error."""
    environment = Environment(loader=PackageLoader("dopsd", "report"), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= markdown.FILTERS  # what people named is shown, never read
    file = out / "README.md"
    file.write_text(environment.get_template("lora_card.md.j2").render(**facts), encoding="utf-8")
    return file
