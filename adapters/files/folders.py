"""Find the files of a published model in a folder, by the names that its authors' code gives them."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from vlx.errors import CheckpointError, Notice

_BEST = re.compile(r"(?<![a-z])best(?![a-z])")


def only_file(folder: str | Path, *patterns: str) -> Path:
    """The one file in a folder whose name fits one of the patterns, such as ``WORDMAP*.json``.

    Of several that a training left, the one that is called best, as ``BEST_checkpoint.pth.tar`` or
    ``model-best.pth``, with a warning that names it. Raises CheckpointError if there is no such folder, no
    such file, or more than one.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f"no folder {folder}: it should hold {' or '.join(patterns)}")
    found = sorted({path for pattern in patterns for path in Path(folder).glob(pattern) if path.is_file()})
    if len(found) == 1:
        return found[0]
    best = [path for path in found if is_best(path.name)]
    if len(best) == 1:
        say_taken(folder, best[0].name, [path.name for path in found if path != best[0]])
        return best[0]
    names = f": {', '.join(path.name for path in found[:4])}" if found else ""
    asked = " or ".join(patterns)
    raise CheckpointError(f"{folder} holds {len(found) or 'no'} files {asked}{names}; give one")


def is_best(name: str) -> bool:
    """Whether a file is called the best of a training.

    >>> is_best("BEST_checkpoint_coco.pth.tar"), is_best("model-best.pth"), is_best("bestow.pth")
    (True, True, False)
    """
    return bool(_BEST.search(name.lower()))


def say_taken(folder: str | Path, taken: str, others: Sequence[str]) -> None:
    """Warn which of several files was taken."""
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    warnings.warn(
        f"{folder} holds {taken} and {', '.join(others[:3])}{more}: {taken} is read", Notice, stacklevel=3
    )
