"""The model card of a LoRA: what it is, how it was made, what was measured."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dopsd.support import markdown
from dopsd.support.files import write_text

CARD = "README.md"
NOT_MEASURED = "Not measured; `dopsd measure` does it."


def write_card(out: Path, **facts) -> Path:
    """The model card, `out`/README.md, from report/lora_card.md.j2; a fact that is missing is an error."""
    environment = Environment(loader=PackageLoader("dopsd", "report"), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= markdown.FILTERS  # what people named is shown, never read
    file = out / CARD
    write_text(environment.get_template("lora_card.md.j2").render(not_measured=NOT_MEASURED, **facts), file)
    return file
