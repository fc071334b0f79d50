"""Classes, and texts that fit: explain what a model says of an image as a whole."""

from collections.abc import Sequence
from typing import Any, overload

from PIL import Image

from vlx.api.given import (
    Methods,
    Picture,
    Some,
    SomeOfEach,
    against,
    explain_choices,
    listed,
    one_for_each,
    opened_all,
)
from vlx.api.protocols import ImageClassifier, Matcher
from vlx.asking import read_of
from vlx.errors import VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.files import open_image
from vlx.methods.values import Method, grad_cam
from vlx.passes.targets import Target, label


@overload
def explain_labels(
    model: ImageClassifier,
    images: Sequence[Picture],
    labels: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
@overload
def explain_labels(
    model: ImageClassifier,
    images: Sequence[Picture],
    labels: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[list[Explanation]]: ...
def explain_labels(
    model: ImageClassifier,
    images: Sequence[Picture],
    labels: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation] | list[list[Explanation]]:
    """Explain classes of each image, as a batch; see `explain_label`.

    ``labels`` holds for each image one class or several; a single one is explained for every image, and
    without any the likeliest of each. Of several methods each image has a list, one Explanation for each
    method: ``found[image][method]``.

    >>> from torchvision.models import resnet18
    >>> from vlx.adapters.parts.classifier import Classifier
    >>> from vlx.images import imagenet
    >>> model = Classifier(resnet18(num_classes=2), ["cat", "dog"], imagenet())
    >>> first, second = vlx.explain_labels(model, [photo, photo], [["dog", "cat"], "dog"])
    >>> [target.name for target in first.targets], second.targets[0].name
    (['dog', 'cat'], 'dog')
    """
    return _explained(
        model, opened_all("explain_labels", images), labels, targets, method, chunk, runners_up, evidence
    )


@overload
def explain_label(
    model: ImageClassifier,
    image: Picture,
    labels: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation: ...
@overload
def explain_label(
    model: ImageClassifier,
    image: Picture,
    labels: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
def explain_label(
    model: ImageClassifier,
    image: Picture,
    labels: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation | list[Explanation]:
    """Explain classes of an image classifier, by default the likeliest one.

    Of several methods in a list there is a list of Explanations, one for each method in their order. With
    ``evidence`` each class says how much of its logit comes from the image, the rest being its logit where
    the features show nothing, for one more run of the part above the layer.

    >>> from torchvision.models import resnet18
    >>> from vlx.adapters.parts.classifier import Classifier
    >>> from vlx.images import imagenet
    >>> model = Classifier(resnet18(num_classes=2), ["cat", "dog"], imagenet())
    >>> vlx.explain_label(model, photo, ["dog"]).targets[0].name
    'dog'
    """
    given = None if labels is None else [labels]
    return _explained(model, [open_image(image)], given, targets, method, chunk, runners_up, evidence)[0]


@overload
def explain_match(
    model: Matcher,
    image: Picture,
    texts: Sequence[str],
    *,
    method: Method | str = grad_cam,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation: ...
@overload
def explain_match(
    model: Matcher,
    image: Picture,
    texts: Sequence[str],
    *,
    method: Methods,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
def explain_match(
    model: Matcher,
    image: Picture,
    texts: Sequence[str],
    *,
    method: Method | str | Methods = grad_cam,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation | list[Explanation]:
    """Explain how well texts fit an image, as CLIP scores them: which pixels speak for each.

    Of several methods in a list there is a list of Explanations, one for each method in their order.
    ``evidence`` as of `explain_label`.
    """
    if not isinstance(model, Matcher):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise VlxError(f"{type(model).__name__} compares no images with texts: explain_match needs compare()")
    given = listed(texts)
    passed = model.compare([open_image(image)], given)
    wanted = against([label(at) for at in range(len(given))], runners_up)
    return explain(passed, wanted, method, evidence=evidence, kept=True)[0]


def _explained(
    model: Any,
    images: list[Image.Image],
    labels: Any,
    targets: Sequence[Target] | Target | None,
    method: Method | str | Methods,
    chunk: int | None,
    runners_up: int | None,
    evidence: bool,
) -> list[Any]:
    """Of each image an Explanation, or one for each of several methods."""
    named = one_for_each(labels, len(images), "classes")
    passed = read_of(model, "explain_label", images)
    return explain_choices(passed, named, targets, method, chunk, runners_up, evidence)
