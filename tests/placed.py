"""Where, and in which precision, the models of the conformance tests run.

On the CPU in their own precision, unless ``VLX_TEST_DEVICE`` (cuda) or ``VLX_TEST_DTYPE`` (float64, float32,
bfloat16, float16) say otherwise, as ``make check-gpu`` does.
"""

import os

import torch
from torch import nn

DEVICE = torch.device(os.environ.get("VLX_TEST_DEVICE", "cpu"))
_named = os.environ.get("VLX_TEST_DTYPE")
DTYPE: torch.dtype | None = getattr(torch, _named) if _named else None

_BESIDE = {torch.float64: 1e-8, torch.float32: 2e-3, torch.float16: 3e-2, torch.bfloat16: 2e-1}


def place(network: nn.Module) -> None:
    """Move a network to where it is to be tested."""
    if DTYPE is not None or DEVICE.type != "cpu":
        network.to(DEVICE, DTYPE)


def beside(own: float, found: torch.dtype) -> float:
    """The relative error that is allowed: a test's own, and what precision and device add."""
    least = 1e-6 if found == torch.float32 else 0.0
    if DTYPE is None and DEVICE.type == "cpu":
        return max(own, least)
    return max(own, least, _BESIDE[DTYPE or torch.float64])


def half() -> bool:
    """Whether they run in 16 bits."""
    return DTYPE in (torch.float16, torch.bfloat16)
