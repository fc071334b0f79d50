"""Whether words are scored at their own step: by those before them, and by none that follows."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.check.outcome import Check, apart, judged, moves, spared, tolerance
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading, Word

Say = Callable[[str], Pass]
"""Reads a model on one caption of the image, or one text behind the prompt."""

CHANGED_WORD = ("later words", "next word")
"""The two checks that one changed word makes."""
LONGEST = 8
"""Words of a caption that are scored one after the other."""


def check_changed_word(said: Pass, say: Say) -> tuple[Check, Check]:
    """Put another word in the middle of a caption: earlier scores must stay, the next step's must move.

    ``said`` is the Pass of the caption, of which the first item counts.
    """
    reading = said.readings[0]
    words = [word.text for word in reading.words]
    others = [other for other in dict.fromkeys(words) if other.lower() != words[len(words) // 2].lower()]
    at = len(words) // 2
    if not others:
        reason = "the caption has no two words that differ"
        return spared(CHANGED_WORD[0], reason), spared(CHANGED_WORD[1], reason)
    changed = say(" ".join([*words[:at], others[-1], *words[at + 1 :]]))
    now = changed.readings[0]
    if not _alike(reading, now, at):
        reason = f"{others[-1]!r} in the place of {words[at]!r} is read as other words"
        return spared(CHANGED_WORD[0], reason), spared(CHANGED_WORD[1], reason)
    close = tolerance(_rows(said, reading), said.features.dtype)
    first = reading.words[at].steps[0]
    before = range(reading.words[0].steps[0], first + 1)
    moved = max(apart(said.scores[0, step], changed.scores[0, step]) for step in before)
    told = f"another word at {at} moves the scores of the words up to it by {moved:.2g}"
    stays = judged(CHANGED_WORD[0], moved <= close, told)
    behind = _next_step(reading, at), _next_step(now, at)
    if behind[0] is None or behind[1] is None:
        return stays, spared(CHANGED_WORD[1], "no step is scored behind the changed word")
    one, other = said.scores[0, behind[0]], changed.scores[0, behind[1]]
    told = f"another word at {at} moves the scores of the step behind it by {apart(one, other):.2g}"
    return stays, judged(CHANGED_WORD[1], moves(one, other), told)


def check_sum(said: Pass, say: Say) -> Check:
    """Read a caption word by word, each time one more: the scores must add up to those of one pass."""
    words = said.readings[0].words[:LONGEST]
    if not words:
        return spared("sum", "the caption has no words")
    at_once = sum(_score(said, word) for word in words)
    one_by_one = 0.0
    for count in range(1, len(words) + 1):
        upto = say(" ".join(word.text for word in words[:count]))
        again = upto.readings[0].words
        if len(again) != count or again[-1].ids != words[count - 1].ids:
            return spared("sum", f"the first {count} words are read as other ones by themselves")
        one_by_one += _score(upto, again[-1])
    close = tolerance(_rows(said, said.readings[0]), said.features.dtype) * len(words)
    told = f"log-probability {at_once:.4f} in one pass, {one_by_one:.4f} word by word"
    return judged("sum", abs(at_once - one_by_one) <= close, told)


def check_own_words(said: Pass) -> Check:
    """What the model wrote without a beam is the likeliest at its steps, read again, where it writes so."""
    steps = [
        (step, index)
        for word in said.readings[0].words
        for step, index in zip(word.steps, word.ids, strict=True)
    ]
    if not steps:
        return spared("own words", "the model wrote nothing")
    best = said.scores[0].detach().argmax(-1)
    hits = sum(int(best[step]) == index for step, index in steps)
    told = f"{hits} of the {len(steps)} tokens that it wrote are the likeliest when they are read again"
    if 2 * hits < len(steps):
        return spared("own words", f"{told}: it draws its words, or reads others than it writes")
    return judged("own words", True, told)


def _alike(one: Reading, other: Reading, at: int) -> bool:
    """Whether two readings differ in the word at a position alone."""
    ids = [[word.ids for word in reading.words] for reading in (one, other)]
    return (
        len(ids[0]) == len(ids[1])
        and ids[0][:at] == ids[1][:at]
        and ids[0][at] != ids[1][at]
        and one.words[at].steps[0] == other.words[at].steps[0]
    )


def _next_step(reading: Reading, at: int) -> int | None:
    """The step that is scored behind a word: of the next one, or of the end."""
    words: Sequence[Word] = (*reading.words, *((reading.end,) if reading.end else ()))
    return words[at + 1].steps[0] if at + 1 < len(words) else None


def _rows(said: Pass, reading: Reading) -> Float[Tensor, "step choice"]:
    return said.scores[0, [step for word in reading.words for step in word.steps]].detach()


def _score(said: Pass, word: Word) -> float:
    steps, ids = torch.tensor(word.steps), torch.tensor(word.ids)
    return float(said.scores[0].detach().cpu()[steps, ids].double().sum())
