"""What is explained: named weighted sums of the scores of a Pass.

Every target is linear in the scores, so targets add, subtract and scale, and their gradients do
the same: ``word("dog") - word("cat")`` asks why one and not the other, ``-answer("red")`` is the
counterfactual of the paper's section 3.3 (Eq. 12).
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, SupportsFloat, SupportsIndex

from vlx.errors import TextError, VlxError
from vlx.passes.reading import Reading, Word, runners_up


@dataclass(frozen=True)
class Term:
    """One weighted score: ``weight * scores[step, choice]``."""

    weight: float
    step: int
    choice: int


@dataclass(frozen=True)
class Resolved:
    """A target on one reading: its terms, the words it is about, and its name there."""

    terms: tuple[Term, ...]
    words: tuple[int, ...]
    name: str
    composed: bool = False
    """Whether it adds up, scales or negates other targets, so that its score has no probability."""


@dataclass(frozen=True)
class Target:
    """A named scalar of a Pass, linear in its scores.

    >>> (vlx.word("dog") - vlx.word("cat")).name
    'dog - cat'
    >>> (2 * vlx.caption()).name, (-vlx.answer("red")).name
    ('2 × (caption)', 'not red')
    """

    name: str
    resolve: Callable[[Reading], Resolved]

    def named(self, name: str) -> "Target":
        """The same target under another name."""
        return Target(name, lambda reading: replace(self.resolve(reading), name=name))

    __array_ufunc__ = None
    """NumPy's numbers leave arithmetic with a target to it."""

    def __add__(self, other: "Target") -> "Target":
        if not isinstance(other, Target):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return _compose(f"{self.name} + {other.name}", self, other, 1.0, "+")

    def __radd__(self, other: int) -> "Target":
        return self if other == 0 else NotImplemented  # sum() begins with 0

    def __sub__(self, other: "Target") -> "Target":
        if not isinstance(other, Target):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        return _compose(f"{self.name} - {other.name}", self, other, -1.0, "-")

    def __mul__(self, factor: SupportsFloat) -> "Target":
        if isinstance(factor, Target | str):
            return NotImplemented
        weight = float(factor)  # NumPy's and torch's numbers too

        def resolve(reading: Reading) -> Resolved:
            mine = self.resolve(reading)
            return Resolved(_scaled(mine.terms, weight), mine.words, name, composed=True)

        name = f"{weight:g} × ({self.name})"
        return Target(name, resolve)

    __rmul__ = __mul__

    def __truediv__(self, divisor: SupportsFloat) -> "Target":
        return NotImplemented if isinstance(divisor, Target | str) else self * (1 / float(divisor))

    def __neg__(self) -> "Target":
        def resolve(reading: Reading) -> Resolved:
            mine = self.resolve(reading)
            return Resolved(_scaled(mine.terms, -1.0), mine.words, f"not {mine.name}", composed=True)

        return Target(f"not {self.name}", resolve)

    def against_runners_up(self, count: int = 3, *, weight: float = 0.6) -> "Target":
        """What speaks for this and not for what comes next to it: see `contrast_runners_up`.

        >>> why = vlx.word("light").against_runners_up()
        >>> vlx.explain_caption(captioner, photo, "a traffic light", targets=why).targets[0].name
        'light - 0.6 × 3 runners-up'
        """
        return contrast_runners_up(self, count, weight=weight)


def caption(*, end: bool = False) -> Target:
    """The log-probability of the whole caption: the sum over its words (paper section 8.1).

    The end token does not count, as in the authors' code, unless ``end`` is set.

    >>> targets = [vlx.caption(), vlx.caption(end=True)]
    >>> plain, ended = vlx.explain_caption(captioner, photo, "a dog", targets=targets).targets
    >>> ended.score < plain.score
    True
    """

    def resolve(reading: Reading) -> Resolved:
        _need_caption(reading, "caption()")
        extra = (reading.end,) if end and reading.end else ()
        terms = tuple(term for word in (*reading.words, *extra) for term in _spelled(word))
        return Resolved(terms, tuple(range(len(reading.words))), "caption")

    return Target("caption", resolve)


def word(which: str | SupportsIndex, *, instead: str | None = None) -> Target:
    """The log-probability of one word at its time step (paper section 8.1.1).

    ``which`` is the word itself, if it occurs once, or its position from 0. With ``instead`` it is
    the score of another word at that step, given the same words before: ``word("dog") -
    word("dog", instead="cat")`` asks why the model said dog there and not cat.

    >>> why = vlx.word("light") - vlx.word("light", instead="umbrella")
    >>> found = vlx.explain_caption(captioner, photo, "a traffic light", targets=[why])
    >>> found.targets[0].name, found.targets[0].words
    ('light - umbrella', (2,))
    """

    def resolve(reading: Reading) -> Resolved:
        _need_caption(reading, "word()")
        position = _one(reading, which) if isinstance(which, str) else whole_number(which, "word")
        chosen = reading.word(position)
        at = position % len(reading.words)
        if instead is None:
            return Resolved(_spelled(chosen), (at,), chosen.text)
        choice = reading.choices.index(instead)
        return Resolved((Term(1.0, chosen.steps[0], choice),), (at,), instead)

    name = instead if instead is not None else str(which)
    return Target(name, resolve)


