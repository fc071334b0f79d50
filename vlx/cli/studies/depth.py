"""``vlx study depth``: maps at every layer, measured or drawn, and several models side by side."""

from pathlib import Path
from typing import Annotated

import typer


def depth(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A classifier by name, repeatable; with --image any model, with several side by side."
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(help="A folder with photos and masks, or scenes, which come with the package.")
    ] = "scenes",
    image: Annotated[
        Path | None, typer.Option(help="One photo instead of data: draws it at all layers.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="With --image: a class; repeatable.")] = None,
    question: Annotated[
        str | None, typer.Option(help="With --image: what to ask models that answer.")
    ] = None,
    answer: Annotated[list[str] | None, typer.Option(help="With --image: an answer; repeatable.")] = None,
    caption: Annotated[str | None, typer.Option(help="With --image: a caption, for captioners.")] = None,
    word: Annotated[list[str] | None, typer.Option(help="With --image: a word of it; repeatable.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="How to explain: by default grad_cam, of data beside hires_cam; repeatable for data."
        ),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Only these layers, in this order; repeatable.")
    ] = None,
    radius: Annotated[
        float, typer.Option(min=0, help="Pointing: how many pixels beside its object a maximum may lie.")
    ] = 0.0,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/depth"
    ),
    limit: Annotated[int, typer.Option(min=1, help="This many images, at most.")] = 60,
    pictures: Annotated[int, typer.Option(min=0, help="Images of data to draw.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the images and of wrong classes.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Depth (paper B.1, G): where the maps of a class lie from the first layer to the last."""
    from vlx.cli.explaining import check_device, number_or_text
    from vlx.errors import VlxError
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.depth.photo import DepthPhotoSettings, depth_photo_study
    from vlx.studies.depth.study import DepthSettings, depth_study
    from vlx.studies.found import markdown

    check_device(device)
    names = tuple([*(label or ()), *(answer or ()), *(word or ())])
    layers, models = tuple(number_or_text(one) for one in layer or ()), tuple(model or ())
    if image is None and (names or question or caption):
        raise VlxError(
            "--label, --question, --answer, --caption and --word belong to one photo: give --image"
        )
    with repeatable(threads):
        if image is None:
            usual = DepthSettings()
            chosen = DepthSettings(
                models or usual.models, data, tuple(method or usual.methods), layers, limit, radius, seed,
                device, pictures,
            )  # fmt: skip
            found = depth_study(chosen, out, lambda line: print(line, flush=True))
        else:
            if len(method or ()) > 1:
                raise VlxError("one photo takes one --method")
            asked = DepthPhotoSettings(
                image, models, names, question, caption, (method or ["grad_cam"])[0], layers, device
            )
            found = depth_photo_study(asked, out)
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")
