"""Two ImageNet classifiers on real photos of COCO: ``python -m benchmarks.real_classifiers DATA``.

DATA holds ``squeezenet/`` and ``mobilenet-v2/`` (weights, and the code of the latter) and ``coco-80/``,
photos with instance masks. Prints localisation, the pointing game of classes and that with reject, over the
categories that ImageNet has too, beside their controls. With DATA in the environment variable
``REAL_CLASSIFIERS`` they are models of the command line, as
``--model python:benchmarks.real_classifiers:squeezenet``.
"""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
import torchvision

import vlx
from vlx.adapters.files.weights import fit_weights, load_weights
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.summary import markdown
from vlx.images.preprocess import Preprocess, ShortSide, Squash

TASKS = ("classes-pointing", "classes-reject", "localisation")
METHODS = ("grad_cam", "hires_cam", "layer_cam")


def squeezenet(data: Path | None = None) -> Classifier:
    """SqueezeNet 1.0, as its authors published it for Caffe: BGR, centre crop of 227."""
    network: Any = torchvision.models.squeezenet1_0(weights=None)
    file = _data(data) / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth"
    fit_weights(network, load_weights(file), "squeezenet")
    network.classifier[1].padding = (1, 1)
    mean, std = (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)
    prepared = Preprocess(ShortSide(256), (227, 227), mean, std, scale=255.0, channels="BGR")
    return Classifier(network.eval(), _labels(), prepared, name="squeezenet")


def mobilenet(data: Path | None = None) -> Classifier:
    """MobileNetV2, its batch norms folded: RGB, squashed to 224; its first class is the background."""
    folder = _data(data) / "mobilenet-v2"
    spec: Any = importlib.util.spec_from_file_location("mobilenets_torch", folder / "mobilenets_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.MobileNetV2Fold()
    fit_weights(network, load_weights(folder / "mobilenet_v2_1.0_224_fold.pth"), "mobilenet-v2")
    middle = (128 / 255,) * 3
    prepared = Preprocess(Squash((224, 224)), mean=middle, std=middle)
    return Classifier(network.eval(), ["background", *_labels()], prepared, name="mobilenet-v2")


def _labels() -> list[str]:
    return list(torchvision.models.SqueezeNet1_0_Weights.DEFAULT.meta["categories"])


def _data(given: Path | None) -> Path:
    if given is None and "REAL_CLASSIFIERS" not in os.environ:
        raise VlxError("set REAL_CLASSIFIERS to the folder that holds squeezenet/ and mobilenet-v2/")
    return given or Path(os.environ["REAL_CLASSIFIERS"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--model", choices=["squeezenet", "mobilenet"], action="append")
    parser.add_argument("--method", action="append")
    parser.add_argument("--crop", default="model", choices=["model", "squash", "centre", "ten"])
    parser.add_argument("--connectivity", type=int, default=8, choices=[4, 8])
    parser.add_argument("--limit", type=int, help="this many photos")
    given = parser.parse_args()
    options = Options(limit=given.limit, crop=given.crop, connectivity=given.connectivity)
    for name in given.model or ["squeezenet", "mobilenet"]:
        model = {"squeezenet": squeezenet, "mobilenet": mobilenet}[name](given.data)
        for task in given.task or TASKS:
            methods = given.method or list(METHODS)
            found = vlx.eval.evaluate(model, given.data / "coco-80", methods, task=task, options=options)
            print(f"# {model.name}, layer {model.layer}\n\n{markdown(found)}", flush=True)


if __name__ == "__main__":
    main()
