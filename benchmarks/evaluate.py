"""How fast evaluations run: ``python -m benchmarks.evaluate [--runs N]``.

Word pointing on the held-out scenes at batch 16, beside one bare forward over the same images, with the
built-in captioner and one on VGG-16 (random weights); what share of it is scoring; whether memory grows over
2,000 items; occlusion maps of the built-in VQA model beside captum's, and of several captions of one image;
CNNs that run again only in what a window changed; CNNs with their weights channels last; and summaries of
several columns from one bootstrap draw beside one draw each.
"""

import argparse
import copy
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch

import vlx
from benchmarks.occluded import NETWORKS, print_occluded
from benchmarks.speed import RUNS, alternating
from vlx.adapters.files.weights import ready
from vlx.adapters.nets.backbones import torchvision_network, without_classifier
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.vocabulary import padded
from vlx.eval.data.folder import look
from vlx.eval.items import batch, opened
from vlx.eval.items.item import Item, checked
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.measures.statistics import Outcome, Summary, summarise, summarise_all
from vlx.eval.tasks.pointing import POINTING
from vlx.images.files import open_image
from vlx.images.preprocess import stack_images
from vlx.scenes import held_out_scenes
from vlx.scenes.models import PREPROCESS, load_captioner, load_vqa
from vlx.scenes.texts import caption_vocabulary

BATCH = 16
WINDOW, STRIDE = 35, 8
OPTIONS = Options(captions=1)
QUESTION = "what is on the left ?"


def vgg_captioner() -> CNNLSTMCaptioner:
    """neuraltalk2 at full size on random weights, with the words of the scenes."""
    torch.manual_seed(0)
    words = caption_vocabulary()
    cnn = without_classifier(torchvision_network("vgg16"))
    network = caption_network(cnn, 4096, len(words.names), start=words.start).eval().requires_grad_(False)
    return CNNLSTMCaptioner(network, words, PREPROCESS, name="VGG-16, neuraltalk2 head")


def batch_of_images(images: int = BATCH) -> list[Item]:
    """All word items of the first images of the held-out scenes."""
    items = checked(POINTING.items(look(held_out_scenes()), "captioner", OPTIONS))
    chosen = list(dict.fromkeys(item.image for item in items))[:images]
    return [item for item in items if item.image in chosen]


def bare(model: CNNLSTMCaptioner, items: Sequence[Item]) -> Callable[[], object]:
    """Open and prepare the images, and run the network on each image and its caption, no gradients."""
    pairs = list(dict.fromkeys((item.image, item.text) for item in items))
    encoded = [model.vocabulary.encode(text)[1] for _, text in pairs]
    network: Any = model.network
    ids = padded(encoded, next(network.parameters()).device)

    @torch.no_grad()
    def run() -> object:
        photos = [open_image(path) for path, _ in pairs]
        pixels, _ = stack_images(model.preprocess, photos, next(network.parameters()))
        return network(pixels, ids)

    return run


