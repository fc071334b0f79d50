"""``vlx demo``: explain built-in scenes."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    image: Annotated[Path | None, typer.Option(help="Explain this photo as well.")] = None,
    out: Annotated[Path, typer.Option(help="Where to write the demonstration.")] = Path("vlx-demo"),
) -> None:
    """Explain a built-in scene with the built-in models; needs no download."""
    from vlx.cli.demonstration import run_demo

    run_demo(out, image)
