"""What a study keeps in its folder, so that a run that stopped goes on, and none mixes with another's."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.images.files import write_whole

Facts = dict[str, Any]
"""Of JSON's types."""


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make a folder that of these settings, which belong to JSON's types.

    Raises VlxError where it holds something of others, or cannot be written.
    """
    path, told = folder / "settings.json", json.dumps(settings, indent=1, sort_keys=True) + "\n"
    try:
        if path.is_file() and path.read_text(encoding="utf-8") != told:
            raise VlxError(f"{folder} holds a study of other settings: give --out another folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, told.encode())
    except (OSError, UnicodeDecodeError) as error:
        raise VlxError(f"{folder} cannot be used ({error}): give --out another folder") from None


def kept_rows(
    path: Path,
    names: Sequence[str],
    make: Callable[[str], Facts],
    told: Callable[[str], None] = lambda _line: None,
) -> list[Facts]:
    """One row a name, in the order of the names: read from a file of JSON lines, made where it is not there.

    Each row is written as soon as it is made; a last line that is cut off is made again. Names are different
    from each other.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept_rows(Path(folder, "rows.jsonl"), ["a", "bc"], lambda name: {"letters": len(name)})
    [{'letters': 1}, {'letters': 2}]
    """
    known = _read(path)
    todo = [name for name in names if name not in known]
    if not todo:
        return [known[name] for name in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(map(_line, known.items())).encode())
    with path.open("a", encoding="utf-8") as file:
        for at, name in enumerate(todo, len(names) - len(todo) + 1):
            known[name] = make(name)
            file.write(_line((name, known[name])))
            file.flush()
            told(f"{at} of {len(names)}: {name}")
    return [known[name] for name in names]


def digest(*parts: object) -> str:
    """Sixteen hex digits of what settings are too long to tell."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _line(item: tuple[str, Facts]) -> str:
    return json.dumps({"name": item[0], "row": item[1]}, ensure_ascii=False, allow_nan=False) + "\n"


def _read(path: Path) -> dict[str, Facts]:
    """The rows of a file by name, up to the first line that is not whole."""
    found: dict[str, Facts] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError) as error:
        raise VlxError(f"{path} cannot be read ({error}): delete it or give --out another folder") from None
    for line in lines:
        try:
            facts = json.loads(line)
            found[facts["name"]] = facts["row"]
        except (ValueError, KeyError, TypeError):
            break
    return found
