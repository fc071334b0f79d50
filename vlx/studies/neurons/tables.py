"""Tables of comma-separated values, as they are read with one clear error."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from vlx.eval.data.records import DataError

_MOST_BYTES = 1 << 28


def read_table(path: Path, needed: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """The head and the rows of a CSV file, each row with all columns.

    Raises DataError where it is missing, too large, no such table, or lacks a column that is ``needed``.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: more than {_MOST_BYTES >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no table of comma-separated values ({error})") from None
    head = lines[0] if lines else []
    lacking = [name for name in needed if name not in head]
    if lacking or len(set(head)) != len(head):
        what = f"has no column {', '.join(lacking)}" if lacking else "names a column twice"
        raise DataError(f"{path} {what}: its first line is {','.join(head)[:80]!r}")
    rows: list[dict[str, str]] = []
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        if len(line) != len(head):
            raise DataError(f"{path}: line {number} has {len(line)} values for {len(head)} columns")
        rows.append(dict(zip(head, line, strict=True)))
    return head, rows
