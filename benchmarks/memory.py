"""Memory: what is saved below the layer, what stays alive afterwards, and the peak of a fresh process."""

import gc
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.subjects import SUBJECTS, Subject, bare, ours, subject, words


def saved_below(subject: Subject) -> int:
    """Bytes that autograd saved before the layer's output existed."""
    saved = 0
    below: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size()
        return tensor

    handle = subject.module.register_forward_hook(lambda *_: below.append(saved))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            subject.model.read([subject.image], [subject.text])
    finally:
        handle.remove()
    return below[-1]


def alive_after(subject: Subject) -> int:
    """Bytes of tensors that outlive an explanation, beyond its result."""

    def total() -> int:
        gc.collect()
        found = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
            for t in gc.get_objects()
            if issubclass(type(t), torch.Tensor)
        }
        return sum(found.values())

    work = ours(subject, words())
    work()
    before = total()
    result = work()
    after = total()
    del result
    return after - before


def peak(name: str, what: str) -> int:
    """Peak resident bytes of a fresh process that does one thing: ``forward`` or ``words``."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", name, what], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def peak_while(work: Callable[[], object]) -> int:
    """Peak bytes above what is resident before some work; 0 if Linux's reset of the peak is missing."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
    except OSError:
        return 0
    work()
    return _resident("VmHWM") - before


def _resident(what: str) -> int:
    """Bytes that Linux counts under a name for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith(f"{what}:"))
    return int(found) * 1024


def print_memory(subject: Subject) -> None:
    """Print the three numbers."""
    forward, explained = peak(subject.name, "forward"), peak(subject.name, "words")
    print(f"  saved below the layer: {saved_below(subject)} bytes")
    print(f"  alive after the call beyond the result: {alive_after(subject)} bytes")
    print(
        f"  peak memory: {explained / 2**20:.0f} MiB for all words, {forward / 2**20:.0f} MiB for inference, "
        f"{explained / forward:.3f} x"
    )


def main() -> None:
    """One measurement in this process; see `peak`."""
    name, what = sys.argv[1:]
    assert name in SUBJECTS
    chosen = subject(name)
    work = bare(chosen) if what == "forward" else ours(chosen, words())
    for _ in range(2):
        work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main()
