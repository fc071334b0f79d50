"""How fast classifiers are evaluated: ``python -m benchmarks.evaluate_classes [--runs N]``.

Localisation (top 1 and top 5) and the pointing game of one class an image, on VGG-16 (random weights) and a
batch of 16 photos that are made up, beside one bare forward over the same files, alternating in one process;
the same with wrong classes and the control of shuffled weights, which takes a second forward; where the time
goes; and whether memory grows over 2,000 items.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vlx
from benchmarks.evaluate import timed
from benchmarks.speed import RUNS, alternating
from vlx.adapters.files.weights import ready
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.parts.classifier import Classifier
from vlx.eval.items import several
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Boxes, ClassNames
from vlx.eval.measures.localisation import Corners
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.eval.tasks.task import Task
from vlx.images.files import open_image
from vlx.images.preprocess import Preprocess, Squash, imagenet, stack_images

BATCH = 16
LARGE, SMALL = (375, 500), (120, 160)
COUNT = 2000


def vgg() -> Classifier:
    """VGG-16 of torchvision on random weights."""
    torch.manual_seed(0)
    network = ready(torchvision_network("vgg16").eval(), "cpu")
    return Classifier(network, [f"class {at}" for at in range(1000)], imagenet(), name="VGG-16")


def small() -> Classifier:
    """A network so small that the rest of an evaluation is seen."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, 4, 1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 10),
    ).eval()  # fmt: skip
    labels = [f"class {at}" for at in range(10)]
    return Classifier(network, labels, Preprocess(Squash((112, 112))), name="small")


def photos(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Smooth noise as photos of (height, width)."""
    paths: list[Path] = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        path = folder / f"{size[0]}-{number}.jpg"
        Image.fromarray(noise).resize(size[::-1], Image.Resampling.BILINEAR).save(path, quality=90)
        paths.append(path)
    return paths


def items_of(model: Classifier, paths: Sequence[Path], size: tuple[int, int]) -> list[Item]:
    """An item for each photo: the class that the model sees there, and a box over a quarter of it."""
    found: list[Item] = []
    height, width = size
    for number, path in enumerate(paths):
        scores = model.read([open_image(path)]).scores[0, 0]
        name = model.labels[int(scores.argmax())]
        left, top = number % (width // 2), number % (height // 2)
        truth = Boxes(size, (Corners(left, top, left + width // 2, top + height // 2),))
        wrong = tuple((label,) for label in model.labels if label != name)[:12]
        classes = ClassNames((name,), wrong=wrong)
        found.append(Item(path.stem, path, path.stem, category=name, truth=truth, classes=classes))
    return found


def bare(model: Classifier, items: Sequence[Item]) -> Callable[[], object]:
    """Open and prepare the images and run the network, no gradients."""

    @torch.no_grad()
    def run() -> object:
        images = [open_image(item.image) for item in items]
        pixels, _ = stack_images(model.preprocess, images, next(model.network.parameters()))
        return model.network(pixels)

    return run


def of(task: Task, models: Models, items: Sequence[Item], options: Options) -> Callable[[], object]:
    """One batch of an evaluation by Grad-CAM."""
    return lambda: task.rows(models, items, [vlx.grad_cam], options)


def print_speed(model: Classifier, items: Sequence[Item], runs: int) -> None:
    """Seconds of a batch, and as a share of the bare forward's throughput."""
    models = with_controls(model)
    alone, all_of_it = Options(wrong=0, shuffled=False), Options()
    works = {
        "bare forward": bare(model, items),
        "pointing": of(CLASSES_POINTING, models, items, alone),
        "localisation, top 1 and top 5": of(LOCALISATION, models, items, alone),
        "pointing, every control": of(CLASSES_POINTING, models, items, all_of_it),
        "localisation, every control": of(LOCALISATION, models, items, all_of_it),
    }
    told_by = f"{model.name}: {len(items)} images, medians of {runs} alternating runs"
    print_share(told_by, alternating(works, runs))
    for name, task in (("pointing", CLASSES_POINTING), ("localisation", LOCALISATION)):
        began = time.perf_counter()
        with timed({several: ["explain", "read_items", "activation_maps", "control_maps"]}) as spent:
            task.rows(models, items, [vlx.grad_cam], alone)
        whole = time.perf_counter() - began
        told = ", ".join(f"{part} {value / whole:.1%}" for part, value in spent.items())
        print(f"  of {name}: {told}, scoring and the rest {1 - sum(spent.values()) / whole:.1%}")


def print_share(told: str, seconds: Mapping[str, float]) -> None:
    base = next(iter(seconds.values()))
    print(f"\n{told}")
    for name, value in seconds.items():
        print(f"  {name:44s} {1000 * value:9.1f} ms   {base / value:5.2f} of the bare forward's throughput")


def print_memory(model: Classifier, items: Sequence[Item], task: Task) -> None:
    """Resident memory while so many items are evaluated, all with files and ids of their own."""
    models, told = with_controls(model), list[str]()
    at_end = {200, 1000, COUNT}
    for start in range(0, COUNT, 20):
        some = [
            replace(items[at % len(items)], id=f"{at}", cluster=f"{at}") for at in range(start, start + 20)
        ]
        task.rows(models, some, [vlx.grad_cam, vlx.guided_grad_cam], Options(wrong=1))
        if start + 20 in at_end:
            told.append(f"{resident():.0f} MiB at item {start + 20}")
    print(f"  {task.name}: {', '.join(told)}", flush=True)


def resident() -> float:
    """MiB of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of evaluations of classifiers.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=["speed", "memory"])
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        if given.only != "memory":
            model = vgg()
            items = items_of(model, photos(Path(folder), BATCH, LARGE), LARGE)
            print_speed(model, items, given.runs)
        if given.only != "speed":
            model = small()
            items = items_of(model, photos(Path(folder), 60, SMALL), SMALL)
            print(f"\nresident memory over {COUNT:,} items")
            for task in (LOCALISATION, CLASSES_POINTING):
                print_memory(model, items, task)


if __name__ == "__main__":
    main()
