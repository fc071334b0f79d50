"""Names of folders, and errors in a line, as pages and their folders have them."""

import logging
import re

from vlx.errors import VlxError


def told_in_a_line(error: Exception) -> str:
    """An error as one line; the traceback of one that nobody foresaw goes to the log."""
    line = " ".join(str(error).split())
    if isinstance(error, VlxError) and line:
        return line
    logging.getLogger(__name__).info("an evaluation failed", exc_info=error)
    return f"{type(error).__name__}: {line}".rstrip(": ")


def plain_name(name: str) -> str:
    """A model's name as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")
