"""``vlx study neurons``: name neurons, and tell decisions in these names."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Order(str, Enum):
    """When neurons without a name are dropped."""

    select = "select"
    filter = "filter"


class Upsampling(str, Enum):
    """How activations are brought to the pixels of labels."""

    anchored = "anchored"
    resized = "resized"


def neurons(
    model: Annotated[str, typer.Option(help="A model that `vlx models` lists.")] = "scenes/classifier",
    data: Annotated[
        str,
        typer.Option(
            help="Whose decisions are told: a folder with masks, Broden's, or scenes: the built-in ones."
        ),
    ] = "scenes",
    masks: Annotated[
        str | None, typer.Option(help="Whose labels name neurons, as --data; by default those of --data.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="Names made elsewhere: NetDissect's LAYER-result.csv or tally.csv."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/neurons"
    ),
    image: Annotated[Path | None, typer.Option(help="A photo: tell one decision about it, and stop.")] = None,
    of: Annotated[
        str | None,
        typer.Option(help="With --image: a class, an answer or a word of the caption; else the likeliest."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="With --image: the question, or a caption instead of the model's own.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Of concepts, such as object; repeatable; by default all.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Persuasive and inhibitive neurons, at most.")] = 5,
    iou: Annotated[
        float, typer.Option(min=0, max=0.999, help="Names are told above this: .05 in the paper.")
    ] = 0.05,
    order: Annotated[
        Order, typer.Option(help="Whether neurons without a name are dropped after or before selecting.")
    ] = Order.select,
    weighted: Annotated[bool, typer.Option(help="Weight importance by mean activation.")] = False,
    upsampling: Annotated[
        Upsampling, typer.Option(help="From where the places look, or a plain resize as in NetDissect-Lite.")
    ] = Upsampling.anchored,
    share: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Of activations, those above a threshold.")
    ] = 0.005,
    least_images: Annotated[int, typer.Option(min=1, help="Concepts of fewer images name nothing.")] = 1,
    layer: Annotated[str | None, typer.Option(help="By default the model's own.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data, as val2017.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="So many images, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of draws and shuffled weights.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Textual explanations (paper 7, F): which concepts persuade and inhibit, and is that true?"""
    from vlx.cli.explaining import check_device, number_or_text
    from vlx.errors import VlxError
    from vlx.studies.found import markdown
    from vlx.studies.neurons.named import Neurons
    from vlx.studies.neurons.photo import neurons_photo
    from vlx.studies.neurons.study import neurons_study

    check_device(device)
    if image is None and (of is not None or text is not None):
        raise VlxError("--of and --text tell what is asked of one photo: give it with --image")
    settings = Neurons(
        model=model, data=data, masks=masks, names=names, categories=tuple(category or ()),
        layer=None if layer is None else number_or_text(layer), split=split, limit=limit,
        least_images=least_images, share=share, anchored=upsampling is Upsampling.anchored, count=count,
        iou=iou, order=order.value, weighted=weighted, seed=seed, device=device, threads=threads,
    )  # fmt: skip
    if image is not None:
        found, folder = neurons_photo(settings, image, out, of=of, text=text, progress=_told)
    else:
        found, folder = neurons_study(settings, out, _told), out
    print(f"\n{markdown(found)}\npage: {folder / 'report.html'}")


def _told(line: str) -> None:
    print(line, flush=True)
