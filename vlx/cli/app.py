"""The command line: ``vlx caption``, ``vqa``, ``classify``, ``check``, ``evaluate``, ``data`` and more.

Each command has a file of its own beside this one. What is heavy is imported inside the commands.
"""

import io
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from vlx.cli.caption import caption
from vlx.cli.check import check
from vlx.cli.classify import classify
from vlx.cli.data import data
from vlx.cli.demo import demo
from vlx.cli.evaluate import evaluate
from vlx.cli.explaining import complain
from vlx.cli.inspect import inspect
from vlx.cli.layers import layers
from vlx.cli.models import models
from vlx.cli.own_code import NAMED, own_line
from vlx.cli.plan import plan
from vlx.cli.reproduce import reproduce
from vlx.cli.scenes import scenes
from vlx.cli.studies import study
from vlx.cli.train import train
from vlx.cli.vqa import vqa
from vlx.errors import Doubt, Notice, VlxError

app = typer.Typer(
    name="vlx",
    help="See which pixels make a model say a word, give an answer or choose a class.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(scenes, name="scenes")
app.add_typer(evaluate, name="evaluate")
app.add_typer(data, name="data")
app.add_typer(train, name="train")
app.add_typer(study, name="study")
for command in (caption, vqa, classify, layers, check, demo, models, inspect, plan, reproduce):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 if all went well, 1 for an error, 2 for wrong usage.

    Every error that a person can act on is one line on standard error that begins with ``vlx:``, and so is
    an error inside a model of the user's own.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names and captions may hold anything
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.simplefilter("once", Doubt)
        warnings.showwarning = partial(_shown, warnings.showwarning)
        status = _status(arguments)
    sys.exit(status)


def _status(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    NAMED.set(any("python:" in part for part in given))
    try:
        status = app(given or ["--help"], prog_name="vlx", standalone_mode=False)
    except VlxError as error:
        return complain(error)
    except OSError as error:
        return complain(own_line(error) or f"{error.filename or 'a file'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except Exception as error:
        # Errors of usage; which class they are depends on the version of typer.
        message = getattr(error, "format_message", None)
        if message is not None:
            return complain(f"{message()} (see vlx --help)", 2)
        own = own_line(error)
        if own is None:
            raise
        return complain(own)
    if status == 130:
        complain("interrupted")
    return status if isinstance(status, int) else 0


def _shown(
    others: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any, **more: Any
) -> None:
    """Print a warning: of vlx about what it took or doubts, as one line."""
    if issubclass(category, Notice | Doubt):
        complain(message)
    else:
        others(message, category, *where, **more)


def _version(wanted: bool) -> bool:
    if wanted:
        from vlx import __version__

        print(f"vlx {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """See which pixels make a model say a word, give an answer or choose a class."""
