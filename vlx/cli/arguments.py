"""Arguments and options that the commands which explain images share."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files, or folders of them.")]
Model = Annotated[str, typer.Option(help="A name that `vlx models` lists.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="How to explain, by default grad_cam; give it several times to compare methods.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A name that `vlx models` lists; several are compared."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        help="A layer, by name or index, or last/2 with twice the rows of the last; several are compared.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="A folder for figures (PNG), maps (NPZ), facts (JSON) and report.html."),
]


class Scaling(str, Enum):
    """Whether words share a colour scale in figures, or each has its own."""

    common = "common"
    own = "own"


Scale = Annotated[
    Scaling, typer.Option(help="Figures: one colour scale for all words, or one of its own for each.")
]
RunnersUp = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Explain each word, answer or class against so many of what comes next to it, such as 3.",
    ),
]
Evidence = Annotated[
    bool,
    typer.Option(
        "--evidence/--no-evidence",
        help="Say how much of each score comes from the image: nats of a word, a difference of logits of an "
        "answer or class. It takes one more run of the part above the layer for each image and layer; "
        "methods along a path know it anyway.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps; auto spreads hf: models.")]
