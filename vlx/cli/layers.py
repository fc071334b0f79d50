"""``vlx layers``: one target at every layer of a model, as a table and a figure."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.cli.arguments import Device, Out
from vlx.cli.caption import captions
from vlx.cli.classify import classifying
from vlx.cli.explaining import check_device, columns, complain, finish, number_or_text
from vlx.cli.vqa import answering
from vlx.errors import Doubt, VlxError
from vlx.explanation import Explanation
from vlx.images.files import open_image, write_whole
from vlx.methods.values import Method, method_named


def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name that `vlx models` lists.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    label: Annotated[str | None, typer.Option(help="A class, instead of the likeliest.")] = None,
    question: Annotated[str | None, typer.Option(help="What to ask a model that answers.")] = None,
    answer: Annotated[str | None, typer.Option(help="An answer, instead of the likeliest.")] = None,
    caption: Annotated[str | None, typer.Option(help="A caption, instead of the model's own.")] = None,
    word: Annotated[
        str | None, typer.Option(help="A word of the caption, or its position from 0, instead of all.")
    ] = None,
    method: Annotated[str, typer.Option(help="How to explain.")] = "grad_cam",
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Only these layers, in this order, by dotted name or index; repeatable."),
    ] = None,
    out: Out = None,
    device: Device = "cpu",
) -> None:
    """Explain one class, answer, word or caption at every layer of a model: a row each, and a figure."""
    from vlx.load import load

    if device != "auto":
        check_device(device)
    picture, how = open_image(image), method_named(method)
    last = load(model, device=device)
    if not callable(getattr(last, "at", None)):
        raise VlxError(f"{model} is explained at one layer alone: its adapter has no at(layer)")
    if captions(last) and question is None and label is None:
        asked: tuple[str, Any, Any] = "caption", _said(last, picture, caption), word
    elif answering(last):
        if question is None:
            raise VlxError(f"{model} answers questions: give one, as in --question 'what is it ?'")
        asked = "answer", question, answer
    elif classifying(last):
        asked = "label", None, label
    else:
        raise VlxError(f"{model} neither writes captions, nor answers, nor classifies")
    names = [number_or_text(one) for one in layer or ()] or _stages(last, picture, asked)
    found, refused = _at_each(last, picture, names, asked, how)
    _report(found, refused, out, image)
    finish(int(not found))


def _said(model: Any, picture: Image.Image, given: str | None) -> str:
    from vlx.api import written

    return written(model, [picture])[0] if given is None else given


def _stages(model: Any, picture: Image.Image, asked: tuple[str, Any, Any]) -> list[str | int]:
    """The layers of a model, from its pixels on."""
    from vlx.passes.stages import stages

    kind, text, _ = asked
    return list(stages(model.read([picture]) if kind == "label" else model.read([picture], [text])))


def _at_each(
    model: Any, picture: Image.Image, names: list[str | int], asked: tuple[str, Any, Any], method: Method
) -> tuple[list[Explanation], list[tuple[str, str]]]:
    """The same target at each layer, and the layers at which there is no map, with the reason."""
    chosen = asked
    found, refused = list[Explanation](), list[tuple[str, str]]()
    for name in reversed(names):  # the last says what is likeliest
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Doubt)  # lower layers are what is asked for
                one = _explained(model.at(name), picture, chosen, method)
        except VlxError as error:
            refused.append((str(name), str(error)))
            continue
        if chosen[2] is None and chosen[0] != "caption":
            chosen = (*chosen[:2], one.targets[0].name)
        found.append(one)
    if not found and refused:
        raise VlxError(refused[0][1])
    return found[::-1], refused[::-1]


def _explained(model: Any, picture: Image.Image, asked: tuple[str, Any, Any], method: Method) -> Explanation:
    from vlx.api import explain_answer, explain_caption, explain_label
    from vlx.passes.targets import caption, word

    kind, text, which = asked
    if kind == "caption":
        target = caption() if which is None else word(number_or_text(which))
        return explain_caption(model, picture, text, targets=[target], method=method)
    if kind == "answer":
        return explain_answer(model, picture, text, None if which is None else [which], method=method)
    return explain_label(model, picture, None if which is None else [which], method=method)


def _report(found: list[Explanation], refused: list[tuple[str, str]], out: Path | None, image: Path) -> None:
    """Print a row for each layer, and draw them."""
    from vlx.show.figures import layer_figure

    first = found[-1].targets[0]
    print(f"{image}: {first.name}, {found[-1].provenance.method} of {found[-1].provenance.model}")
    like_last, like_next = _alike(found)
    rows = [("layer", "grid", "maximum", "like the last", "like the one above")]
    for at, one in enumerate(found):
        plane = one.grid_maps[0]
        grid = f"{plane.shape[0]} x {plane.shape[1]}"
        rows.append((one.provenance.layer, grid, f"{plane.max():.3g}", like_last[at], like_next[at]))
    print(columns(rows, indent="  "))
    for name, why in refused:
        complain(f"{name}: {why}")
    if out is not None:
        import io

        buffer = io.BytesIO()
        layer_figure(found, [f"r {one}" if one else "" for one in like_last]).save(buffer, "PNG")
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / f"{image.stem}_layers.png", buffer.getvalue())


def _alike(found: list[Explanation]) -> tuple[list[str], list[str]]:
    """Spearman's correlation of each map with the last, and with the one above it, on the image."""
    from vlx.eval.measures.correlation import GRID, correlation
    from vlx.eval.measures.maps import area_average

    planes = [area_average(one.map(0), GRID) for one in found]

    def told(one: Any, other: Any) -> str:
        value = correlation({"flat": one, "flat other": other}).value
        return "" if value is None else f"{value:.2f}"

    above = [*planes[1:], None]
    return (
        [told(plane, planes[-1]) for plane in planes],
        ["" if other is None else told(plane, other) for plane, other in zip(planes, above, strict=True)],
    )
