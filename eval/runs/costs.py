"""What a method costs: runs of the model, ways back, seconds beside a bare forward, memory.

Runs are counted at the doors of a Pass, through which every method reaches the model; seconds are measured
side by side with the bare forward, in turn, so that both see the same load.
"""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vlx.errors import VlxError
from vlx.explain import explain
from vlx.methods.values import Method
from vlx.passes.forward import Again, Below, Pass
from vlx.passes.targets import Target

RUNS = 5
ENOUGH = 20.0
"""Seconds after which a method is not run again."""

Read = Callable[[], Pass]
"""Reads the image and the text anew."""


@dataclass(frozen=True)
class Cost:
    """What one call of `vlx.explain` took, from the image to the maps of all targets."""

    targets: int
    forwards: int
    """Images that went through the whole network, the untouched one included."""
    below: int
    """Images that went through the part below the layer alone."""
    heads: int
    """Features that went through the part above the layer alone."""
    backwards: int
    """Ways back; one serves all targets where they are batched."""
    seconds: float
    """The median of several runs."""
    ratio: float
    """The median of seconds over those of a bare forward, each pair measured one after the other."""
    runs: int
    memory: int | None
    """Bytes that were held at most beyond what was there before; None where the system does not tell."""


class Counts(TorchFunctionMode):
    """Counts the runs and the ways back of what is done with a Pass in the block."""

    def __init__(self) -> None:
        super().__init__()
        self.forwards = self.below = self.heads = self.backwards = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        self.backwards += func is torch.autograd.grad
        return func(*args, **(kwargs or {}))

    def watched(self, passed: Pass) -> Pass:
        """The same Pass, whose doors are counted; reading it was one forward."""
        self.forwards += passed.batch
        below, above = passed.below, passed.above
        doors = (
            None
            if below is None
            else replace(below, rescore=self._rescore(below), encode=self._encode(below))
        )
        return replace(passed, below=doors, above=above and self._above(above))

    def _rescore(self, below: Below) -> Callable[[Tensor, int], Tensor] | None:
        rescore = below.rescore
        if rescore is None:
            return None

        def counted(pixels: Tensor, position: int) -> Tensor:
            self.forwards += len(pixels)
            return rescore(pixels, position)

        return counted

    def _encode(self, below: Below) -> Callable[[Tensor], Tensor] | None:
        encode = below.encode
        if encode is None:
            return None

        def counted(pixels: Tensor) -> Tensor:
            self.below += len(pixels)
            return encode(pixels)

        return counted

    def _above(self, above: Callable[[int, Tensor], Again]) -> Callable[[int, Tensor], Again]:
        def counted(position: int, features: Tensor) -> Again:
            self.heads += len(features)
            return above(position, features)

        return counted


def cost_of(
    read: Read, targets: Sequence[Target], method: Method, *, runs: int = RUNS, enough: float = ENOUGH
) -> Cost:
    """What a method costs on one image and text, for some targets.

    The bare forward is the model's on the same pixels and text, without gradients; where a Pass cannot score
    other pixels, it is the reading. Every round runs both; after ``enough`` seconds there is no further one.
    Raises what the method raises.
    """
    counts, bare = Counts(), _bare(read)

    def work() -> object:
        return explain(read(), list(targets), method)

    began = time.perf_counter()
    with counts:
        explain(counts.watched(read()), list(targets), method)
    long = time.perf_counter() - began > enough
    bare()
    seconds, ratios = list[float](), list[float]()
    single, began = _timed(bare), time.perf_counter()
    memory = peak_beyond(work)
    took = time.perf_counter() - began
    if long:  # it is not run once more for the time alone
        seconds, ratios = [took], [took / single]
    began = time.perf_counter()
    while not seconds or (not long and len(seconds) < runs and time.perf_counter() - began < enough):
        single, mine = _timed(bare), _timed(work)
        seconds.append(mine)
        ratios.append(mine / single)
    return Cost(
        len(targets), counts.forwards, counts.below, counts.heads, counts.backwards,
        statistics.median(seconds), statistics.median(ratios), len(seconds), memory,
    )  # fmt: skip


def _bare(read: Read) -> Callable[[], object]:
    passed = read()
    if passed.below is None or passed.below.rescore is None:
        return read
    pixels, rescore = passed.below.pixels[:1].detach(), passed.below.rescore
    return lambda: rescore(pixels, 0)


def _timed(work: Callable[[], object]) -> float:
    _wait()
    began = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_beyond(work: Callable[[], object]) -> int | None:
    """Bytes that some work holds at most beyond what is there before it; None where no system tells.

    On a GPU that is used it is the GPU's memory, else what Linux counts as resident. Memory that the process
    holds free is given back first, as far as that can be done, so that it is not used unseen.

    >>> found = peak_beyond(lambda: bytearray(1 << 26))
    >>> found is None or found > 1 << 25
    True
    """
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        _wait()
        return torch.cuda.max_memory_allocated() - before
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back
        before = _resident("VmRSS")
    except (OSError, VlxError):
        work()
        return None
    work()
    return max(0, _resident("VmHWM") - before)


def _resident(what: str) -> int:
    """Bytes that Linux counts under a name for this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise VlxError(f"no {what} in the status of this process")
