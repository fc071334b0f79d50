"""Any torchvision classifier as the CNN of a captioner or VQA model: pixels in, one vector out."""

from typing import Any

import torch
import torchvision
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.errors import VlxError, near_names
from vlx.images.frame import Size
from vlx.images.preprocess import Preprocess
from vlx.passes.chosen_layer import chosen_layer
from vlx.passes.default_layer import last_map
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer


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
    running the network once on zeros of ``size`` pixels; see `vlx.passes.default_layer.last_map`. Raises
    LayerError if there is none, as in networks that cut the image into tokens and keep to them.
    """
    return last_map(network, zeros(network, size))


def layer_of(network: nn.Module, layer: Layer | None, preprocess: Preprocess) -> tuple[str, nn.Module]:
    """A layer of a CNN and its name: by default its last map, else as `vlx.choose_layer` takes it."""

    def black() -> Tensor:
        return zeros(network, input_size(preprocess))

    return chosen_layer(network, layer, lambda: last_map(network, black()), lambda: ((black(),), {}))


def zeros(network: nn.Module, size: Size, channels: int = 3) -> Float[Tensor, "1 channel height width"]:
    """A black image as a network's input, on its device and in its precision."""
    parameter = next(network.parameters())
    return torch.zeros(1, channels, *size, device=parameter.device, dtype=parameter.dtype)


def channels_of(network: nn.Module, size: Size) -> int:
    """How many channels the images of a network have: 3, or 1 where its first layer says so and 3 fail.

    Raises VlxError where it takes neither.
    """
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    wanted = 3 if first is None else first.in_channels
    if wanted == 3:
        return 3
    try:
        with prepared(network), torch.no_grad():
            network(zeros(network, size))
    except RuntimeError as error:
        if wanted != 1 or "channels" not in str(error):
            raise VlxError(
                f"{type(network).__name__} takes images of {wanted} channels, and an image file gives 3 or "
                "1: explain it on tensors, with vlx.explain_model"
            ) from None
        return 1
    return 3
