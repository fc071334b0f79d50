"""A run over many items: batches with fixed borders, each kept as soon as it is done.

A folder holds ``settings.json``, one file a finished batch under ``parts/``, and, once all are there,
``results.parquet``, ``summary.json``, ``summary.md`` and ``summary.tex``. A run that was killed goes on where
it was: what is there is read back with all its digits, so the end is the same.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.rows import Row, need_pyarrow, parquet, read_part, write_part
from vlx.eval.runs.settings import Settings, Shard, claim
from vlx.eval.runs.summary import Collected, as_json, latex, markdown
from vlx.eval.tasks.task import Task
from vlx.explanation import write_whole
from vlx.methods.values import Method

Work = Callable[[Sequence[int]], Iterable[tuple[int, list[Row]]]]
"""Measures the batches of these numbers, in any order."""


def batch_items(items: Sequence[Item], size: int, number: int) -> Sequence[Item]:
    """The items of one batch; its borders never depend on shards, workers or what was done before."""
    return items[number * size : (number + 1) * size]


def local_work(
    task: Task, models: Models, items: Sequence[Item], methods: Sequence[Method], settings: Settings
) -> Work:
    """Measure batches here, one after another."""

    def work(numbers: Sequence[int]) -> Iterator[tuple[int, list[Row]]]:
        for number in numbers:
            batch = batch_items(items, settings.batch, number)
            yield number, task.rows(models, batch, methods, settings.options)

    return work


def run_batches(
    task: Task,
    settings: Settings,
    work: Work,
    out: Path,
    *,
    shard: Shard | None = None,
    progress: bool = True,
) -> Path:
    """Measure what is missing in ``out``, then write the table and the summary; returns ``out``.

    Raises VlxError where another run works in ``out`` or it holds results of other settings, and where
    too many items are damaged.
    """
    need_pyarrow()
    with locked(out):
        part = shard or Shard()
        claim(out, settings, part)
        numbers = part.of(settings.batches)
        done, damaged = _done(out, settings, numbers)
        limit = _Limit(settings, numbers, damaged)
        limit.check()
        todo = [number for number in numbers if number not in done]
        with _bar(task, settings, numbers, done, progress) as bar:
            for number, rows in work(todo) if todo else ():
                write_part(out, number, settings.fingerprint, rows)
                limit.add(rows)
                bar.update(_size(settings, number))
                limit.check()
        finish(task, settings, out, numbers)
    return out


def finish(task: Task, settings: Settings, out: Path, numbers: Iterable[int]) -> None:
    """Write the table and the summaries from the finished batches of these numbers."""
    collected = Collected(task)

    def rows() -> Iterator[Row]:
        for number in numbers:
            for row in read_part(out, number, settings.fingerprint) or _lost(out, number):
                collected.add(row)
                yield row

    parquet(out / "results.parquet", rows(), task.columns)
    found = collected.measured(task.protocol(settings.options, settings.model_type), settings.options.seed)
    texts = {
        "summary.json": as_json(found, settings.plain),
        "summary.md": markdown(found),
        "summary.tex": latex(found),
    }
    for name, text in texts.items():
        write_whole(out / name, text.encode("utf-8", "backslashreplace"))


@contextmanager
def locked(out: Path) -> Generator[None, None, None]:
    """Hold a folder alone; the system frees it when the process ends, however it ends."""
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise VlxError(f"another run works in {out}: wait for it, or give --out another folder") from None
    try:
        yield
    finally:
        lock.release()


class _Limit:
    """Ends a run once more of its items are damaged than the settings allow."""

    def __init__(self, settings: Settings, numbers: range, damaged: int) -> None:
        self._share = settings.damaged
        self._total = sum(_size(settings, number) for number in numbers)
        self._methods = len(settings.methods)
        self._rows = damaged

    def add(self, rows: Sequence[Row]) -> None:
        self._rows += sum(row.damaged for row in rows)

    def check(self) -> None:
        count = self._rows // self._methods
        if count > self._share * self._total:
            raise VlxError(
                f"{count} of {self._total} items have a damaged image or record, more than "
                f"{self._share:.1%}: see their detail in the files under parts/, or allow more by --damaged"
            )


def _done(out: Path, settings: Settings, numbers: Iterable[int]) -> tuple[set[int], int]:
    """The finished batches, and how many of their rows are damaged."""
    done: set[int] = set()
    damaged = 0
    for number in numbers:
        rows = read_part(out, number, settings.fingerprint)
        if rows is not None:
            done.add(number)
            damaged += sum(row.damaged for row in rows)
    return done, damaged


def _bar(task: Task, settings: Settings, numbers: range, done: set[int], shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=sum(_size(settings, number) for number in numbers),
        initial=sum(_size(settings, number) for number in done),
        desc=task.name, unit="item", file=sys.stderr, disable=not shown,
        mininterval=0.5 if sys.stderr.isatty() else 30,
    )  # fmt: skip


def _size(settings: Settings, number: int) -> int:
    return min(settings.batch, settings.count - number * settings.batch)


def _lost(out: Path, number: int) -> list[Row]:
    raise VlxError(f"batch {number} is missing in {out}: run the same command again")
