"""``vlx evaluate``: measure explanations over a data set, with their controls, and join what was measured."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vlx.cli.options import (
    Annotators,
    Answer,
    Any_,
    Batch,
    Captioner,
    Captions,
    Damaged,
    Data,
    Device,
    Engine,
    Explained,
    InPrecision,
    Layer,
    Limit,
    Methods,
    OnEngine,
    Out,
    Precision,
    Seed,
    ShardOf,
    Split,
    Stride,
    Threads,
    Vqa,
    Window,
    Workers,
    request_of,
)

evaluate = typer.Typer(
    help="Measure explanations over a data set, beside their controls.", rich_markup_mode=None
)


@evaluate.command()
def boxes(
    model: Captioner = "scenes/captioner",
    data: Data = "scenes",
    method: Methods = None,
    out: Out = None,
    layer: Layer = None,
    split: Split = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    shard: ShardOf = None,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """Captioners: a map inside over outside a region's box."""
    _run("boxes", dict(locals()))


@evaluate.command()
def pointing(
    model: Captioner = "scenes/captioner",
    data: Data = "scenes",
    method: Methods = None,
    out: Out = None,
    layer: Layer = None,
    split: Split = None,
    captions: Captions = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="In pixels of the original image; 0 asks for a pixel of the object.")
    ] = 0.0,
    limit: Limit = None,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    shard: ShardOf = None,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """Captioners: does a word's map point at its object?"""
    _run("pointing", dict(locals()))


@evaluate.command()
def attention(
    model: Vqa = "scenes/vqa",
    data: Data = "scenes",
    method: Methods = None,
    out: Out = None,
    layer: Layer = None,
    split: Split = None,
    annotators: Annotated[Annotators, typer.Option(help="How several human maps count.")] = Annotators.each,
    answer: Explained = Answer.predicted,
    limit: Limit = None,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    shard: ShardOf = None,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """VQA models: agreement with where people look."""
    _run("attention", dict(locals()))


@evaluate.command()
def occlusion(
    model: Any_ = "scenes/vqa",
    data: Data = "scenes",
    method: Methods = None,
    out: Out = None,
    layer: Layer = None,
    split: Split = None,
    captions: Captions = None,
    answer: Explained = Answer.predicted,
    window: Window = 35,
    stride: Stride = 8,
    limit: Limit = None,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    shard: ShardOf = None,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """Any model: agreement with hiding parts of the image."""
    _run("occlusion", dict(locals()))


@evaluate.command()
def sanity(
    model: Any_ = "scenes/captioner",
    data: Data = "scenes",
    method: Methods = None,
    out: Out = None,
    layer: Layer = None,
    split: Split = None,
    captions: Captions = None,
    answer: Explained = Answer.predicted,
    limit: Limit = None,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    shard: ShardOf = None,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """Any model: do maps change with weights and questions?"""
    _run("sanity", dict(locals()))


@evaluate.command(name="all")
def everything(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model; several may be given. By default both built-in ones."),
    ] = None,
    data: Data = "scenes",
    method: Methods = None,
    out: Annotated[Path, typer.Option(help="Where results and report.html go.")] = Path("vlx-evaluation"),
    split: Split = None,
    captions: Captions = None,
    limit: Limit = None,
    occluded: Annotated[
        int, typer.Option(min=1, help="Images for occlusion, which takes hundreds of runs each.")
    ] = 20,
    window: Window = 35,
    stride: Stride = 8,
    seed: Seed = 0,
    batch: Batch = 16,
    device: Device = "cpu",
    precision: InPrecision = Precision.float32,
    threads: Threads = None,
    damaged: Damaged = 0.05,
    engine: OnEngine = Engine.local,
    workers: Workers = 1,
) -> None:
    """Everything that models and data allow, and one page."""
    given = dict(locals())
    from vlx.eval.page.evaluate_all import evaluate_all
    from vlx.eval.tasks.all import TASKS

    names = dict.fromkeys(model or ["scenes/captioner", "scenes/vqa"])
    requests = [request_of({**given, "model": name, "layer": None}, None) for name in names]
    print(f"page: {evaluate_all(requests, TASKS, out, occluded=occluded)}")


@evaluate.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of all shards of a run.")
    ],
    out: Annotated[Path, typer.Option(help="Where the joined results go.")],
) -> None:
    """Join the results of shards."""
    from vlx.eval.runs.merge import merge as join
    from vlx.eval.tasks.all import TASKS

    _show(join(folders, out, TASKS))


def _show(folder: Path) -> None:
    print((folder / "summary.md").read_text(encoding="utf-8"))
    print(f"results: {folder}")


def _run(name: str, given: dict[str, Any]) -> None:
    """Run one evaluation with the options of its command, and print its table."""
    from vlx.eval.runs import evaluate as runs
    from vlx.eval.runs.settings import parse_shard
    from vlx.eval.tasks.all import TASKS

    shard = None if given["shard"] is None else parse_shard(given["shard"])
    out = given["out"] or Path("vlx-evaluation") / name
    if shard is not None:
        out = out / f"shard-{shard.index}-of-{shard.count}"
    task = next(one for one in TASKS if one.name == name)
    _show(runs.evaluate(task, request_of(given, shard), out))
