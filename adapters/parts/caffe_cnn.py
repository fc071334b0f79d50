"""CNNs from Caffe's model files: the network, the layer to explain, and how images are prepared for it.

VGG-16 and 19, AlexNet, CaffeNet, GoogLeNet, SqueezeNet 1.0. Images are squashed to the network's size
and enter as BGR, 0 to 255, less a mean, as in the demo of the Grad-CAM paper. Explained by default is the
layer that the paper names: ``relu5_3`` of VGG-16, ``relu5_4`` of VGG-19, ``relu5`` of AlexNet,
``inception_5b/output`` of GoogLeNet; ``relu_conv10`` of SqueezeNet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from vlx.adapters.files.proto.caffe import layer_names, read_caffemodel
from vlx.adapters.files.states import read_state
from vlx.adapters.nets import caffe as networks
from vlx.adapters.nets.caffe import VGG16, VGG19, Weights, filled
from vlx.adapters.parts.checkpoint import File
from vlx.adapters.parts.resampling import torch7
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.chosen_layer import LAST, is_relative
from vlx.passes.site import Layer

VGG_MEAN = (103.939, 116.779, 123.68)
"""Blue, green, red; the demo of the paper takes it for AlexNet too."""
CAFFE_MEAN = (104.0, 117.0, 123.0)

VGG19_FILE = File(
    "VGG_ILSVRC_19_layers.caffemodel", ("VGG_ILSVRC_19_layers.caffemodel", "vgg19*.pth"), "its CNN"
)
"""The VGG-19 that VQA models were published with."""

_TELLING = ("features.0.weight", "classifier.0.weight", "classifier.3.weight")  # of torchvision's VGG
_TRAINING = ("loss1.", "loss2.")  # classifiers of GoogLeNet that serve its training


@dataclass(frozen=True, eq=False)
class CaffeCNN:
    """A network with its weights, the layer to explain, and how images are prepared for it."""

    network: nn.Module
    layer: str
    preprocess: Preprocess

    def layer_named(self, layer: Layer | None) -> Layer:
        """A layer that may be given by its name in Caffe, or by where it stands."""
        if layer is None or layer == LAST:
            return self.layer
        named = isinstance(layer, str) and not is_relative(self.network, layer)
        return module_name(str(layer)) if named else layer

    @property
    def outputs(self) -> int:
        """The length of the vector that it gives, or its number of classes."""
        layers = [m for m in self.network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        return len(layers[-1].weight)


def load_vector_cnn(path: str | Path) -> CaffeCNN:
    """The VGG or AlexNet of a file up to its rectified fc7: what captioners and VQA models read.

    A ``.caffemodel``, or the same weights under torchvision's names of VGG (``.safetensors``, ``.pth``).
    """
    pooled = False
    if Path(path).suffix == ".caffemodel":
        weights, pooled = caffe_weights(read_caffemodel(path), str(path)), pools_first(path)
    else:
        tensors = read_state(path, _TELLING)
        blocks = VGG16 if len([name for name in tensors if name.startswith("features.")]) == 26 else VGG19
        weights = Weights(networks.torchvision_vgg(tensors, blocks), str(path))
    vector = {name: value for name, value in weights.tensors.items() if not name.startswith("fc8.")}
    weights = Weights(vector, weights.source)
    weights.shape("fc7", 2)
    return caffe_cnn(weights, pool_first=pooled)


def caffe_weights(blobs: Mapping[str, Sequence[Tensor]], source: str) -> Weights:
    """The weights and biases of Caffe's layers under the names of `vlx.adapters.nets.caffe`.

    Files from before 2015 give everything four sides: biases 1 x 1 x 1 x n, fully connected weights
    1 x 1 x m x n.
    """
    found: dict[str, Tensor] = {}
    for layer, (weight, *bias) in ((layer, held) for layer, held in blobs.items() if held):
        name = module_name(layer)
        if name.startswith(_TRAINING):
            continue
        flat = weight.ndim == 4 and weight.shape[:2] == (1, 1)
        found[f"{name}.weight"] = weight[0, 0] if flat else weight
        found |= {f"{name}.bias": value.flatten() for value in bias}
    return Weights(found, source)


def caffe_cnn(weights: Weights, *, pool_first: bool = False) -> CaffeCNN:
    """The network that some weights are of; raises CheckpointError if it is none of the known ones."""
    layers = {name.rpartition(".")[0] for name in weights.tensors}
    if "conv5_3" in layers:
        blocks = VGG19 if "conv5_4" in layers else VGG16
        side = networks.vgg_side(weights, blocks)
        vgg = filled(networks.vgg(weights, blocks), weights, side)
        return CaffeCNN(vgg, f"relu5_{blocks[-1]}", squashed(side, VGG_MEAN))
    if "inception_5b.1x1" in layers:
        googlenet = filled(networks.googlenet(weights), weights, 224)
        return CaffeCNN(googlenet, "inception_5b.output", squashed(224, CAFFE_MEAN))
    if "fire9.squeeze1x1" in layers:
        squeezenet = filled(networks.squeezenet(weights), weights, 227)
        return CaffeCNN(squeezenet, "relu_conv10", squashed(227, CAFFE_MEAN))
    if {"conv5", "fc6"} <= layers:
        side = networks.alexnet_side(weights)
        alexnet = filled(networks.alexnet(weights, pool_first=pool_first), weights, side)
        return CaffeCNN(alexnet, "relu5", squashed(side, VGG_MEAN))
    known = "VGG-16, VGG-19, AlexNet, CaffeNet, GoogLeNet or SqueezeNet 1.0"
    some = ", ".join(sorted(layers)[:3]) or "none"
    raise weights.wrong(f"is no {known}: its layers are {some}{', …' if len(layers) > 3 else ''}")


def squashed(side: int, mean: tuple[float, float, float]) -> Preprocess:
    """Resized to a square as Torch7 does, BGR, 0 to 255, less a mean: the paper's demo.

    >>> squashed(224, (103.9, 116.8, 123.7)).channels
    'BGR'
    """
    return Preprocess(
        Squash((side, side)), mean=mean, std=(1.0, 1.0, 1.0), scale=255.0, channels="BGR", resample=torch7
    )


def module_name(layer: str) -> str:
    """The module of a layer of Caffe's: ``inception_5b/output`` is ``inception_5b.output``.

    >>> module_name("inception_5b/output")
    'inception_5b.output'
    """
    return layer.replace("/", ".")


def pools_first(path: str | Path) -> bool:
    """Whether the network of a ``.caffemodel`` pools before it normalises: CaffeNet does, AlexNet not."""
    names = layer_names(path)
    return {"pool1", "norm1"} <= set(names) and names.index("pool1") < names.index("norm1")
