"""The same digits every time: what torch must be told, and told back, around a measurement."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from vlx.passes.turns import in_turn


@in_turn
@contextmanager
def repeatable(threads: int | None) -> Generator[None, None, None]:
    """A block in which the same batch always gives the same digits; everything is set back after it.

    ``threads`` of the CPU; None takes what torch would.
    """
    before = torch.get_num_threads()
    flags: list[tuple[Any, str, bool]] = [
        (torch.backends.cudnn, "benchmark", False),
        (torch.backends.cudnn, "deterministic", True),
        (torch.backends.cudnn, "allow_tf32", False),
        (torch.backends.cuda.matmul, "allow_tf32", False),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in flags]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS sums in a fixed order with it
    try:
        torch.set_num_threads(threads or before)
        for owner, name, value in flags:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
        torch.set_num_threads(before)
