"""Options that the commands of ``vlx evaluate`` share."""

from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


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


def request_of(given: dict[str, Any], shard: Any) -> Any:
    """What a command was asked for, from its parameters by name.

    Raises VlxError for a device that cannot be used.
    """
    from vlx.cli.explaining import check_device, number_or_text
    from vlx.eval.items.options import Options
    from vlx.eval.runs.request import Request

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
