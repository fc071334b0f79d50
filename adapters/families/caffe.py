"""Classifiers from Caffe's model files: VGG-16 and 19, AlexNet, CaffeNet, GoogLeNet, SqueezeNet 1.0.

Images, and the layer that is explained by default, are those of `vlx.adapters.parts.caffe_cnn`.
"""

from collections.abc import Sequence
from pathlib import Path

import torchvision

from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.weights import ready
from vlx.adapters.parts.caffe_cnn import caffe_cnn, caffe_weights, module_name, pools_first
from vlx.adapters.parts.classifier import Classifier, labels_beside
from vlx.images.preprocess import Preprocess
from vlx.passes.site import Layer


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
        layer=module_name(layer) if isinstance(layer, str) else cnn.layer if layer is None else layer,
        name=f"caffe/{Path(path).stem}",
    )


def _labels(classes: int) -> Sequence[str]:
    if classes != 1000:
        return [f"class {index}" for index in range(classes)]
    return torchvision.models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
