"""How a model that is stepped one word at a time finds a caption: greedily, or with a beam.

The published models search with beams that differ in four things only; each is a `Policy` of one search.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

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
"""A way to search with a beam, as `beam_search`: the arguments of `searched` but for its policy."""

_RARE = math.log(1e-12)  # im2txt drops what is less likely than this
_FAR = 1000.0  # what ImageCaptioning.pytorch takes off a word that it is not to say


class Caption(NamedTuple):
    """The words of a caption so far, its end token left out, and the sum of their log-probabilities."""

    total: float
    words: list[int]


class Candidate(NamedTuple):
    """A caption of a row with one word more, and the sum of its log-probabilities."""

    total: float
    row: int
    word: int


@dataclass(frozen=True)
class Policy:
    """What tells one beam search from another."""

    ranked: Callable[[Float[Tensor, "row choice"], Sequence[float], int, int], list[Candidate]]
    """(scores, sums of the rows, width, captions that ended before) to what is looked at, best first."""
    may_end: Callable[[list[Candidate], int], list[Candidate]]
    """(ranked, width) to those that count as ended if their word is the end token."""
    enough: Callable[[list[Caption], list[Caption]], bool]
    """(ended, going on) to whether the search stops before all have ended."""
    compete: Callable[[list[Caption], list[Caption]], list[Caption]]
    """(ended, going on) to those of which the best wins."""


def greedy(
    state: State, step: Step[State], batch: int, start: int, end: int, steps: int, device: torch.device
) -> list[list[int]]:
    """The likeliest next word, again and again, for each row; the end token is not returned.

    >>> after = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # scores after each word
    >>> greedy((), lambda state, said: (state, after[said]), 1, 0, 0, 9, torch.device("cpu"))
    [[1, 2]]
    """
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


def searched(
    policy: Policy, state: State, step: Step[State], select: Select[State],
    width: int, start: int, end: int, steps: int, device: torch.device,
) -> list[int]:  # fmt: skip
    """The caption that a beam finds from the state of one row, its end token left out.

    Captions are compared by the sums of their log-probabilities, the end token's included, without
    length normalisation; at most ``width`` of them go on, for at most ``steps`` words. Raises VlxError
    for a width below 1.
    """
    if width < 1:
        raise VlxError(f"a beam of {width} holds no caption: use 1 (greedy) or more")
    said = torch.full((1,), start, device=device)
    going, ended = [Caption(0.0, [])], list[Caption]()
    for _ in range(steps):
        state, scores = step(state, said)
        ranked = policy.ranked(scores, [caption.total for caption in going], width, len(ended))
        done = [one for one in policy.may_end(ranked, width) if one.word == end]
        kept = [one for one in ranked if one.word != end][:width]
        ended += [Caption(one.total, going[one.row].words) for one in done]
        if not kept:
            going = [] if ended else going  # where no word is left to say, what was said stands
            break
        going = [Caption(one.total, [*going[one.row].words, one.word]) for one in kept]
        if policy.enough(ended, going):
            break
        state = select(state, torch.tensor([one.row for one in kept], device=device))
        said = torch.tensor([one.word for one in kept], device=device)
    return max(policy.compete(ended, going), key=lambda caption: caption.total).words


def _likeliest(scores: Float[Tensor, "row choice"], sums: Sequence[float], count: int) -> list[Candidate]:
    """The best continuations of all rows together; sums are as precise as the scores."""
    totals = scores + torch.tensor(sums, device=scores.device, dtype=scores.dtype)[:, None]
    best = totals.flatten().topk(min(count, totals.numel()))
    return [
        Candidate(total, *divmod(flat, totals.shape[1]))
        for total, flat in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _of_each(
    scores: Float[Tensor, "row choice"], sums: Sequence[float], width: int, _ended: int
) -> list[Candidate]:
    """Each row's own ``width`` likeliest words, the rare ones left out."""
    best = scores.topk(min(width, scores.shape[1]))
    found = [
        Candidate(total + score, row, word)
        for row, total in enumerate(sums)
        for score, word in zip(best.values[row].tolist(), best.indices[row].tolist(), strict=True)
        if score >= _RARE
    ]
    return sorted(found, key=lambda one: -one.total)


def _with_spare(
    scores: Float[Tensor, "row choice"], sums: Sequence[float], width: int, _ended: int
) -> list[Candidate]:
    """The best ``width``, and as many more as may have to move up, since each row can end but once."""
    return _likeliest(scores, sums, width + len(sums))


def _the_width(
    scores: Float[Tensor, "row choice"], sums: Sequence[float], width: int, _ended: int
) -> list[Candidate]:
    return _likeliest(scores, sums, width)


def _what_is_left(
    scores: Float[Tensor, "row choice"], sums: Sequence[float], width: int, ended: int
) -> list[Candidate]:
    return _likeliest(scores, sums, width - ended)


def _the_best(ranked: list[Candidate], width: int) -> list[Candidate]:
    return ranked[:width]


def _any(ranked: list[Candidate], _width: int) -> list[Candidate]:
    return ranked


def _nothing_better_can_come(ended: list[Caption], going: list[Caption]) -> bool:
    """Since sums only fall."""
    return max((one.total for one in ended), default=-math.inf) >= max(one.total for one in going)


def _never(_ended: list[Caption], _going: list[Caption]) -> bool:
    return False


def _all(ended: list[Caption], going: list[Caption]) -> list[Caption]:
    return [*ended, *going]


def _ended_first(ended: list[Caption], going: list[Caption]) -> list[Caption]:
    return ended or going


beam_search: Search = partial(searched, Policy(_with_spare, _the_best, _nothing_better_can_come, _all))
"""The caption with the highest sum among ``width`` kept at each step, as in neuraltalk2.

A caption that ends among the best ``width`` keeps its sum, and the next best moves up; captions cut off at
``steps`` words compete too. (In neuraltalk2 a caption that has ended keeps its place and goes on, which
changes nothing: what it keeps out has a lower sum, and sums only fall.) A width of 1 gives what `greedy`
gives.
"""

im2txt_beam: Search = partial(searched, Policy(_of_each, _any, _never, _ended_first))
"""The search of im2txt: the best caption that has ended, whatever the others would have become.

Each caption is continued by its own ``width`` likeliest words; of what has not ended the best ``width`` go
on. Only where nothing ended within ``steps`` words does the best of these win.
"""

shrinking_beam: Search = partial(searched, Policy(_what_is_left, _the_best, _never, _ended_first))
"""The search of sgrvinod's tutorial: each caption that ends makes the beam narrower.

The best that has ended wins; only where none has within ``steps`` words, the best of the others.
"""

_REFILLED = Policy(_the_width, _the_best, _never, _all)


def refilled_beam(state: State, step: Step[State], *given: Any, never: int | None = None) -> list[int]:
    """The search of ImageCaptioning.pytorch: those that go on fill the places of those that ended.

    Captions cut off at ``steps`` words compete too. The word ``never`` is not said, as UNK there. The
    other arguments are those of `searched`.
    """

    def without(state: State, said: Tensor) -> tuple[State, Float[Tensor, "row choice"]]:
        state, scores = step(state, said)
        if never is not None:
            scores = scores.clone()
            scores[:, never] -= _FAR
        return state, scores

    return searched(_REFILLED, state, without, *given)
