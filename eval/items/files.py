"""Which bytes a batch is made from: its images and human maps.

Settings hold what the annotations say, but not the bytes of 40,000 images. Each finished batch states those
of its own files, as a digest taken when its rows were made, while the files are still in memory. A run that
goes on reads the files of its finished batches once more and measures again the batches whose bytes are
others, also where a file that was missing or damaged is there now. Size and time of a file are not trusted
for that, since a copy can keep both: reading all images of COCO's validation set takes seconds beside hours
of measuring. Within one process a file is read once, unless the system says that it changed.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from vlx.eval.items.item import Item
from vlx.eval.items.truth import HumanFiles, Pixels

_BLOCK = 1 << 20


def files_digest(items: Iterable[Item]) -> str:
    """A fingerprint of the bytes of all files of some items, in the order of the items.

    A file that is missing or cannot be read has one too, other than that of any file that can.
    """
    total = hashlib.sha256()
    for path in dict.fromkeys(path for item in items for path in _files(item)):
        total.update(f"{path.name}\0{file_digest(path)}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, or why there is none.

    >>> from pathlib import Path
    >>> file_digest(Path("no such file"))
    'FileNotFoundError'
    """
    try:
        told = os.stat(path)
        if not stat.S_ISREG(told.st_mode):
            return "no file"
        return _read(path, told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        return type(error).__name__


@lru_cache(maxsize=1 << 17)
def _read(path: Path, *_state: int) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def _files(item: Item) -> Iterable[Path]:
    if item.left_out:
        return ()
    match item.truth:
        case HumanFiles(paths):
            return (item.image, *paths)
        case Pixels(Path() as path):
            return (item.image, path)
        case _:
            return (item.image,)
