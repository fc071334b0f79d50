"""Which published image classifier named tensors belong to."""

from collections.abc import Iterator
from math import prod

import torch

from vlx.adapters.files.families import Family
from vlx.adapters.files.shapes import Shapes

_TELLING = (
    ("layer1.0.", ("resnet", "resnext", "wide_resnet")),
    ("classifier.6.", ("vgg", "alexnet")),
    (".squeeze.", ("squeezenet",)),
    ("denseblock1.", ("densenet",)),
    ("inception3a.", ("googlenet",)),
    ("Mixed_5b.", ("inception",)),
    ("features.1.conv.", ("mobilenet_v2",)),
    ("features.1.block.", ("mobilenet_v3",)),
    (".layer_scale", ("convnext",)),
    ("features.1.0.block.", ("efficientnet",)),
    ("stage2.0.branch1.", ("shufflenet",)),
    ("layers.16.", ("mnasnet",)),
)
"""A part of a name that tells a few networks of torchvision, and how their names begin."""

_CAFFE: dict[str, set[str]] = {
    "VGG-19": {"conv1_1", "conv5_4"},
    "VGG-16": {"conv1_1", "conv5_3", "fc7"},
    "GoogLeNet": {"inception_3a/1x1"},
    "ResNet": {"res2a_branch1", "conv1"},
    "SqueezeNet": {"fire2/squeeze1x1"},
    "AlexNet": {"conv1", "conv5", "fc6", "fc7"},
}
"""Layers that tell Caffe's published networks; the first that has all of its own is meant."""


def of_torchvision(shapes: Shapes) -> Family | None:
    """A classifier of torchvision: one with the same tensors, its number of classes aside."""
    for name, network in _candidates(shapes):
        classes = _classes(shapes, network)
        if classes is not None:
            return Family(f"torchvision/{name}", None, {"classes": classes})
    return None


def of_caffe(shapes: Shapes) -> Family | None:
    """A network of Caffe, by the names of its layers; the last bias tells the number of classes."""
    layers = {name.rpartition(".")[0] for name in shapes}
    for name, telling in _CAFFE.items():
        if telling <= layers:
            last = [prod(sizes) for key, sizes in shapes.items() if key.endswith(".1")][-1:]
            return Family(f"Caffe, {name}", None, {"classes": last[0]} if last else {})
    return None


def _candidates(shapes: Shapes) -> Iterator[tuple[str, Shapes]]:
    """The networks whose names a part of the tensors' names tells, with their own tensors."""
    told = [begins for part, begins in _TELLING if any(part in name for name in shapes)]
    if not told:
        return
    import torchvision

    for name in torchvision.models.list_models(module=torchvision.models):
        if name.startswith(told[0]):
            extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            with torch.device("meta"):
                network = torchvision.models.get_model(name, weights=None, **extra)
            yield name, {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _classes(shapes: Shapes, network: Shapes) -> int | None:
    """The number of classes, if tensors are those of a network of 1,000, but for its last layers."""
    given, own = _counted(shapes), _counted(network)
    main = {name for name in own if not name.startswith(("aux", "AuxLogits"))}
    if not main <= set(given) <= set(own):
        return None
    last = {name for name in given if own[name][:1] == (1000,)}
    if any(given[name][name in last :] != own[name][name in last :] for name in given):
        return None
    counts = {given[name][:1] for name in last & main}
    return counts.pop()[0] if len(counts) == 1 and () not in counts else None


def _counted(shapes: Shapes) -> Shapes:
    """Without the counters of batch normalisation, which older files lack."""
    return {name: sizes for name, sizes in shapes.items() if not name.endswith("num_batches_tracked")}
