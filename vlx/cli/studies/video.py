"""``vlx study video``: do maps of a network that reads clips lie where, and when, something happens?"""

from pathlib import Path
from typing import Annotated

import typer


def video(
    model: Annotated[
        str,
        typer.Option(
            help="events, the network that is shipped, or python:module:function, which returns a "
            "network that reads clips, and a list of vlx.studies.video.Item."
        ),
    ] = "events",
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/video"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Clips.")] = 60,
    method: Annotated[
        list[str] | None, typer.Option(help="Repeatable; by default grad_cam, hires_cam and layer_cam.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="A layer of the network, by its name.")] = None,
    shown: Annotated[int, typer.Option(min=0, help="Clips that are drawn.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the clips.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """A network that reads clips: do its maps point at what happens, in place and in time?"""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.found import markdown
    from vlx.studies.video.study import VideoSettings, video_study

    check_device(device)
    methods = tuple(method or VideoSettings.methods)
    settings = VideoSettings(model, limit, methods, layer, shown, seed, device)
    with repeatable(threads):
        found = video_study(settings, out, lambda line: print(line, flush=True))
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")
