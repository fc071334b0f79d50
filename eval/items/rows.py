"""Rows: one for each item and method, with the score, its controls, and why anything is missing.

A finished batch is one part file, which appears whole or not at all; the parts are joined into one Parquet
table at the end. Numbers are written with all their digits.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from vlx.errors import VlxError
from vlx.eval.items.faults import DAMAGED
from vlx.eval.items.item import Item
from vlx.eval.measures.statistics import Outcome
from vlx.images.files import write_whole

SCORE = "score"
OWN_MINUS_WRONG = "own_minus_wrong"
"""The score less those of the maps of words of absent categories (see `vlx.eval.items.absent`)."""
FACTS = ("item", "image", "method", "text", "target", "word", "category", "question_id", "unknown", "detail")


@dataclass(frozen=True, eq=False)
class Row:
    """What was measured of one item by one method."""

    item: str
    image: str
    method: str
    text: str
    """The caption or the question."""
    target: str
    """What was explained: a word, ``caption``, an answer, a class."""
    word: str
    category: str
    question_id: int | None
    unknown: int
    """How many words of the text the model does not know."""
    detail: str
    """What was wrong with it, in words."""
    outcomes: Mapping[str, Outcome]
    """``score`` and the controls, each a value or the reason why there is none."""

    @property
    def damaged(self) -> bool:
        """Whether the data of the item are damaged."""
        return self.outcomes[SCORE].left_out in DAMAGED


class Numbers(NamedTuple):
    """What statistics over many rows need of one: no texts."""

    image: str
    method: str
    category: str
    outcomes: Mapping[str, Outcome]


def row_of(
    item: Item,
    method: str,
    outcomes: Mapping[str, Outcome],
    *,
    target: str = "",
    unknown: int = 0,
    detail: str = "",
) -> Row:
    """A row on an item; what is not given is as the item says."""
    return Row(
        item.id, item.cluster, method, item.text,
        word=item.word, category=item.category, question_id=item.question_id, outcomes=outcomes,
        target=target, unknown=unknown, detail=detail or item.detail,
    )  # fmt: skip


def left_out(
    item: Item, methods: Sequence[str], columns: Iterable[str], reason: str, detail: str = ""
) -> list[Row]:
    """Rows of an item that could not be measured at all, one for each method."""
    outcomes = {column: Outcome(None, reason) for column in columns}
    return [row_of(item, method, outcomes, detail=detail or item.detail) for method in methods]


def write_part(
    folder: Path, number: int, fingerprint: str, rows: Sequence[Row], files: str | None = None
) -> Path:
    """Write one finished batch; a crash leaves either the whole file or none.

    ``files`` is the fingerprint of the files that the rows were made from (see `vlx.eval.items.files`).
    """
    path = part_path(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = as_text(rows)
    check = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    head = json.dumps({"batch": number, "fingerprint": fingerprint, "files": files, "sha256": check})
    write_whole(path, f"{head}\n{body}\n".encode("utf-8", "surrogatepass"))
    return path


def read_part(folder: Path, number: int, fingerprint: str, files: str | None = None) -> list[Row] | None:
    """The rows of a finished batch; None where it is missing or damaged and must be measured again.

    So it is where ``files`` are given and the rows were made from others. Raises VlxError for a batch of
    other settings.
    """
    path = part_path(folder, number)
    try:
        head, _, body = path.read_bytes().decode("utf-8", "surrogatepass").partition("\n")
        told: Any = json.loads(head)
        whole = hashlib.sha256(body.rstrip("\n").encode("utf-8", "surrogatepass")).hexdigest()
        if told["batch"] != number or told["sha256"] != whole:
            return None
        rows = from_text(body)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if told["fingerprint"] != fingerprint:
        raise VlxError(f"{path} was measured with other settings: give --out another folder")
    return rows if files is None or told.get("files") == files else None


def as_text(rows: Iterable[Row]) -> str:
    """Rows as one line of JSON with every digit of their numbers."""
    return json.dumps([_plain(row) for row in rows], ensure_ascii=False, separators=(",", ":"))


def from_text(text: str) -> list[Row]:
    """The rows that `as_text` wrote. Raises ValueError, KeyError or TypeError for any other text."""
    return [_row(row) for row in json.loads(text)]


def part_path(folder: Path, number: int) -> Path:
    """Where a batch is kept."""
    return folder / "parts" / f"{number:06d}.json"


def parquet(path: Path, rows: Iterable[Row], columns: Sequence[str], group: int = 4096) -> None:
    """Write rows to a Parquet file that appears whole or not at all; few are held at a time."""
    arrow = need_pyarrow()
    from pyarrow import parquet as files

    text, number = arrow.string(), arrow.float64()
    types = {"question_id": arrow.int64(), "unknown": arrow.int32()}
    fields = [(name, types.get(name, text)) for name in FACTS]
    fields += list(chain.from_iterable(((c, number), (_reason(c), text)) for c in columns))
    schema = arrow.schema(fields)
    part = path.with_name(path.name + ".part")
    try:
        with files.ParquetWriter(part, schema, compression="zstd") as writer:
            for some in _groups(rows, group):
                tables = [_flat(row, columns) for row in some]
                writer.write_table(arrow.Table.from_pylist(tables, schema))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def need_pyarrow() -> Any:
    """The module pyarrow. Raises VlxError in one line where it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise VlxError("results are written by pyarrow: pip install 'vlx[evaluate]'") from None
    return cast(Any, pyarrow)


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _reason(column: str) -> str:
    return "left_out" if column == SCORE else f"{column}_left_out"


def _flat(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    facts = {name: _sayable(getattr(row, name)) for name in FACTS}
    for column in columns:
        outcome = row.outcomes[column]
        facts |= {column: outcome.value, _reason(column): outcome.left_out}
    return facts


def _sayable(value: Any) -> Any:
    """Half of a surrogate pair, which JSON can hold, is no text for Parquet."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _plain(row: Row) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in FACTS}
    found = {name: o.left_out if o.value is None else _number(o.value) for name, o in row.outcomes.items()}
    return {**facts, "outcomes": found}


def _number(value: float) -> float | list[str]:
    """Infinity has no number in JSON."""
    return value if math.isfinite(value) else [str(value)]


def _row(facts: dict[str, Any]) -> Row:
    found = facts.pop("outcomes")
    return Row(**facts, outcomes={name: _outcome(value) for name, value in found.items()})


def _outcome(value: Any) -> Outcome:
    if isinstance(value, str):
        return Outcome(None, value)
    return Outcome(float(value[0] if isinstance(value, list) else value))
