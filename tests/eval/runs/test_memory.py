"""Memory does not grow with the number of items."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

CODE = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.eval import small
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Request, prepare
from vlx.eval.items.models import with_controls
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.runs.batches import local_work, run_batches

world, out = Path(sys.argv[1]), Path(sys.argv[2])
request = Request("small", str(world), threads=1, batch=20)
with repeatable(1):
    ready = prepare(POINTING, request, with_controls(small.captioner()))
    items = [replace(item, id=f"{n} {item.id}") for n in range(40) for item in ready.items][:2000]
    assert len(items) == 2000
    settings = replace(ready.settings, count=len(items))
    inner = local_work(POINTING, ready.models, items, ready.methods, settings)

    def watched(numbers):
        for number, rows in inner(numbers):
            if number in (20, 99):
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                print(number, pages * resource.getpagesize() // 2**20, flush=True)
            yield number, rows

    run_batches(POINTING, settings, watched, out, progress=False)
"""


def test_two_thousand_items_take_the_memory_of_four_hundred(world: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(world), str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=3000,
    )  # fmt: skip
    early, late = (int(line.split()[1]) for line in done.stdout.splitlines()[:2])
    assert late - early < 30, f"{early} MiB after 400 items, {late} MiB after 2,000"
    assert (tmp_path / "out" / "results.parquet").is_file()
