"""``vlx check``: whether an adapter reads its model rightly."""

from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.cli.arguments import Device
from vlx.cli.explaining import check_device, columns, complain, finish, number_or_text
from vlx.images.files import open_image


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name that `vlx models` lists.")],
    image: Annotated[
        Path | None, typer.Option(help="What the model is shown; by default a picture of coloured squares.")
    ] = None,
    caption: Annotated[
        str | None, typer.Option(help="A caption of words that the model knows, instead of its own.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="What to ask the model, where it takes a prompt.")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A layer, by name or index, or last/2; may be given several times."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Check that a model is read rightly: a line each with what was measured; status 1 if any fails."""
    from vlx.load import load

    if device != "auto":
        check_device(device)
    picture = _squares() if image is None else open_image(image)
    chosen = [number_or_text(one) for one in dict.fromkeys(layer or ())]
    first = load(model, layer=chosen[0] if chosen else None, device=device)
    failed = 0
    for one in (first, *(first.at(other) for other in chosen[1:])):
        failed += _checked(one, picture, caption, prompt)
    if failed:
        complain(f"{failed} check{'s' * (failed > 1)} failed")
    finish(failed)


def _checked(model: Any, picture: Image.Image, caption: str | None, prompt: str | None) -> int:
    """Print the checks of a model at one layer; how many failed."""
    from vlx.check.model import check_model

    found = check_model(model, picture, caption=caption, prompt=prompt)
    where = getattr(model, "layer", None)
    print(getattr(model, "name", type(model).__name__) + (f", layer {where}" if where is not None else ""))
    print(columns([(one.name, one.outcome, one.told) for one in found], indent="  "))
    return sum(one.outcome == "fail" for one in found)


def _squares() -> Image.Image:
    """A picture that is not square, of coloured squares."""
    from itertools import product

    picture = Image.new("RGB", (320, 240))
    for row, col in product(range(6), range(8)):
        shade = (row * 97 + col * 61) % 256, (row * 41 + col * 151 + 80) % 256, (row * 193 + col * 29) % 256
        picture.paste(shade, (col * 40, row * 40, col * 40 + 40, row * 40 + 40))
    return picture
