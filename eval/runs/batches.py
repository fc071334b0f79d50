"""A run over many items: batches with fixed borders, each kept as soon as it is done.

A folder holds ``settings.json``, one file a finished batch under ``parts/``, and, once all are there,
``results.parquet``, ``summary.json``, ``summary.md`` and ``summary.tex``. A run that was killed goes on where
it was: what is there is read back with all its digits, so the end is the same. A batch whose images or human
maps hold other bytes by then is measured again. A run that is refused before its first batch leaves a folder
that any other may take.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from os.path import isfile
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.faults import DAMAGED, Faults, told
from vlx.eval.items.files import files_digest
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.rows import (
    SCORE,
    Row,
    need_pyarrow,
    parquet,
    part_path,
    read_part,
    write_part,
)
from vlx.eval.runs.collected import Collected
from vlx.eval.runs.isolated import rows_of
from vlx.eval.runs.settings import Settings, Shard, agree, claim
from vlx.eval.runs.summary import as_json, latex, markdown
from vlx.eval.tasks.task import Task
from vlx.images.files import write_whole
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
            yield number, rows_of(task, models, batch, methods, settings.options)

    return work


def run_batches(
    task: Task,
    settings: Settings,
    work: Work,
    out: Path,
    *,
    items: Sequence[Item] = (),
    check: Callable[[], None] | None = None,
    shard: Shard | None = None,
    progress: bool = True,
) -> Path:
    """Measure what is missing in ``out``, then write the table and the summary; returns ``out``.

    ``items`` are all of the run, whose files are looked at; ``check`` is called before the first batch, if
    there is one to measure, and refuses by raising. Raises VlxError where another run works in ``out`` or it
    holds results of other settings, and where too many items are damaged, before the first batch if that is
    known by then.
    """
    need_pyarrow()
    with locked(out):
        part = shard or Shard()
        agree(out, settings, part)
        numbers = part.of(settings.batches)
        total = sum(_size(settings, number) for number in numbers)
        mine = [one for number in numbers for one in batch_items(items, settings.batch, number)]
        check_limit(_known(mine), settings.damaged, total)
        done, faults = _done(out, settings, numbers, items)
        check_limit(faults, settings.damaged, total)
        todo = [number for number in numbers if number not in done]
        if todo and check is not None:
            check()
        claim(out, settings, part)
        with _bar(task, settings, numbers, done, progress) as bar:
            for number, rows in work(todo) if todo else ():
                add_rows(faults, rows)
                check_limit(faults, settings.damaged, total)
                write_part(out, number, settings.fingerprint, rows, _files(settings, items, number))
                bar.update(_size(settings, number))
        finish(task, settings, out, numbers)
        for line in told(faults.found, faults.found) if progress else ():
            print(f"vlx: {task.name}: left out {line}", file=sys.stderr)
    return out


def finish(task: Task, settings: Settings, out: Path, numbers: Iterable[int]) -> None:
    """Write the table and the summaries from the finished batches of these numbers."""
    collected = Collected(task)

    def rows() -> Iterator[Row]:
        for number in numbers:
            for row in read_part(out, number, settings.fingerprint) or _lost(out, number):
                collected.add(row)
                yield row

    parquet(out / "results.parquet", rows(), task.columns_for(settings.options))
    title, protocol = task.told(settings.options, settings.model_type, settings.simulated)
    found = collected.measured(protocol, settings.options.seed, title)
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

    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / "lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise VlxError(f"another run works in {out}: wait for it, or give --out another folder") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise VlxError(f"no results can be written to {out} ({reason}): give --out another folder") from None
    try:
        yield
    finally:
        lock.release()


def check_limit(faults: Faults, share: float, total: int) -> None:
    """Raises VlxError, with the reasons and the first of each, where more items are damaged than allowed."""
    count = faults.count(DAMAGED)
    if count > share * total:
        reasons = "; ".join(told(faults.found, DAMAGED))
        raise VlxError(
            f"{count} of {total} items have a damaged image or record, more than {share:.1%}: {reasons}: "
            "repair them, or allow more by --damaged"
        )


def add_rows(faults: Faults, rows: Sequence[Row]) -> None:
    """Count what is at fault with the items of some rows, each once."""
    for row in rows:
        if row.method == rows[0].method:
            faults.add(row.item, row.outcomes[SCORE].left_out, row.detail)


def _known(items: Iterable[Item]) -> Faults:
    """What is damaged for certain before anything is measured: records, and images that are not there."""
    faults = Faults()
    there: dict[Path, bool] = {}
    for item in items:
        if item.left_out:
            faults.add(item.id, item.left_out, item.detail)
        elif not there.setdefault(item.image, isfile(item.image)):
            faults.add(item.id, "no_image", f"no image {item.image}")
    return faults


def _files(settings: Settings, items: Sequence[Item], number: int) -> str | None:
    return files_digest(batch_items(items, settings.batch, number)) if items else None


def _done(
    out: Path, settings: Settings, numbers: Iterable[int], items: Sequence[Item]
) -> tuple[set[int], Faults]:
    """The finished batches whose files are still the same, and what is at fault with their items."""
    done: set[int] = set()
    faults = Faults()
    for number in numbers:
        if part_path(out, number).exists():
            rows = read_part(out, number, settings.fingerprint, _files(settings, items, number))
            if rows is not None:
                done.add(number)
                add_rows(faults, rows)
    return done, faults


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
