"""The terminal, as every command that shows more than a line writes to it."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS = 120


def console() -> "Console":
    """Standard output: colours on a terminal only, and a fixed width where nobody says how wide it is."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS
    return Console(width=width, highlight=False, markup=False, emoji=False)
