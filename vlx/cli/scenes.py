"""``vlx scenes``: make the built-in world, train its models, score them."""

from pathlib import Path
from typing import Annotated

import typer

scenes = typer.Typer(
    help="Make built-in scenes, train their models, and score them.",
    rich_markup_mode=None,
)


@scenes.command()
def generate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write the scenes.")],
    count: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Scenes of one seed are always the same.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
) -> None:
    """Render scenes with captions, questions, boxes, masks and simulated attention maps."""
    from vlx.scenes.formats import write_world

    print(write_world(out, count, seed, workers=workers))


@scenes.command("lay-out")
def lay_out(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write them.")],
    like: Annotated[str, typer.Option(help="ilsvrc (its devkit), kaggle (ILSVRC's tables there) or voc.")],
    world: Annotated[
        Path | None,
        typer.Option(help="A folder that `vlx scenes generate` wrote; by default the held-out scenes."),
    ] = None,
) -> None:
    """Write scenes as ILSVRC's or PASCAL VOC's data are: boxes in XML, classes, masks."""
    from vlx.scenes import held_out_scenes
    from vlx.scenes.layouts import write_layout

    print(write_layout(world or held_out_scenes(), out, like))


@scenes.command()
def train(
    work: Annotated[Path, typer.Option(help="Where finished stages are kept.")] = Path("runs/train"),
    out: Annotated[Path, typer.Option(help="Where weights and log are written.")] = Path("runs/models"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Train the built-in models from nothing; an interrupted run goes on where it was."""
    import torch

    from vlx.cli.explaining import check_device
    from vlx.scenes.training.stages import train as train_all

    check_device(device)
    torch.set_num_threads(threads)
    train_all(work, out, torch.device(device))


@scenes.command()
def score(
    models: Annotated[
        Path | None,
        typer.Option(help="A folder that `vlx scenes train` wrote; by default the built-in models."),
    ] = None,
) -> None:
    """Score models on held-out scenes: object words, answers, and their controls."""
    from vlx.scenes.score import ASSETS, report

    report(models or ASSETS, print)
