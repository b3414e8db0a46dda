"""Progress bars."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


def progress(*what: Any, shown: bool, **how: Any) -> tqdm:
    """A tqdm bar, or the same without a bar. `disable` is given only where it must be, so that TQDM_DISABLE is heard."""
    return tqdm(*what, **how) if shown else tqdm(*what, disable=True, **how)
