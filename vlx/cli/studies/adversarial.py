"""``vlx study adversarial``: maps of what is there, when the model is driven to what is not."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")]


def adversarial(
    model: Annotated[
        str, typer.Option(help="A classifier, a VQA model or a captioner, by name.")
    ] = "scenes/classifier",
    data: Annotated[
        str, typer.Option(help="A folder with photos and masks, or scenes, which come with the package.")
    ] = "scenes",
    target: Annotated[
        str | None, typer.Option(help="What to drive to: a class, an answer or a word; by default drawn.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="One photo instead of data: draws the paper's figure of it.")
    ] = None,
    of: Annotated[
        list[str] | None,
        typer.Option(help="With --image: what is there, to draw its maps, else the likeliest; repeatable."),
    ] = None,
    question: Annotated[str | None, typer.Option(help="With --image: what to ask a VQA model.")] = None,
    caption: Annotated[str | None, typer.Option(help="With --image: a caption, instead of its own.")] = None,
    word: Annotated[
        str | None, typer.Option(help="With --image: the word of the caption to change, or its position.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="How to explain, by default grad_cam; repeatable for data.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="By dotted name or index.")] = None,
    size: Annotated[float, typer.Option(help="The largest change of a colour, in 1/255.")] = 8.0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of an attack, at most.")] = 100,
    eight_bits: Annotated[
        bool,
        typer.Option("--eight-bits", help="Attack until the colours of a file, of 8 bits, reach it too."),
    ] = False,
    radius: Annotated[
        float, typer.Option(min=0, help="Pointing: how many pixels beside its object a maximum may lie.")
    ] = 0.0,
    out: Out = Path("vlx-study/adversarial"),
    limit: Annotated[int, typer.Option(min=1, help="This many images, at most.")] = 100,
    pictures: Annotated[int, typer.Option(min=0, help="Examples to draw.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the images, the targets and the attacks.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Adversarial noise (paper 6.2): do maps still point at what is there?"""
    from vlx.cli.explaining import check_device, number_or_text
    from vlx.errors import VlxError
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.adversarial.attack import Attack
    from vlx.studies.adversarial.photo import PhotoSettings, photo_study
    from vlx.studies.adversarial.study import AdversarialSettings, adversarial_study
    from vlx.studies.found import markdown

    check_device(device)
    methods = list(method or ["grad_cam"])
    at = None if layer is None else number_or_text(layer)
    if image is None and (of or question or caption or word):
        raise VlxError("--of, --question, --caption and --word belong to one photo: give --image too")
    with repeatable(threads):
        if image is None:
            chosen = AdversarialSettings(
                model,
                data,
                target,
                tuple(methods),
                at,
                size,
                steps,
                limit,
                radius,
                seed,
                device,
                pictures,
                eight_bits,
            )
            found = adversarial_study(chosen, out, lambda line: print(line, flush=True))
        else:
            if target is None or len(methods) > 1:
                raise VlxError("one photo takes one --method and a --target: a class, an answer or a word")
            asked = PhotoSettings(
                image, target, model, tuple(of or ()), question, caption,
                None if word is None else number_or_text(word), methods[0], at,
                Attack(size=size, steps=steps, seed=seed, eight_bits=eight_bits), device,
            )  # fmt: skip
            found = photo_study(asked, out)
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")
