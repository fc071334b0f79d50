"""``vlx vqa``: explain answers to a question about an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.api import explain_answer
from vlx.asking import arguments_of_read
from vlx.cli.arguments import Device, Evidence, Layers, Methods, Models, Out, RunnersUp, Scale, Scaling
from vlx.cli.explaining import (
    Asked,
    Explained,
    finish,
    fuses,
    load_models,
    methods_named,
    run_all,
    told_apart,
)
from vlx.explanation import Explanation
from vlx.methods.values import Method


def vqa(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it.")],
    answer: Annotated[
        list[str] | None,
        typer.Option(help="Explain this answer instead of the likeliest; may be given several times."),
    ] = None,
    model: Models = None,
    method: Methods = None,
    layer: Layers = None,
    runners_up: RunnersUp = None,
    evidence: Evidence = True,
    out: Out = None,
    scale: Scale = Scaling.common,
    device: Device = "cpu",
) -> None:
    """Explain answers to a question about an image."""
    methods = methods_named(method)
    answerers = load_models(
        model or ["scenes/vqa"], layer, device, answering, "answer questions", "scenes/vqa", fuses(methods)
    )
    explained = answer_with(answerers, methods, question, answer, runners_up, evidence=evidence)
    finish(run_all([image], explained, out, "Answers side by side", scale.value))


def answering(model: Any) -> bool:
    """Whether a model scores its answers to a question, or writes one."""
    told = hasattr(model, "answers") or hasattr(model, "respond")
    return told or (arguments_of_read(model) > 1 and not hasattr(model, "generate"))


def answer_with(
    models: Sequence[Asked],
    methods: Sequence[Method],
    question: str,
    answers: Sequence[str] | None,
    runners_up: int | None = None,
    *,
    evidence: bool = False,
) -> Explained:
    """Explain answers to a question by each model and method: the given ones, or each model's likeliest."""

    def explained(image: Image.Image) -> list[Explanation]:
        return told_apart(
            [
                (name, found)
                for name, model in models
                for found in explain_answer(
                    model,
                    image,
                    question,
                    answers or None,
                    method=methods,
                    runners_up=runners_up,
                    evidence=evidence,
                )
            ]
        )

    return explained
