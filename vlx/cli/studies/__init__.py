"""``vlx study``: the studies of the paper, one file a command."""

import typer

from vlx.cli.studies.adversarial import adversarial
from vlx.cli.studies.bias import bias
from vlx.cli.studies.depth import depth
from vlx.cli.studies.failures import failures
from vlx.cli.studies.neurons import neurons
from vlx.cli.studies.people import people
from vlx.cli.studies.policy import policy
from vlx.cli.studies.video import video

study = typer.Typer(
    help="Studies of the paper: a question, an answer in numbers with controls, and a page.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

study.add_typer(people, name="people")
for command in (adversarial, bias, depth, failures, neurons, policy, video):
    study.command()(command)
