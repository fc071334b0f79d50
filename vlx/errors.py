"""Errors a person can act on: each message says what was given and what would work."""

import difflib
import threading
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager

_filters = threading.RLock()


class VlxError(ValueError):
    """Bad input of any kind; the command line prints it as one line."""


class Notice(UserWarning):
    """What was taken where a folder or a file holds several; the command line prints it as one line."""


class Doubt(UserWarning):
    """Why an explanation that was asked for may mean little; the command line prints it as one line."""


class ImageError(VlxError):
    """An image that is missing, damaged, or too large to decode safely."""


class LayerError(VlxError):
    """A layer that does not exist, is not spatial, or does not lie on the path to the score."""


class TextError(VlxError):
    """A caption or question that is empty or holds an unknown word."""


class UnknownWord(TextError):
    """A text with a word for which the model has no token."""


class UnknownChoice(TextError):
    """A word, answer or class that the model does not know."""


class NumericError(VlxError):
    """Scores, gradients or maps of one input that are not finite."""


class CheckpointError(VlxError):
    """A weight file that is missing, truncated, hostile, or of another architecture."""


class GuidedError(VlxError):
    """A model without a single ReLU, for which guided rules mean nothing."""


def near_names(given: str, known: Iterable[str], count: int = 5) -> str:
    """Name the nearest of the known names, as the tail of an error message.

    Returns ``"; near names: a, b"`` or, where nothing is near, ``"; for example: a, b"``.
    """
    names = list(known)
    folded = {name.lower(): name for name in names}
    near = [folded[name] for name in difflib.get_close_matches(given.lower(), folded, count, 0.5)]
    if near:
        return "; near names: " + ", ".join(near)
    return "; for example: " + ", ".join(names[:count]) if names else ""


@contextmanager
def quietly(message: str = "", category: type[Warning] = Warning) -> Generator[None, None, None]:
    """Keep these warnings of other libraries from the user in the block.

    Filters are the process's: one thread at a time changes them, so that each puts back what it found.
    """
    with _filters, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
