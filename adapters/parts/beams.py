"""The beam searches of PyTorch captioners, which treat captions that have ended each in their own way.

For a state of one row, with the arguments of `vlx.adapters.parts.decoding.beam_search`. Sums of
log-probabilities decide, the end token's included, without length normalisation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.adapters.parts.decoding import Select, State, Step, need_width

Scored = list[tuple[float, list[int]]]
"""Captions without their end, and their sums."""

_FAR = 1000.0  # what ImageCaptioning.pytorch takes off a word that it is not to say


def shrinking_beam(
    state: State, step: Step[State], select: Select[State],
    width: int, start: int, end: int, steps: int, device: torch.device,
) -> list[int]:  # fmt: skip
    """The search of sgrvinod's tutorial: each caption that ends makes the beam narrower.

    The best that has ended wins; only where none has within ``steps`` words, the best of the others.
    """
    ended, going = _searched(state, step, select, width, start, end, steps, device, refill=False)
    return max(ended or going, key=lambda pair: pair[0])[1]


def refilled_beam(
    state: State, step: Step[State], select: Select[State],
    width: int, start: int, end: int, steps: int, device: torch.device,
    *, never: int | None = None,
) -> list[int]:  # fmt: skip
    """The search of ImageCaptioning.pytorch: those that go on fill the places of those that ended.

    Captions cut off at ``steps`` words compete too. The word ``never`` is not said, as UNK there.
    """

    def without(state: State, said: Tensor) -> tuple[State, Float[Tensor, "row choice"]]:
        state, scores = step(state, said)
        if never is not None:
            scores = scores.clone()
            scores[:, never] -= _FAR
        return state, scores

    ended, going = _searched(state, without, select, width, start, end, steps, device, refill=True)
    return max((*ended, *going), key=lambda pair: pair[0])[1]


def _searched(
    state: State, step: Step[State], select: Select[State],
    width: int, start: int, end: int, steps: int, device: torch.device, *, refill: bool,
) -> tuple[Scored, Scored]:  # fmt: skip
    """The captions that ended, and those that were still going."""
    need_width(width)
    said = torch.full((1,), start, device=device)
    going: Scored = [(0.0, [])]
    ended: Scored = []
    for _ in range(steps):
        state, scores = step(state, said)
        totals = (
            scores + torch.tensor([total for total, _ in going], device=device, dtype=scores.dtype)[:, None]
        )
        best = totals.flatten().topk(min(width if refill else width - len(ended), totals.numel()))
        kept: list[tuple[float, list[int], int]] = []
        for total, flat in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, word = divmod(flat, totals.shape[1])
            if word == end:
                ended.append((total, going[row][1]))
            else:
                kept.append((total, [*going[row][1], word], row))
        going = [(total, words) for total, words, _ in kept]
        if not kept:
            break
        state = select(state, torch.tensor([row for *_, row in kept], device=device))
        said = torch.tensor([words[-1] for _, words in going], device=device)
    return ended, going
