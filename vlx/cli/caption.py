"""``vlx caption``: explain the words of captions."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.api import explain_caption, written
from vlx.asking import arguments_of_read
from vlx.cli.arguments import Device, Evidence, Images, Layers, Methods, Model, Out, RunnersUp, Scale, Scaling
from vlx.cli.explaining import (
    Asked,
    Explained,
    finish,
    fuses,
    listed,
    load_models,
    methods_named,
    number_or_text,
    run_all,
)
from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.methods.values import Method


def caption(
    images: Images,
    text: Annotated[
        str | None,
        typer.Option("--caption", help="Explain this caption instead of the model's own."),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(help="Only these words: texts or positions from 0, as in dog,bike or 1,4."),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the beam that writes the caption; by default the model's own."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What to ask the model, where it takes a prompt: its answer is explained by words."
        ),
    ] = None,
    model: Model = "scenes/captioner",
    method: Methods = None,
    layer: Layers = None,
    runners_up: RunnersUp = None,
    evidence: Evidence = True,
    out: Out = None,
    scale: Scale = Scaling.common,
    device: Device = "cpu",
) -> None:
    """Explain the words of a caption, the model's own or yours."""
    paths, methods, chosen = listed(images), methods_named(method), chosen_words(words)
    does = ("write captions", "scenes/captioner")
    captioners = load_models([model], layer, device, captions, *does, fuses(methods))
    explained = caption_with(captioners, methods, text, chosen, beam, prompt, runners_up, evidence=evidence)
    finish(run_all(paths, explained, out, "Captions, word by word", scale.value))


def captions(model: Any) -> bool:
    """Whether a model writes captions, or at least reads given ones."""
    writes = hasattr(model, "generate") or hasattr(model, "respond")
    return writes or (arguments_of_read(model) > 1 and not hasattr(model, "answers"))


def caption_with(
    models: Sequence[Asked],
    methods: Sequence[Method],
    text: str | None,
    words: list[str | int] | None,
    beam: int | None,
    prompt: str | None,
    runners_up: int | None = None,
    *,
    evidence: bool = False,
) -> Explained:
    """Explain one caption of an image by each method and layer: the given text, or what the model says."""

    def explained(image: Image.Image) -> list[Explanation]:
        said = text
        if said is None and len(models) > 1:  # the same words at every layer
            said = written(models[0][1], [image], prompt, beam)[0]
        return [
            found
            for _, model in models
            for found in explain_caption(
                model,
                image,
                said,
                prompt=prompt,
                words=words,
                method=methods,
                beam=beam,
                runners_up=runners_up,
                evidence=evidence,
            )
        ]

    return explained


def chosen_words(text: str | None) -> list[str | int] | None:
    """The words that ``--words`` names: texts, or positions where a part is a number."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise VlxError("--words is empty: give words of the caption, as in --words dog,bike")
    return [number_or_text(part) for part in parts]
