"""The options of the commands of ``vlx evaluate``, each declared once.

Typer reads the options of a command from the signature of its function: `with_options` gives it one.
"""

from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from inspect import Parameter, Signature
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


class Crop(str, Enum):
    """How an image is brought to the network."""

    model = "model"
    squash = "squash"
    centre = "centre"
    ten = "ten"


def option(name: str, type: Any, default: Any, **told: Any) -> Parameter:
    """An option of a command; ``told`` is what `typer.Option` is told of it."""
    annotation = Annotated[type, typer.Option(**told)]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def with_options(command: Callable[..., None], *options: Parameter) -> Callable[..., None]:
    """The command with these options, in this order; it is given their values by name."""
    vars(command)["__signature__"] = Signature(options)
    return command


def model_option(default: str, which: str) -> Parameter:
    """The model, with the one that is taken where none is named."""
    return option("model", str, default, help=f"{which} that `vlx models` lists.")


DATA = option(
    "data", str, "scenes",
    help="A folder (see vlx data check), or scenes: the built-in world; scenes/ilsvrc, scenes/kaggle and "
    "scenes/voc are laid out as those data are.",
)  # fmt: skip
METHOD = option(
    "method", list[str] | None, None,
    help="How to explain, by default grad_cam; give it several times to compare.",
)  # fmt: skip
OUT = option("out", Path | None, None, help="Where results go, by default vlx-evaluation/TASK.")
LAYER = option(
    "layer",
    str | None,
    None,
    help="A layer of the CNN, by name or index, or last/2 with twice the rows of the last.",
)
SPLIT = option(
    "split", str | None, None,
    help="Which of several files: a part of its name or folder, as val2014; or Karpathy's split.",
)  # fmt: skip

CAPTIONS = option("captions", int | None, None, min=1, help="Reference captions of an image, by default all.")
TOLERANCE = option(
    "tolerance", float, 0.0, min=0, help="In pixels of the original image; 0 asks for a pixel of the object."
)
WRONG = option(
    "wrong", int, 3, min=0,
    help="Words of absent categories explained beside each word, on the same truth; 0 for none.",
)  # fmt: skip
ANNOTATORS = option(
    "annotators",
    Annotators,
    Annotators.each,
    help="How several human maps count (simulated in built-in scenes).",
)
ANSWER = option(
    "answer",
    Answer,
    Answer.predicted,
    help="Explain the model's answer, or people's (simulated in built-in scenes).",
)
WINDOW = option(
    "window", int | None, None, min=1,
    help="Side of the hidden square, pixels of the input; by default 35, less on inputs below 224.",
)  # fmt: skip
STRIDE = option(
    "stride", int | None, None, min=1, help="Between windows; by default 8, less on inputs below 224."
)
FILL = option(
    "fill", str | None, None,
    help="What the square is filled with: mean, blur, zero or a colour such as '#808080'; by default the "
    "mean colour of the model's data, where the model subtracts that, else of the image.",
)  # fmt: skip
STEPS = option("steps", int, 20, min=1, help="In how many steps the pixels change.")

THRESHOLD = option(
    "threshold", float, 0.15, min=0.001, max=1, help="The share of a map's maximum it is cut at."
)
CONNECTIVITY = option(
    "connectivity", int, 8, help="8 joins pixels by their corners too, 4 by their sides alone."
)
RADIUS = option(
    "radius", float, 15.0, min=0,
    help="How far from its object a maximum is a hit, in pixels of the original image.",
)  # fmt: skip
CROP = option(
    "crop", Crop, Crop.model,
    help="How images reach the network: as the model prepares them, squashed, their centre, or ten crops.",
)  # fmt: skip
CLASSES = option(
    "classes", str | None, None,
    help="A file of lines 'category: class, class': which classes of the model the data's categories are.",
)  # fmt: skip

FOREGROUND = option(
    "foreground", float, 0.2, min=0, max=0.999, help="A cell above this share of its map's maximum is a seed."
)
BACKGROUND = option(
    "background", float, 0.1, min=0, max=0.999,
    help="This share of cells, those of the lowest saliency, are seeds of the background.",
)  # fmt: skip
SALIENCY = option(
    "saliency", str | None, None,
    help="Where that saliency is taken, by name, index or last/2; by default at the layer explained.",
)  # fmt: skip

LIMIT = option("limit", int | None, None, min=1, help="This many images, drawn at random by the seed.")
SEED = option("seed", int, 0, min=0, help="Of the draw, random maps, shuffling and the bootstrap.")
BATCH = option("batch", int, 16, min=1, help="Items in one batch; a crash loses at most one.")
DEVICE = option("device", str, "cpu", help="cpu, cuda, cuda:1, mps.")
PRECISION = option("precision", Precision, Precision.float32, help="In which the model computes.")
THREADS = option("threads", int | None, None, min=1, help="CPU threads of one worker, by default all.")
DAMAGED = option(
    "damaged", float, 0.05, min=0, max=1, help="The share of damaged images or records that ends the run."
)
SHARD = option("shard", str | None, None, metavar="i/n", help="Only the i-th of n parts.")
ENGINE = option(
    "engine", Engine, Engine.local, help="local, or ray: actors that hold a model each (vlx[ray])."
)
WORKERS = option("workers", int, 1, min=1, help="Actors of Ray.")

WHAT = (DATA, METHOD, OUT, LAYER, SPLIT)
"""What every evaluation measures, and where its results go."""
HOW = (LIMIT, SEED, BATCH, DEVICE, PRECISION, THREADS, DAMAGED, SHARD, ENGINE, WORKERS)
"""How every evaluation is carried out."""


def request_of(given: dict[str, Any], shard: Any) -> Any:
    """What a command was asked for, from its parameters by name.

    Raises VlxError for a device that cannot be used.
    """
    from vlx.cli.explaining import check_device, number_or_text
    from vlx.errors import VlxError
    from vlx.eval.items.options import Options
    from vlx.eval.runs.request import Request
    from vlx.methods.occlusion.fills import checked_fill

    checked_fill(given.get("fill"))
    check_device(given["device"])
    plain = {name: value.value if isinstance(value, Enum) else value for name, value in given.items()}
    if plain.get("connectivity", 8) not in (4, 8):
        raise VlxError(f"--connectivity {plain['connectivity']}: give 4 (by sides) or 8 (by corners too)")
    layer = plain.get("layer")
    options = Options(**{one.name: plain[one.name] for one in fields(Options) if one.name in plain})
    return Request(
        model=plain["model"],
        data=plain["data"],
        methods=tuple(plain.get("method") or ["grad_cam"]),
        layer=None if layer is None else number_or_text(layer),
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
