"""Runs of word pointing with small models, and what they leave in a folder."""

from pathlib import Path
from typing import Any

from tests.eval import small
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.request import Request

RESULTS = ("results.parquet", "summary.json", "summary.md", "summary.tex")


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every result."""
    return {name: (folder / name).read_bytes() for name in RESULTS}


def parts(folder: Path) -> list[str]:
    """The names of the finished batches."""
    return sorted(path.name for path in (folder / "parts").glob("*.json"))


def request(world: Path, **more: Any) -> Request:
    """Batches of 8 items on one thread, seed 3."""
    options = Options(seed=3)
    return Request(
        "scenes/captioner", str(world), batch=8, threads=1, options=options, progress=False, **more
    )


def load_small(request: Request) -> Models:
    """In place of `load_models`, also in other processes."""
    return with_controls(small.load(request.model), request.options.seed)
