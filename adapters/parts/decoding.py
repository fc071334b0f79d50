"""Greedy and beam decoding for a model that is stepped one word at a time."""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlx.errors import VlxError

State = TypeVar("State")
Step = Callable[[State, Int[Tensor, " row"]], tuple[State, Float[Tensor, "row choice"]]]
"""Feed one word to each row: the new state, and the log-probabilities of the next word."""
Select = Callable[[State, Int[Tensor, " row"]], State]
"""The state of some rows, in the given order."""
Search = Callable[..., list[int]]
"""A way to search with a beam: `beam_search`, or `im2txt_beam` with the same arguments."""

_RARE = math.log(1e-12)  # im2txt drops what is less likely than this


def greedy(
    state: State, step: Step[State], batch: int, start: int, end: int, steps: int, device: torch.device
) -> list[list[int]]:
    """The likeliest next word, again and again, for each row; the end token is not returned."""
    said = torch.full((batch,), start, device=device)
    done = torch.zeros(batch, dtype=torch.bool, device=device)
    words: list[Tensor] = []
    for _ in range(steps):
        state, scores = step(state, said)
        said = scores.argmax(-1)
        done = done | (said == end)
        words.append(said.masked_fill(done, end))
        if bool(done.all()):
            break
    rows: list[list[int]] = torch.stack(words, 1).tolist() if words else [[] for _ in range(batch)]
    return [row[: row.index(end)] if end in row else row for row in rows]


def beam_search(
    state: State,
    step: Step[State],
    select: Select[State],
    width: int,
    start: int,
    end: int,
    steps: int,
    device: torch.device,
) -> list[int]:
    """The caption with the highest sum of log-probabilities among ``width`` kept at each step.

    For a state of one row. A caption that ends among the best ``width`` keeps its sum, its end token
    included, and the next best moves up; captions cut off at ``steps`` words compete too. No length
    normalisation, as in neuraltalk2. (There a caption that has ended keeps its place and goes on, which
    changes nothing: what it keeps out has a lower sum, and sums only fall.) A width of 1 gives what
    `greedy` gives.
    """
    need_width(width)
    said = torch.full((1,), start, device=device)
    sums = torch.zeros(1, device=device)
    beams: list[list[int]] = [[]]
    finished: list[tuple[float, list[int]]] = []
    for _ in range(steps):
        state, scores = step(state, said)
        totals = sums[:, None] + scores
        best = totals.flatten().topk(min(width + len(beams), totals.numel()))
        kept: list[tuple[float, int, int]] = []
        ranked = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        for rank, (total, flat) in enumerate(ranked):
            row, word = divmod(flat, totals.shape[1])
            if word == end:
                finished += [(total, beams[row])] if rank < width else []
            elif len(kept) < width:
                kept.append((total, row, word))
        beams = [[*beams[row], word] for _, row, word in kept]
        rows = torch.tensor([row for _, row, _ in kept], device=device)
        said = torch.tensor([word for _, _, word in kept], device=device)
        sums = torch.tensor([total for total, _, _ in kept], device=device, dtype=scores.dtype)
        state = select(state, rows)
        best_done = max((total for total, _ in finished), default=-torch.inf)
        if best_done >= float(sums.max()):  # sums only fall, so nothing better can come
            break
    finished += list(zip(sums.tolist(), beams, strict=True))
    return max(finished, key=lambda pair: pair[0])[1]


def im2txt_beam(
    state: State,
    step: Step[State],
    select: Select[State],
    width: int,
    start: int,
    end: int,
    steps: int,
    device: torch.device,
) -> list[int]:
    """The search of im2txt: the best caption that has ended, whatever the others would have become.

    Each caption is continued by its own ``width`` likeliest words; of what has not ended the best
    ``width`` go on. Only where nothing ended within ``steps`` words does the best of these win.
    """
    need_width(width)
    said = torch.full((1,), start, device=device)
    going: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for _ in range(steps):
        state, scores = step(state, said)
        best = scores.topk(min(width, scores.shape[1]))
        longer: list[tuple[float, list[int], int]] = []
        for row, (total, words) in enumerate(going):
            for score, word in zip(best.values[row].tolist(), best.indices[row].tolist(), strict=True):
                if score < _RARE:
                    continue
                if word == end:
                    ended.append((total + score, words))
                else:
                    longer.append((total + score, [*words, word], row))
        if not longer:
            break
        kept = sorted(longer, key=lambda item: -item[0])[:width]
        going = [(total, words) for total, words, _ in kept]
        state = select(state, torch.tensor([row for _, _, row in kept], device=device))
        said = torch.tensor([words[-1] for _, words in going], device=device)
    return max(ended or going, key=lambda pair: pair[0])[1]


def need_width(width: int) -> None:
    """Raise VlxError for a beam that holds no caption."""
    if width < 1:
        raise VlxError(f"a beam of {width} holds no caption: use 1 (greedy) or more")