@contextmanager
def timed(parts: Mapping[ModuleType, Sequence[str]]) -> Iterator[dict[str, float]]:
    """Seconds spent in functions that modules call by these names while the block runs."""
    spent = {name: 0.0 for names in parts.values() for name in names}

    def clocked(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                spent[name] += time.perf_counter() - began

        return run

    with ExitStack() as stack:
        for module, names in parts.items():
            changed = {name: clocked(name, getattr(module, name)) for name in names}
            stack.enter_context(mock.patch.multiple(module, **changed))
        yield spent


def print_pointing(model: CNNLSTMCaptioner, runs: int) -> None:
    """Items a second with and without the control on shuffled weights, and the share of scoring."""
    items = batch_of_images()
    images = len({item.image for item in items})
    with_control = with_controls(model)
    works = {
        "bare forward": bare(model, items),
        "all words explained": lambda: explained(model, items),
        "pointing, with every control": lambda: POINTING.rows(with_control, items, [vlx.grad_cam], OPTIONS),
    }
    seconds = alternating(works, runs)
    base = seconds["bare forward"]
    print(f"\n{model.name}: {len(items)} words of {images} images, medians of {runs} alternating runs")
    for name, value in seconds.items():
        print(
            f"  {name:32s} {1000 * value:9.1f} ms   {images / value:7.1f} images/s   "
            f"{base / value:5.2f} of the bare forward's speed"
        )
    began = time.perf_counter()
    parts = {batch: ["explain", "activation_maps"], opened: ["read", "open_image"]}
    with timed(parts) as spent:
        POINTING.rows(with_control, items, [vlx.grad_cam], OPTIONS)
    whole = time.perf_counter() - began
    told = ", ".join(f"{name} {value / whole:.1%}" for name, value in spent.items())
    print(f"  of the evaluation: {told}, scoring and the rest {1 - sum(spent.values()) / whole:.1%}")


def explained(model: CNNLSTMCaptioner, items: Sequence[Item]) -> object:
    """Every word of every caption explained, from the files to maps on the images."""
    pairs = list(dict.fromkeys((item.image, item.text) for item in items))
    run = model.read([open_image(path) for path, _ in pairs], [text for _, text in pairs])
    targets = [[vlx.word(at) for at in range(len(reading.words))] for reading in run.readings]
    return [result.maps for result in vlx.explain(run, targets)]


def print_memory(model: CNNLSTMCaptioner, count: int = 2000) -> None:
    """Resident memory of this process while it evaluates so many items."""
    models = with_controls(model)
    items = checked(POINTING.items(look(held_out_scenes()), "captioner", Options()))
    told: list[str] = []
    for at, start in enumerate(range(0, count, BATCH)):
        some = [items[index % len(items)] for index in range(start, start + BATCH)]
        POINTING.rows(models, some, [vlx.grad_cam], OPTIONS)
        if at % 25 == 24:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            told.append(f"{start + BATCH} {pages * resource.getpagesize() / 2**20:.0f}")
    print(f"\n{model.name}: MiB resident after so many items: {', '.join(told)}")


def print_occlusion(runs: int) -> None:
    """Occlusion maps of one answer beside captum's, one window at a time and many."""
    from captum.attr import Occlusion

    model = load_vqa()
    photo = open_image(batch_of_images(1)[0].image)
    run = model.read([photo], [QUESTION])
    best = int(run.scores[0, 0].argmax())
    target = [vlx.answer(model.answers[best])]
    method = vlx.occlusion_with(size=WINDOW, stride=STRIDE)
    ids, lengths, _ = model.vocabulary.encode_questions([QUESTION], None, torch.device("cpu"))
    assert run.below is not None
    pixels = run.below.pixels.detach()

    def forward(images: torch.Tensor) -> torch.Tensor:
        count = len(images)
        return model.network(images, ids.expand(count, -1), lengths.expand(count))

    def captums(at_once: int) -> Callable[[], object]:
        @torch.no_grad()
        def work() -> object:
            return Occlusion(forward).attribute(
                pixels, sliding_window_shapes=(3, WINDOW, WINDOW), strides=(3, STRIDE, STRIDE), target=best,
                perturbations_per_eval=at_once,
            )  # fmt: skip

        return work

    seconds = alternating(
        {
            "vlx": lambda: vlx.explain(model.read([photo], [QUESTION]), target, method),
            "vlx, every window in full": lambda: vlx.explain(
                in_full(model.read([photo], [QUESTION])), target, method
            ),
            "captum": captums(1),
            "captum, 32 windows at once": captums(32),
        },
        runs,
    )
    told = f"{model.name}: occlusion of one answer, {WINDOW} pixels, stride {STRIDE}, medians of {runs} runs"
    print_beside(told, "vlx", seconds)


def in_full(run: vlx.Pass) -> vlx.Pass:
    """The same Pass, of which every window is computed in full."""
    assert run.below is not None
    return replace(run, below=replace(run.below, cnn=None))


def print_shared_windows(model: CNNLSTMCaptioner, runs: int) -> None:
    """What occlusion of a deep CNN saves: where changes alone are computed, and where texts share windows."""
    photo = open_image(batch_of_images(1)[0].image)
    texts = ["a dog on the sand", "a cat", "two birds", "a red car", "an umbrella on the grass"]
    method, stride = vlx.occlusion_with(size=WINDOW, stride=4 * STRIDE), 4 * STRIDE

    def work(count: int) -> Callable[[], object]:
        run = model.read([photo] * count, texts[:count])
        return lambda: vlx.explain(run, [vlx.caption()], method)

    whole = in_full(model.read([photo], texts[:1]))
    seconds = alternating(
        {
            "1 caption": work(1),
            "1 caption, every window in full": lambda: vlx.explain(whole, [vlx.caption()], method),
            "5 captions of one image": work(5),
        },
        runs,
    )
    told = f"{model.name}: occlusion of captions, {WINDOW} pixels, stride {stride}, medians of {runs} runs"
    print_beside(told, "1 caption", seconds)


def print_layouts(runs: int) -> None:
    """Networks with weights of convolutions channels last, as adapters load them, beside the usual order."""
    pixels = torch.randn(BATCH, 3, 224, 224)
    for name in ("vgg16", "resnet50", "inception_v3", "squeezenet1_1"):
        usual = torchvision_network(name).eval()
        networks = {"channels last": ready(copy.deepcopy(usual), "cpu"), "usual order": usual}
        with torch.no_grad():
            seconds = alternating({key: partial(network, pixels) for key, network in networks.items()}, runs)
        told = f"{name}: {BATCH} images of 224 pixels, medians of {runs} runs"
        print_beside(told, "channels last", seconds)


def print_summaries(columns: int = 8, items: int = 50_000) -> None:
    """Summaries of several columns of as many items, all from one bootstrap draw, and each from its own."""
    random = np.random.default_rng(0)
    values = {f"column {at}": random.normal(size=items).tolist() for at in range(columns)}
    outcomes = {name: [Outcome(value) for value in column] for name, column in values.items()}
    found: dict[str, dict[str, Summary]] = {}
    works: dict[str, Callable[[], dict[str, Summary]]] = {
        "one draw for all": lambda: summarise_all(outcomes),
        "a draw for each": lambda: {name: summarise(column) for name, column in outcomes.items()},
    }
    seconds: dict[str, float] = {}
    for name, work in works.items():
        began = time.perf_counter()
        found[name] = work()
        seconds[name] = time.perf_counter() - began
    print_beside(f"summaries of {columns} columns of {items} items, once", "one draw for all", seconds)
    first, second = (
        np.array([one.interval for one in some.values()], dtype=np.float64) for some in found.values()
    )
    print(f"  ends of intervals differ by {np.abs(first - second).max():.1e} at most")


def print_beside(told: str, base: str, seconds: Mapping[str, float]) -> None:
    """Seconds of each work, and as a ratio of one of them."""
    print(f"\n{told}")
    for name, value in seconds.items():
        print(f"  {name:32s} {value:9.2f} s   {value / seconds[base]:6.2f} x {base}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of evaluations.")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for model in (load_captioner(), vgg_captioner()):
        print_pointing(model, given.runs)
    print_memory(load_captioner())
    print_occlusion(given.runs)
    print_shared_windows(vgg_captioner(), given.runs)
    for name, side in NETWORKS.items():
        print_occluded(name, side, given.runs)
    print_layouts(given.runs)
    print_summaries()


if __name__ == "__main__":
    main()
