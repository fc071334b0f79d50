"""What occlusion costs where CNNs run again only in what changed: ``python -m benchmarks.occluded``.

Windows of 35 pixels, 8 apart, in batches of 16, as `vlx.occlusion` hides them: every seventh batch, in full
and where changed alone, in turn. Beside the seconds stand the largest difference of the scores and the share
of multiply-adds: that was done, and that any exact way has to do, each window by itself.
"""

import argparse
import copy
import time
from statistics import median
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import vlx.methods.occlusion.changed
from benchmarks.speed import RUNS
from vlx.adapters.files.weights import ready
from vlx.adapters.nets.backbones import torchvision_network
from vlx.methods.occlusion.incremental import changes_only

BATCH, EVERY = 16, 7
WINDOW, STRIDE = 35, 8
NETWORKS = {"resnet50": 224, "inception_v3": 299, "vgg16": 224}


def hidden(image: Tensor) -> list[Tensor]:
    """Every seventh batch of an image with one window hidden in each, row by row."""
    side = image.shape[-1]
    first = (side - 1) % STRIDE // 2
    centres = range(first, side, STRIDE)
    windows = [(row - WINDOW // 2, col - WINDOW // 2) for row in centres for col in centres]
    batches: list[Tensor] = []
    for start in range(0, len(windows), EVERY * BATCH):
        some = windows[start : start + BATCH]
        images = image.repeat(len(some), 1, 1, 1)
        for one, (top, left) in zip(images, some, strict=True):
            one[:, max(top, 0) : top + WINDOW, max(left, 0) : left + WINDOW] = 0
        batches.append(images)
    return batches


def print_occluded(name: str, side: int, runs: int) -> None:
    """Seconds, differences and multiply-adds of one network."""
    torch.manual_seed(0)
    network = ready(torchvision_network(name).eval(), "cpu")
    again = copy.deepcopy(network)
    image = torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    batches = hidden(image)
    spent: dict[str, list[float]] = {"full": [], "changed": []}
    largest = 0.0
    with torch.no_grad(), changes_only(again):
        again(image)
        again(batches[0])  # is compared with the network in full
        for _ in range(runs):
            seconds = {"full": 0.0, "changed": 0.0}
            for images in batches:
                scores: list[Tensor] = []
                for way, run in (("full", network), ("changed", again)):
                    began = time.perf_counter()
                    scores.append(run(images))
                    seconds[way] += time.perf_counter() - began
                largest = max(largest, float((scores[0] - scores[1]).abs().max() / scores[0].abs().max()))
            for way, value in seconds.items():
                spent[way].append(value)
    full, changed = (median(values) for values in spent.values())
    windows = sum(map(len, batches))
    print(
        f"\n{name}: {windows} windows of {WINDOW} pixels, {STRIDE} apart, medians of {runs} runs in turn\n"
        f"  in full {full:.2f} s, where changed {changed:.2f} s: {full / changed:.2f} x as fast; "
        f"scores differ by {largest:.1e} of the largest at most"
    )
    # Counted in double precision, where no operation is fused into another that the counter does not know.
    again, image, batches = again.double(), image.double(), [images.double() for images in batches]
    whole = operations(network.double(), batches)
    done = done_again(again, image, batches)
    with mock.patch.object(vlx.methods.occlusion.changed, "MOST", 1.0):
        due = done_again(again, image, [one[None] for images in batches for one in images])
    print(
        f"  multiply-adds: {done / whole:.1%} are done, {due / whole:.1%} must be, each window by itself: "
        f"{whole / due:.2f} x is the most that leaving out gives"
    )


@torch.no_grad()
def done_again(network: nn.Module, image: Tensor, batches: list[Tensor]) -> int:
    """How many operations batches take where only what changed is computed."""
    with changes_only(network):
        network(image)
        network(batches[0])
        return operations(network, batches)


@torch.no_grad()
def operations(network: nn.Module, batches: list[Tensor]) -> int:
    """How many operations of convolutions and linear layers some batches take."""
    with FlopCounterMode(display=False) as counted:
        for images in batches:
            network(images)
    return counted.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description="Occlusion where CNNs run again only in what changed.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in given.networks:
        print_occluded(name, NETWORKS[name], given.runs)


if __name__ == "__main__":
    main()
