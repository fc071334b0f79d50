"""``vlx classify``: explain classes that image classifiers give."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.api import Matcher, explain_label, explain_match
from vlx.asking import arguments_of_read
from vlx.cli.arguments import Device, Evidence, Images, Layers, Methods, Out, RunnersUp, Scale, Scaling
from vlx.cli.explaining import (
    Asked,
    Explained,
    finish,
    fuses,
    listed,
    load_models,
    methods_named,
    run_all,
    told_apart,
)
from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.methods.values import Method


def classify(
    images: Images,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A classifier, as torchvision/resnet50, torchvision/resnet50:FILE or hf:NAME; several are "
            "compared. By default that of the built-in scenes."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Explain this class (or, for CLIP, text) instead of the likeliest; repeatable."),
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    runners_up: RunnersUp = None,
    evidence: Evidence = True,
    out: Out = None,
    scale: Scale = Scaling.common,
    device: Device = "cpu",
) -> None:
    """Explain classes that an image classifier gives."""
    paths, methods = listed(images), methods_named(method)
    does = ("classify images", "torchvision/resnet50")
    classifiers = load_models(
        model or ["scenes/classifier"], layer, device, classifying, *does, fuses(methods)
    )
    explained = label_with(classifiers, methods, label, runners_up, evidence=evidence)
    finish(run_all(paths, explained, out, "Classes", scale.value))


def classifying(model: Any) -> bool:
    """Whether a model scores classes of an image, or texts beside it."""
    return hasattr(model, "labels") or hasattr(model, "compare") or arguments_of_read(model) == 1


def label_with(
    models: Sequence[Asked],
    methods: Sequence[Method],
    labels: Sequence[str] | None,
    runners_up: int | None = None,
    *,
    evidence: bool = False,
) -> Explained:
    """Explain classes of an image by each model and method: the given ones, or each model's likeliest.

    A model that compares images with texts takes its classes from them.
    """
    if not labels and any(isinstance(model, Matcher) for _, model in models):
        raise VlxError("this model compares images with texts: give some, as in --label 'a red bus'")

    def of_one(model: Any, image: Image.Image) -> list[Explanation]:
        if isinstance(model, Matcher):
            return explain_match(
                model, image, labels or (), method=methods, runners_up=runners_up, evidence=evidence
            )
        return explain_label(
            model, image, labels or None, method=methods, runners_up=runners_up, evidence=evidence
        )

    return lambda image: told_apart(
        [(name, found) for name, model in models for found in of_one(model, image)]
    )
