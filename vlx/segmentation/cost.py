"""What the dense CRF costs in time and memory."""

import statistics
import time
from dataclasses import dataclass

import torch

from vlx.segmentation.crf import mean_field


@dataclass(frozen=True)
class Cost:
    """Of one image."""

    milliseconds: float
    """The median."""
    megabytes: float
    """The most that is held at once beyond what is given: measured on a GPU, of matrices elsewhere."""


def crf_cost(grid: tuple[int, int], classes: int, images: int = 5, device: str = "cpu") -> Cost:
    """Refine random probabilities of random images, one by one, with the parameters of SEC.

    >>> crf_cost((8, 8), 3, images=1).megabytes
    0.034304
    """
    random = torch.Generator().manual_seed(0)
    cuda = torch.device(device).type == "cuda"
    times: list[float] = []
    most = held = 0
    for _ in range(images + 1):  # the first warms up
        found = torch.rand(1, classes, *grid, generator=random).softmax(1).to(device)
        image = (torch.rand(1, 3, *grid, generator=random) * 255).to(device)
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        began = time.perf_counter()
        mean_field(found, image)
        if cuda:
            torch.cuda.synchronize()
            most = torch.cuda.max_memory_allocated() - held
        times.append(time.perf_counter() - began)
    places = grid[0] * grid[1]
    # Two kernels and no copy of either, and the probabilities of a step before and after it.
    counted = 4 * (2 * places**2 + 2 * places * classes)
    return Cost(1000 * statistics.median(times[1:]), (most if cuda else counted) / 1e6)
