"""Which classes of a model stood for the categories of the data, as the rows of a run tell."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vlx.eval.items.rows import need_pyarrow

_SHOWN = 4


def matches(folder: Path) -> list[str]:
    """A line for each category of a finished run: the classes explained, the most frequent first."""
    need_pyarrow()
    from pyarrow import parquet

    columns = ["item", "category", "target", "left_out"]
    return match_lines(parquet.read_table(folder / "results.parquet", columns=columns).to_pylist())


def match_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of some rows; categories that the model does not have stand in the last.

    >>> rows = [{"item": "1", "category": "cat", "target": "tabby", "left_out": None}]
    >>> rows += [{"item": "2", "category": "person", "target": "", "left_out": "unknown_class"}]
    >>> match_lines(rows)
    ['cat: tabby 1', 'no class of the model: person 1']
    """
    found: dict[str, Counter[str]] = {}
    unknown: Counter[str] = Counter()
    seen: set[str] = set()
    for row in rows:
        if row["item"] in seen or not row["category"]:
            continue
        seen.add(row["item"])
        if row["left_out"] == "unknown_class":
            unknown[row["category"]] += 1
        elif row["target"]:
            found.setdefault(row["category"], Counter())[row["target"]] += 1
    lines = [f"{name}: {_counted(found[name])}" for name in sorted(found)]
    return [*lines, *([f"no class of the model: {_counted(unknown, None)}"] if unknown else [])]


def _counted(counts: "Counter[str]", most: int | None = _SHOWN) -> str:
    told = [f"{name} {count}" for name, count in counts.most_common(most)]
    more = len(counts) - len(told)
    return ", ".join([*told, *([f"{more} more"] if more else [])])
