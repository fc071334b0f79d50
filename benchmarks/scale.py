"""What the bookkeeping of an evaluation takes: ``python -m benchmarks.scale [--counts 10000 30000 100000]``.

A run of word pointing over so many items whose scores are drawn by a stub in the place of a model, through
all that a real run goes through: fingerprints of items and images, parts, resume, shards and their merge, the
table, the summaries, the page. Then the arithmetic for COCO's val2014 from rates that are measured elsewhere:
``--cpu`` and ``--gpu`` in captions a second.
"""

import argparse
import gc
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from vlx.eval.data.coco import CocoImage, Instance
from vlx.eval.items.item import Item, digest
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row, row_of
from vlx.eval.items.truth import Segments
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.statistics import Outcome
from vlx.eval.page.examples import extremes, read_rows
from vlx.eval.page.page import section, write_page
from vlx.eval.runs.batches import batch_items, run_batches
from vlx.eval.runs.merge import merge
from vlx.eval.runs.settings import Settings, Shard
from vlx.eval.tasks.pointing import POINTING

COUNTS = (10_000, 30_000, 100_000)
BATCH, SHARDS = 16, 4
WORDS = 5
"""Items of an image."""
ITEM = 0.020
"""Seconds that an item may take to measure, of which bookkeeping should be a small part."""
FILE = 160 * 1024
"""Bytes of an image of COCO."""
IMAGES, CAPTIONS = 40_504, 200_000
"""Of COCO's val2014; captions in round numbers."""
GPUS = 8
OPTIONS = Options()
COLUMNS = POINTING.columns_for(OPTIONS)


def items_of(folder: Path, count: int) -> list[Item]:
    """Items of word pointing, five of an image; all images hold one file's bytes, each under its own name."""
    folder.mkdir(parents=True)
    first = folder / "first.jpg"
    first.write_bytes(np.random.default_rng(0).bytes(FILE))
    found: list[Item] = []
    for number in range(-(-count // WORDS)):
        path = folder / f"COCO_val2014_{number:012d}.jpg"
        os.link(first, path)
        image = CocoImage(number, path.name, 480, 640)
        for word in range(min(WORDS, count - len(found))):
            name = f"category {(number + word) % 80}"
            outline = [[10.0, 10.0, 200.0, 10.0, 200.0, 300.0, 10.0, 300.0]]
            instance = Instance(number, name, Box(10, 10, 190, 290), False, outline, "here")
            found.append(
                Item(
                    f"{path.name} {word}", path, path.name, "a man riding a wave on top of a surfboard",
                    Segments(image, (instance,)), name, category=name,
                )
            )  # fmt: skip
    return found


def stub_rows(items: Sequence[Item]) -> list[Row]:
    """Rows as a model would give them: hits, with one item in fifty left out."""
    found: list[Row] = []
    for item in items:
        values = np.random.default_rng(crc32(item.id.encode())).random(len(COLUMNS))
        out = values[0] < 0.02
        outcomes = {
            column: Outcome(None, "absent") if out else Outcome(float(value > 0.5))
            for column, value in zip(COLUMNS, values, strict=True)
        }
        found.append(row_of(item, "grad_cam", outcomes, target=item.word))
    return found


def settings_of(items: Sequence[Item]) -> Settings:
    """Settings as a run would have."""
    return Settings(
        "pointing", "stub", "captioner", "0" * 64, "layer4", ("grad_cam",), digest(items), len(items), BATCH,
        "cpu", "float32", 1, 0.05, OPTIONS, {"vlx": "0"},
    )  # fmt: skip


def resident() -> float:
    """MiB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measured(count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each part of the bookkeeping of so many items, and MiB before and behind the batches."""
    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = work()
        seconds[name] = time.perf_counter() - began
        return found

    with tempfile.TemporaryDirectory() as home:
        root = Path(home)
        items = items_of(root / "images", count)
        settings = timed("fingerprint of the items", lambda: settings_of(items))
        stub = 0.0

        def work(numbers: Sequence[int]) -> Iterator[tuple[int, list[Row]]]:
            nonlocal stub
            for at, number in enumerate(numbers):
                began = time.perf_counter()
                rows = stub_rows(batch_items(items, BATCH, number))
                stub += time.perf_counter() - began
                if at in (len(numbers) // 10, len(numbers) - 1):
                    memory["first tenth" if at < len(numbers) - 1 else "last"] = resident()
                yield number, rows

        def run(out: str, shard: Shard | None = None) -> Path:
            return run_batches(POINTING, settings, work, root / out, items=items, shard=shard, progress=False)

        folder = timed("a run: parts, table, summaries", lambda: run("whole"))
        seconds["a run: parts, table, summaries"] -= stub
        timed("the run again: parts are read back, table, summaries", lambda: run("whole"))
        shards = [run(f"shard{at}", Shard(at, SHARDS)) for at in range(1, SHARDS + 1)]
        merged = timed(f"merge of {SHARDS} shards", lambda: merge(shards, root / "merged", [POINTING]))
        for name in ("results.parquet", "summary.json"):
            assert (merged / name).read_bytes() == (folder / name).read_bytes()

        def page() -> Path:
            rows = read_rows(folder)
            extremes(rows, "grad_cam")
            return write_page(root / "report.html", [section(POINTING, folder, rows, [], [])], [])

        timed("the page", page)
        memory["behind the page"] = resident()
    gc.collect()
    return seconds, memory


def print_scale(counts: Sequence[int]) -> None:
    """Seconds of the bookkeeping at each count, and what it is of a realistic item."""
    found = {count: measured(count) for count in counts}
    print(f"word pointing by a stub, {WORDS} items an image of {FILE // 1024} KiB, batches of {BATCH}")
    print("  " + "items".ljust(54) + "".join(f"{count:>12d}" for count in counts))
    for name in found[counts[0]][0]:
        cells = "".join(f"{found[count][0][name]:10.2f} s" for count in counts)
        print(f"  {name:54s}{cells}")
    for name in found[counts[0]][1]:
        cells = "".join(f"{found[count][1][name]:8.0f} MiB" for count in counts)
        print(f"  {'resident, ' + name:54s}{cells}")
    each = {count: sum(seconds.values()) / count for count, (seconds, _) in found.items()}
    print(f"  {'all of it, an item':54s}" + "".join(f"{1000 * each[count]:9.3f} ms" for count in counts))
    shares = "".join(f"{each[count] / (ITEM + each[count]):12.1%}" for count in counts)
    print(f"  {f'of a run at {1000 * ITEM:.0f} ms an item':54s}{shares}")


def print_coco(cpu: float | None, gpu: float | None) -> None:
    """Hours for all captions of COCO's val2014 from images a second with every word explained."""
    print(f"\nCOCO val2014: {IMAGES} images, {CAPTIONS} captions, every caption read with its image")
    machines = (("1 CPU machine", cpu, 1), ("1 GPU", gpu, 1), (f"{GPUS} GPUs", gpu, GPUS))
    for name, rate, count in machines:
        if rate is not None:
            print(f"  {name:14s} at {rate:g} captions/s each: {CAPTIONS / (rate * count) / 3600:8.2f} hours")


def main() -> None:
    parser = argparse.ArgumentParser(description="Bookkeeping of evaluations at scale.")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--cpu", type=float, help="captions a second of one CPU machine, as bench-eval tells")
    parser.add_argument("--gpu", type=float, help="captions a second of one GPU, as measured")
    given = parser.parse_args()
    print_scale(given.counts)
    print_coco(given.cpu, given.gpu)


if __name__ == "__main__":
    main()
