"""How commands print tables."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100


def console() -> Console:
    """Standard output, as wide as the terminal; in a file or pipe as COLUMNS says, else 100 columns."""
    from rich.console import Console

    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if knows_width else PIPED_WIDTH)
