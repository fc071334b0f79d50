"""``vlx classify``: explain classes that image classifiers give."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from PIL import Image

from vlx.api import Matcher, explain_label, explain_match
from vlx.cli.arguments import Device, Images, Layers, Methods, Out
from vlx.cli.explaining import Explained, finish, listed, load_models, methods_named, run_all
from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.methods.values import Method


def classify(
    images: Images,
    model: Annotated[
        list[str],
        typer.Option(
            help="A classifier, as torchvision/resnet50, torchvision/resnet50:FILE or hf:NAME; several are "
            "compared."
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Explain this class (or, for CLIP, text) instead of the likeliest; repeatable."),
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    out: Out = None,
    device: Device = "cpu",
) -> None:
    """Explain classes that an image classifier gives."""
    paths, methods = listed(images), methods_named(method)
    classifiers = load_models(
        model, layer, device, ("labels", "compare"), "classify images", "torchvision/resnet50"
    )
    finish(run_all(paths, label_with(classifiers, methods, label), out, "Classes"))


def label_with(models: Sequence[Any], methods: Sequence[Method], labels: Sequence[str] | None) -> Explained:
    """Explain classes of an image by each model and method: the given ones, or each model's likeliest.

    A model that compares images with texts takes its classes from them.
    """
    if not labels and any(isinstance(model, Matcher) for model in models):
        raise VlxError("this model compares images with texts: give some, as in --label 'a red bus'")

    def of_one(model: Any, image: Image.Image) -> list[Explanation]:
        if isinstance(model, Matcher):
            return explain_match(model, image, labels or (), method=methods)
        return explain_label(model, image, labels or None, method=methods)

    return lambda image: [found for model in models for found in of_one(model, image)]
