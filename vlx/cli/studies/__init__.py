"""``vlx study``: the studies of the paper, one file a command."""

import typer

from vlx.cli.studies.neurons import neurons
from vlx.cli.studies.people import people

study = typer.Typer(
    help="Studies of the paper: a question, an answer in numbers with controls, and a page.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

study.command()(neurons)
study.add_typer(people, name="people")
