"""``vlx study policy``: why does an agent act so?"""

from pathlib import Path
from typing import Annotated

import typer


def policy(
    model: Annotated[
        str,
        typer.Option(
            help="orchard, the agent that is shipped, or python:module:function, which returns a network "
            "whose first output are logits of actions, and a function that makes its game (as "
            "Gymnasium's)."
        ),
    ] = "orchard",
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/policy"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Episodes.")] = 24,
    moments: Annotated[int, typer.Option(min=1, help="Of each episode that are explained.")] = 5,
    method: Annotated[
        list[str] | None, typer.Option(help="Repeatable; by default grad_cam, hires_cam and layer_cam.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="A layer of the network, by its name.")] = None,
    window: Annotated[int, typer.Option(min=1, help="Side of the squares that are hidden, in pixels.")] = 12,
    seed: Annotated[int, typer.Option(help="Of the episodes.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """A policy network of reinforcement learning: do maps of its actions show what they rest on?"""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.found import markdown
    from vlx.studies.policy.study import PolicySettings, policy_study

    check_device(device)
    methods = tuple(method or PolicySettings.methods)
    settings = PolicySettings(model, limit, moments, methods, layer, window, seed, device)
    with repeatable(threads):
        found = policy_study(settings, out, lambda line: print(line, flush=True))
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")
