"""Classifiers from Caffe's model files: VGG-16 and 19, AlexNet, CaffeNet, GoogLeNet, SqueezeNet 1.0.

Images, and the layer that is explained by default, are those of `vlx.adapters.parts.caffe_cnn`.
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import torchvision

from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.weights import ready
from vlx.adapters.parts.caffe_cnn import caffe_cnn, caffe_weights, pools_first
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File
from vlx.adapters.parts.classifier import Classifier, labels_beside
from vlx.images.preprocess import Preprocess
from vlx.passes.site import Layer

FILES = (File("….caffemodel", ("*.caffemodel",), "its layers and weights"),)

_TELLING: dict[str, set[str]] = {
    "VGG-19": {"conv1_1", "conv5_4"},
    "VGG-16": {"conv1_1", "conv5_3", "fc7"},
    "GoogLeNet": {"inception_3a/1x1"},
    "ResNet": {"res2a_branch1", "conv1"},
    "SqueezeNet": {"fire2/squeeze1x1"},
    "AlexNet": {"conv1", "conv5", "fc6", "fc7"},
}
"""Layers that tell Caffe's published networks; the first that has all of its own is meant."""


def load_caffe(
    path: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
    preprocess: Preprocess | None = None,
) -> Classifier:
    """Load a classifier from a ``.caffemodel``, whose layers tell which network it is.

    A file ``NAME.labels.txt`` beside it, one class a line, names the classes; 1000 without one are
    ImageNet's. ``layer`` may be a name of Caffe's. ``preprocess`` replaces the demo's preparation of
    images. CaffeNet has the weights of an AlexNet: a file that lists only layers with weights is taken
    as AlexNet. Raises CheckpointError for a file that is damaged or of another network.
    """
    weights = caffe_weights(read_caffemodel(path), str(path))
    cnn = caffe_cnn(weights, pool_first=pools_first(path))
    return Classifier(
        ready(cnn.network, device),
        labels_beside(Path(path), cnn.outputs) or _labels(cnn.outputs),
        preprocess or cnn.preprocess,
        layer=cnn.layer_named(layer),
        name=f"caffe/{Path(path).stem}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """A network that is told by the names of its layers; the last bias tells the number of classes."""
    layers = {name.rpartition(".")[0] for name in held.blobs}
    for name, telling in _TELLING.items():
        if telling <= layers:
            last = [prod(sizes) for key, sizes in held.blobs.items() if key.endswith(".1")][-1:]
            return Checkpoint(f"Caffe, {name}", None, {"classes": last[0]} if last else {})
    return None


def _labels(classes: int) -> Sequence[str]:
    if classes != 1000:
        return [f"class {index}" for index in range(classes)]
    return torchvision.models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
