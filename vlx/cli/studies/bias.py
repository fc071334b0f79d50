"""``vlx study bias``: what a network goes by, of data whose bias is known and of one's own."""

from pathlib import Path
from typing import Annotated

import typer


def bias(
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Biases the scenes: ground, colour, neighbour; repeatable, all by default."),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="How much of a class has the attribute that goes with it, .5 to 1.")
    ] = 0.95,
    images: Annotated[int, typer.Option(help="Scenes of each class to learn from.")] = 200,
    training_seeds: Annotated[int, typer.Option(min=1, help="Networks of each kind that are trained.")] = 5,
    model: Annotated[
        str | None, typer.Option(help="A classifier of your own instead of networks that are trained here.")
    ] = None,
    data: Annotated[str, typer.Option(help="With --model: a folder with masks, or scenes.")] = "scenes",
    of: Annotated[
        list[str] | None, typer.Option(help="With --model: the class that is looked into; repeatable.")
    ] = None,
    method: Annotated[str, typer.Option(help="With --model: the method of the maps.")] = "grad_cam",
    layer: Annotated[str | None, typer.Option(help="With --model: the layer of the maps.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data, as val.")] = None,
    out: Annotated[Path, typer.Option(help="Where results go; a study that stopped goes on.")] = Path(
        "vlx-study/bias"
    ),
    limit: Annotated[
        int | None, typer.Option(min=1, help="This many scenes to test on, or images of each class, at most.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of scenes, weights and order.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Bias of data (6.3): what does a network go by, and does mending its data help?"""
    from vlx.cli.explaining import check_device
    from vlx.errors import VlxError
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.bias.own import OwnSettings, own_study
    from vlx.studies.bias.study import BiasSettings, bias_study
    from vlx.studies.bias.world import PLANTED
    from vlx.studies.found import markdown

    check_device(device)
    if model is None and (of or data != "scenes"):
        raise VlxError("--of and --data look into a classifier of your own: give it with --model")
    with repeatable(threads):
        if model is not None:
            asked = OwnSettings(model, data, tuple(of or ()), method, layer, split, limit, seed, device)
            found = own_study(asked, out)
        else:
            chosen = tuple(dict.fromkeys(attribute or PLANTED))
            most = 200 if limit is None else max(8, min(limit, 200) // 4 * 4)
            found = bias_study(
                BiasSettings(chosen, strength, images, training_seeds, most, min(96, most), seed, device),
                out,
            )
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")
