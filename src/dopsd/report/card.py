"""The model card of a LoRA, or of many: what it is, how it was made, what was measured."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dopsd.support import markdown
from dopsd.support.files import write_text

CARD = "README.md"
NOT_MEASURED = "Not measured; `dopsd measure` does it."


def write(template: str, out: Path, /, **facts) -> Path:
    """`out`/README.md from a template of report/; a fact that is missing is an error."""
    environment = Environment(loader=PackageLoader("dopsd", "report"), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= markdown.FILTERS  # what people named is shown, never read
    file = out / CARD
    write_text(environment.get_template(template).render(**facts), file)
    return file


def write_card(out: Path, **facts) -> Path:
    """The model card of one training, `out`/README.md, from report/lora_card.md.j2."""
    return write("lora_card.md.j2", out, not_measured=NOT_MEASURED, **facts)
