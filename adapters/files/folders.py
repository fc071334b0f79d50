"""Find the files of a published model in a folder, by the names that its authors' code gives them."""

from pathlib import Path

from vlx.errors import CheckpointError


def only_file(folder: str | Path, *patterns: str) -> Path:
    """The one file in a folder whose name fits one of the patterns, such as ``WORDMAP*.json``.

    Raises CheckpointError if there is no such folder, no such file, or more than one.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f"no folder {folder}: it should hold {' or '.join(patterns)}")
    found = sorted({path for pattern in patterns for path in Path(folder).glob(pattern) if path.is_file()})
    if len(found) != 1:
        names = f": {', '.join(path.name for path in found[:4])}" if found else ""
        asked = " or ".join(patterns)
        raise CheckpointError(f"{folder} holds {len(found) or 'no'} files {asked}{names}; give one")
    return found[0]
