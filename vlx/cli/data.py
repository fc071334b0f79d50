"""``vlx data``: what a data folder holds."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(help="Look at data folders.", rich_markup_mode=None)


@data.callback()
def root() -> None:
    """Look at data folders."""


@data.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with files of public data sets.")],
) -> None:
    """Say which files evaluations can use, which are missing or not read, and who publishes them."""
    from vlx.errors import VlxError
    from vlx.eval.data.folder import check as lines
    from vlx.eval.data.folder import look
    from vlx.eval.data.published import SOURCES

    found = look(folder)
    print("\n".join(lines(found)))
    if not any(map(found.has, SOURCES)):
        raise VlxError(f"{folder} holds no file that an evaluation reads")
