"""Arguments and options that the commands which explain images share."""

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
RunnersUp = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Explain each word, answer or class against so many of what comes next to it, such as 3.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps; auto spreads hf: models.")]
