"""``vlx evaluate``: measure explanations over a data set, with their controls, and join what was measured."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

evaluate = typer.Typer(
    help="Measure explanations over a data set, beside their controls.", rich_markup_mode=None
)


class Precision(str, Enum):
    """In which precision the model computes."""

    float32 = "float32"
    float64 = "float64"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Engine(str, Enum):
    """What runs the batches."""

    local = "local"
    ray = "ray"


class Answer(str, Enum):
    """Which answer is explained."""

    predicted = "predicted"
    human = "human"


class Annotators(str, Enum):
    """How several human maps count."""

    each = "each"
    first = "first"
    mean = "mean"


Captioner = Annotated[str, typer.Option("--model", help="A captioner that `vlx models` lists.")]
Vqa = Annotated[str, typer.Option("--model", help="A VQA model that `vlx models` lists.")]
Any_ = Annotated[str, typer.Option("--model", help="Any model that `vlx models` lists.")]
Data = Annotated[str, typer.Option(help="A folder (see vlx data check), or scenes: the built-in world.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="How to explain, by default grad_cam; give it several times to compare."),
]
Out = Annotated[Path | None, typer.Option(help="Where results go, by default vlx-evaluation/TASK.")]
Layer = Annotated[str | None, typer.Option(help="A layer of the CNN, by dotted name or index.")]
Split = Annotated[
    str | None, typer.Option(help="Which of several files of one kind: a part of its name, as in val2014.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="This many images, drawn at random by the seed.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draw, random maps, shuffling and the bootstrap.")]
Batch = Annotated[int, typer.Option(min=1, help="Items in one batch; a crash loses at most one.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")]
InPrecision = Annotated[Precision, typer.Option(help="In which the model computes.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of one worker, by default all.")]
Damaged = Annotated[
    float, typer.Option(min=0, max=1, help="The share of damaged images or records that ends the run.")
]
ShardOf = Annotated[str | None, typer.Option("--shard", metavar="i/n", help="Only the i-th of n parts.")]
OnEngine = Annotated[Engine, typer.Option(help="local, or ray: actors that hold a model each (vlx[ray]).")]
Workers = Annotated[int, typer.Option(min=1, help="Actors of Ray.")]
Captions = Annotated[int | None, typer.Option(min=1, help="Reference captions of an image, by default all.")]
Explained = Annotated[Answer, typer.Option("--answer", help="Explain the model's answer, or people's.")]

Window = Annotated[int, typer.Option(min=1, help="Side of the hidden square, pixels of the input.")]
Stride = Annotated[int, typer.Option(min=1, help="Between windows, pixels of the input.")]


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
    """Captioners: the map of a region's caption inside over outside its box (paper 8.1)."""
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
    """Captioners: does a word's map point at its object (paper 8.1.1)."""
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
    """VQA models: agreement with where people look (VQA-HAT; paper 8.2)."""
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
    """Any model: agreement with what happens when parts are hidden (paper 5.3, 8.2)."""
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
    """Any model: do maps change when weights are shuffled and when something else is asked."""
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
    """Everything the models and the data allow, and one page that sets it beside the paper."""
    given = dict(locals())
    from vlx.evaluation.everything import evaluate_all
    from vlx.evaluation.tasks import EVALUATORS

    names = dict.fromkeys(model or ["scenes/captioner", "scenes/vqa"])
    requests = [_request({**given, "model": name, "layer": None}, None) for name in names]
    print(f"page: {evaluate_all(requests, EVALUATORS, out, occluded=occluded)}")


@evaluate.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of all shards of a run.")
    ],
    out: Annotated[Path, typer.Option(help="Where the joined results go.")],
) -> None:
    """Join the results of shards: the same rows and summary as of a run without shards."""
    from vlx.evaluation.merge import merge as join
    from vlx.evaluation.tasks import EVALUATORS

    _show(join(folders, out, EVALUATORS))


def _show(folder: Path) -> None:
    print((folder / "summary.md").read_text(encoding="utf-8"))
    print(f"results: {folder}")


def _run(task: str, given: dict[str, Any]) -> None:
    """Run one evaluation with the options of its command, and print its table."""
    from vlx.evaluation.launch import launch
    from vlx.evaluation.settings import parse_shard
    from vlx.evaluation.tasks import EVALUATORS

    shard = None if given["shard"] is None else parse_shard(given["shard"])
    out = given["out"] or Path("vlx-evaluation") / task
    if shard is not None:
        out = out / f"shard-{shard.index}-of-{shard.count}"
    evaluator = next(one for one in EVALUATORS if one.name == task)
    _show(launch(evaluator, _request(given, shard), out))


def _request(given: dict[str, Any], shard: Any) -> Any:
    from dataclasses import fields

    from vlx.cli_run import check_device, number_or_text
    from vlx.evaluation.launch import Request
    from vlx.evaluation.options import Options

    check_device(given["device"])
    plain = {name: value.value if isinstance(value, Enum) else value for name, value in given.items()}
    options = Options(**{one.name: plain[one.name] for one in fields(Options) if one.name in plain})
    return Request(
        model=plain["model"],
        data=plain["data"],
        methods=tuple(plain["method"] or ["grad_cam"]),
        layer=None if plain["layer"] is None else number_or_text(plain["layer"]),
        split=plain["split"],
        batch=plain["batch"],
        device=plain["device"],
        precision=plain["precision"],
        threads=plain["threads"],
        damaged=plain["damaged"],
        options=options,
        shard=shard,
        engine=plain["engine"],
        workers=plain["workers"],
    )
