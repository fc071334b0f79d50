"""What a check of an adapter found, and how far numbers of one precision may be apart."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Outcome = Literal["pass", "fail", "not applicable"]

_BESIDE = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.15}


@dataclass(frozen=True)
class Check:
    """One check of an adapter, with what was measured or why nothing was.

    >>> Check("question", "pass", "another question moves the scores by 0.4").line
    'pass: another question moves the scores by 0.4'
    """

    name: str
    outcome: Outcome
    told: str

    @property
    def line(self) -> str:
        """The outcome and what was measured, as provenance shows them."""
        return f"{self.outcome}: {self.told}"


def judged(name: str, passes: bool, told: str) -> Check:
    """A check that was made."""
    return Check(name, "pass" if passes else "fail", told)


def spared(name: str, reason: str) -> Check:
    """A check that means nothing here."""
    return Check(name, "not applicable", reason)


def apart(one: Float[Tensor, "*any"], other: Float[Tensor, "*any"]) -> float:
    """The largest difference of two rows of scores; entries that are infinite in both are equal."""
    one, other = one.detach().double(), other.detach().double()
    return float(torch.where(one == other, 0.0, (one - other).abs()).amax()) if one.numel() else 0.0


def moves(one: Float[Tensor, "*any"], other: Float[Tensor, "*any"]) -> bool:
    """Whether two rows of scores differ by more than rounding; of what takes no part they are the same."""
    finite = one.detach()[one.detach().isfinite()].double()
    largest = float(finite.abs().amax()) if len(finite) else 0.0
    return apart(one, other) > 4 * torch.finfo(one.dtype).eps * largest


def tolerance(scores: Float[Tensor, "*any"], computed: torch.dtype) -> float:
    """How far equal scores may be apart that were computed in this precision, in another order."""
    finite = scores.detach()[scores.detach().isfinite()]
    largest = float(finite.abs().amax()) if len(finite) else 0.0
    return _BESIDE.get(computed, 0.15) * max(1.0, largest / 10)
