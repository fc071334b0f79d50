"""Any torchvision classifier as the CNN of a captioner or VQA model: pixels in, one vector out."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from vlx.errors import LayerError, VlxError, near_names
from vlx.images.frame import Size
from vlx.images.preprocess import Preprocess
from vlx.passes.prepare import prepared

_POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)


def torchvision_network(name: str, *, weights: Any = None, classes: int = 1000) -> nn.Module:
    """Build a torchvision classifier by its name, on random weights or on ``weights`` of its own.

    Auxiliary classifiers of GoogLeNet and Inception are left out. Raises VlxError naming near
    networks for an unknown name.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise VlxError(f"torchvision has no classifier {name!r}{near_names(name, known)}")
    extra: dict[str, Any] = {"num_classes": classes} if weights is None else {}
    if weights is None and name in ("googlenet", "inception_v3"):
        extra |= {"init_weights": False, "aux_logits": False}
    network: nn.Module = torchvision.models.get_model(name, weights=weights, **extra)
    return network


def without_classifier(network: nn.Module) -> nn.Module:
    """Replace the classifier's last linear layer by the identity, so that the network gives a vector.

    VGG and AlexNet then end in fc7 after its ReLU, ResNet and Inception in their averaged features,
    as neuraltalk2 and Show and Tell take them. Changes the network in place and returns it.
    """
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not found:
        raise VlxError(f"{type(network).__name__} ends in no linear layer: give a CNN that gives vectors")
    parent, _, leaf = found[-1][0].rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
    return network


def input_size(preprocess: Preprocess) -> Size:
    """The size of the network input that a preprocessing makes, of a square image where it matters."""
    return preprocess(Image.new("RGB", (224, 224)))[1].input_size


def default_layer(network: nn.Module, size: Size = (224, 224)) -> str:
    """Name the last spatial layer before the last pooling: the paper's choice for every CNN.

    relu5_3 of VGG-16 (``features.29``), ``layer4`` of a ResNet, ``Mixed_7c`` of Inception v3. Found by
    running the network once on zeros of ``size`` pixels. Raises LayerError if there is none, as in
    networks that cut the image into tokens and keep to them.
    """
    found: list[str] = []
    pooled: set[int] = set()
    keep: list[Tensor] = []  # so that no address is used twice while outputs are compared

    def hook(name: str) -> Callable[..., None]:
        def seen(module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 3:
                found.clear()  # tokens: what came before only cut the image into patches
            if not (isinstance(output, Tensor) and output.ndim == 4):
                return
            keep.append(output)
            if isinstance(module, _POOLS) or id(output) in pooled or min(output.shape[2:]) < 2:
                pooled.add(id(output))
            else:
                found.append(name)

        return seen

    parameter = next(network.parameters())
    zeros = torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype)
    with ExitStack() as stack:
        stack.enter_context(prepared(network))
        stack.enter_context(torch.no_grad())
        for name, module in network.named_modules():
            if name:
                stack.callback(module.register_forward_hook(hook(name)).remove)
        network(zeros)
    if not found:
        raise LayerError(f"{type(network).__name__} has no layer with rows and columns: name one with layer=")
    return found[-1]