def phrase(text: str) -> Target:
    """The log-probability of several neighbouring words: the sum of theirs.

    >>> both = vlx.phrase("traffic light")
    >>> vlx.explain_caption(captioner, photo, "a traffic light", targets=[both]).targets[0].words
    (1, 2)
    """

    def resolve(reading: Reading) -> Resolved:
        _need_caption(reading, "phrase()")
        at = reading.positions(text)
        terms = tuple(term for position in at for term in _spelled(reading.words[position]))
        return Resolved(terms, at, text)

    return Target(text, resolve)


def answer(name: str | SupportsIndex) -> Target:
    """The logit of an answer, before the softmax (paper section 8.2); by name or index.

    >>> why = vlx.answer("no") - vlx.answer("yes")
    >>> vlx.explain_answer(vqa, photo, "is there a dog?", targets=[why]).targets[0].name
    'no - yes'
    """
    return _choice(name, "answer", "answer()")


def label(name: str | SupportsIndex) -> Target:
    """The logit of a class, before the softmax (paper section 3, Eq. 1); by name or index.

    >>> reading = vlx.Reading("label", (), vlx.Choices(["cat", "dog"], "class"))
    >>> vlx.label("dog").resolve(reading).terms
    (Term(weight=1.0, step=0, choice=1),)
    """
    return _choice(name, "label", "label()")


def _choice(name: str | SupportsIndex, kind: str, call: str) -> Target:
    def resolve(reading: Reading) -> Resolved:
        if reading.kind != kind:
            raise TextError(f"{call} does not fit a {reading.kind}: use {_FITS[reading.kind]}")
        choices = reading.choices
        index = choices.index(name) if isinstance(name, str) else whole_number(name, choices.noun)
        if not 0 <= index < len(choices.names):
            raise TextError(f"no {choices.noun} {index}: there are {len(choices.names)}, counted from 0")
        return Resolved((Term(1.0, 0, index),), (), choices.called(index))

    return Target(str(name), resolve)


def contrast_runners_up(target: Target, count: int = 3, *, weight: float = 0.6) -> Target:
    """A target less ``weight`` times the mean of its ``count`` runners-up (Finer-CAM, arXiv 2501.11309).

    Of a word they are the likeliest other words at its step, signs such as the end left out; of an
    answer or a class those whose logits are nearest. Each token of a phrase or a caption, and each
    part of a composed target, has its own. Where there are fewer, their mean is taken of those. Raises
    VlxError for a count below 1 and a weight that is not finite, TextError where there is no other choice.

    >>> why = vlx.contrast_runners_up(vlx.label("cat"), 1)
    >>> names = vlx.Choices(["cat", "dog", "car"], "class")
    >>> why.resolve(vlx.Reading("label", (), names, scores=torch.tensor([[2.0, 1.0, -5.0]]))).terms
    (Term(weight=1.0, step=0, choice=0), Term(weight=-0.6, step=0, choice=1))
    """
    wanted, share = whole_number(count, "number of runners-up"), float(weight)
    if wanted < 1 or not math.isfinite(share):
        raise VlxError(f"{count} runners-up with weight {weight}: give 1 or more, and a finite weight")

    def resolve(reading: Reading) -> Resolved:
        mine = target.resolve(reading)
        terms = [one for term in mine.terms for one in _against(reading, term, wanted, share)]
        return Resolved(tuple(terms), mine.words, f"{mine.name}{said}", composed=True)

    said = f" - {share:g} × {wanted} {'runner' if wanted == 1 else 'runners'}-up"
    return Target(f"{target.name}{said}", resolve)


def _against(reading: Reading, term: Term, count: int, weight: float) -> list[Term]:
    """A term, and its runners-up taken from it."""
    others = runners_up(reading, term.step, term.choice, count)
    return [term, *(Term(-weight * term.weight / len(others), term.step, other) for other in others)]


def whole_number(value: Any, meant: str) -> int:
    """A position or index as Python, NumPy or torch give it. Raises TextError for anything else."""
    try:
        if "bool" in str(getattr(value, "dtype", type(value))):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TextError(
            f"{value!r} names no {meant.removeprefix('a ')}: give its text or its index"
        ) from None


_FITS = {"caption": "word(), phrase() or caption()", "answer": "answer()", "label": "label()"}


def _need_caption(reading: Reading, call: str) -> None:
    if reading.kind != "caption":
        raise TextError(f"{call} does not fit a {reading.kind}: use {_FITS[reading.kind]}")
    if not reading.words:
        raise TextError(f"{call} needs words, but the caption is empty")


def _one(reading: Reading, text: str) -> int:
    first, *more = reading.positions(text)
    if more:
        raise TextError(f"{text!r} is several words: use phrase({text!r})")
    return first


def _spelled(word: Word) -> tuple[Term, ...]:
    return tuple(Term(1.0, step, index) for step, index in zip(word.steps, word.ids, strict=True))


def _scaled(terms: tuple[Term, ...], factor: float) -> tuple[Term, ...]:
    return tuple(replace(term, weight=factor * term.weight) for term in terms)


def _compose(name: str, left: Target, right: Target, sign: float, symbol: str) -> Target:
    def resolve(reading: Reading) -> Resolved:
        mine, other = left.resolve(reading), right.resolve(reading)
        words = tuple(dict.fromkeys((*mine.words, *other.words)))
        terms = mine.terms + _scaled(other.terms, sign)
        return Resolved(terms, words, f"{mine.name} {symbol} {other.name}", composed=True)

    return Target(name, resolve)
