"""The text side of a Pass: which words stand at which steps, and what a model can say."""

import itertools
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vlx.errors import TextError, UnknownChoice, VlxError, near_names

Kind = Literal["caption", "answer", "label"]
Odds = Literal["softmax", "sigmoid", "none"]
_NOUN = {"caption": "word", "answer": "answer", "label": "class"}
_SIGN = re.compile(r"(##)?<[^<>]+>|\[[A-Z0-9_]+\]|\s*")
"""How vocabularies write what is no word: ``<pad>``, ``<|im_end|>``, ``[SEP]``."""


@dataclass(frozen=True)
class Word:
    """One word of a caption: the steps whose scores spell it, and its token there.

    A word of several sub-word tokens has several steps; its score is their sum.

    >>> word = vlx.Word("skateboard", steps=(1, 2), ids=(40, 7))
    >>> word.steps
    (1, 2)
    """

    text: str
    steps: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Choices:
    """What a model chooses from at a step: its vocabulary, its answers or its classes.

    >>> choices = vlx.Choices(["a", "dog", "cat"])
    >>> choices.index("Dog."), "bird" in choices
    (1, False)
    """

    names: Sequence[str]
    """The name of every choice; the position is the index along the scores' last axis."""
    noun: str = "word"
    signs: Collection[int] = ()
    """Those that are no words, such as the end and an unknown word; names like ``<pad>`` and ``[SEP]`` say so
    themselves."""

    def __post_init__(self) -> None:
        if isinstance(self.names, MutableSequence):  # the caller's, who may change it
            object.__setattr__(self, "names", tuple(self.names))

    @cached_property
    def _exact(self) -> dict[str, list[int]]:
        return _indices(self.names)

    @cached_property
    def _lowered(self) -> dict[str, list[int]]:
        return _indices(map(_lower, self.names))

    @cached_property
    def _folded(self) -> dict[str, list[int]]:
        return _indices(map(_fold, self.names))

    @cached_property
    def _shared(self) -> frozenset[str]:
        """The names that several choices have."""
        return frozenset(name for name, count in Counter(self.names).items() if count > 1)

    def __contains__(self, name: str) -> bool:
        return bool(self._found(name))

    def index(self, name: str) -> int:
        """Find a choice by its name; upper case, outer blanks and full stops do not matter.

        Raises UnknownChoice naming near choices, and one naming the indices where several choices are
        called so: nothing is ever replaced by another choice.
        """
        found = self._found(name)
        if not found:
            raise UnknownChoice(
                f"the model knows no {self.noun} {name!r} among its {len(self.names)}"
                f"{near_names(name, self.names)}"
            )
        if len(found) > 1:
            listed = ", ".join(f"{index} ({self.names[index]!r})" for index in found[:6])
            raise UnknownChoice(
                f"{len(found)} choices of the model are called {name!r}: give the index of one, of {listed}"
            )
        return found[0]

    def called(self, index: int) -> str:
        """The name of a choice, with its index where others have the same name."""
        name = self.names[index]
        return f"{name} ({index})" if name in self._shared else name

    def is_sign(self, index: int) -> bool:
        """Whether a choice is no word, by its index or its name.

        >>> [Choices(["<pad>", "dog", "END"], signs={2}).is_sign(at) for at in range(3)]
        [True, False, True]
        """
        return index in self.signs or _SIGN.fullmatch(self.names[index]) is not None

    def _found(self, name: str) -> list[int]:
        """The choices of this very name, else in lower case, else without the punctuation around them."""
        bare = name.strip()
        exact = (self._exact.get(form) for form in (name, bare, bare.strip(string.punctuation)))
        found = next(filter(None, exact), None) or self._lowered.get(_lower(name))
        return found or self._folded.get(_fold(name)) or []


@dataclass(frozen=True)
class Reading:
    """What one item of a Pass says: the words scored, or the answers and classes to choose from.

    >>> names = ["a", "red", "bike"]
    >>> words = tuple(vlx.Word(name, (at,), (at,)) for at, name in enumerate(names))
    >>> vlx.Reading("caption", words, vlx.Choices(names)).positions("red bike")
    (1, 2)
    """

    kind: Kind
    words: tuple[Word, ...]
    choices: Choices
    end: Word | None = None
    """The end token of a caption; left out of the caption's score unless asked for."""
    prompt: str = ""
    """The question, where there is one."""
    unknown: tuple[str, ...] = ()
    """Words that the model reads as its unknown token."""
    odds: Odds = "softmax"
    """Which probability the model was trained for, where its scores are logits: one of all choices
    together, one for each choice by itself, or none."""
    scores: Float[Tensor, "step choice"] | None = field(default=None, repr=False, compare=False)
    """What its Pass scored, which sets them; None of a reading of its own."""

    @property
    def text(self) -> str:
        """The caption, its words joined by blanks."""
        return " ".join(word.text for word in self.words)

    def positions(self, text: str) -> tuple[int, ...]:
        """Find where a word or a phrase stands: the positions of its words, of the first match.

        Raises TextError if it does not occur, or occurs more than once.
        """
        wanted = [_fold(part) for part in text.split()]
        said = [_fold(word.text) for word in self.words]
        width = len(wanted)
        if not wanted:
            raise TextError("an empty word cannot be explained: name a word of the caption")
        found = [at for at in range(len(said) - width + 1) if said[at : at + width] == wanted]
        if not found:
            raise TextError(f"no word {text!r} in {self.text!r}")
        if len(found) > 1:
            raise TextError(
                f"{text!r} occurs {len(found)} times in {self.text!r}: use one of the positions {found}"
            )
        return tuple(range(found[0], found[0] + width))

    def word(self, position: int) -> Word:
        """The word at a position, counted from 0 (or from the end, if negative)."""
        if not -len(self.words) <= position < len(self.words):
            raise TextError(f"no word {position} in {self.text!r}: it has {len(self.words)}, counted from 0")
        return self.words[position]


def runners_up(reading: Reading, step: int, choice: int, count: int) -> tuple[int, ...]:
    """The choices that come next to one at a step: ``count`` of them, or as many as there are.

    Of words they are the likeliest others, signs such as the end left out; of answers and classes those whose
    logits are nearest, above or below. Of two that are equal the first comes first. Raises TextError
    where there is no other, VlxError for a reading without scores.

    >>> names = vlx.Choices(["<end>", "a", "dog", "cat"])
    >>> said = vlx.Reading("caption", (), names, scores=torch.tensor([[4.0, 0.0, 3.0, 2.0]]).log_softmax(1))
    >>> runners_up(said, 0, 3, 3)
    (2, 1)
    """
    if reading.scores is None:
        raise VlxError("runners-up are told by scores: take the reading from a Pass, passed.readings[0]")
    row = reading.scores[step].double()
    ranked = -row if reading.kind == "caption" else (row - row[choice]).abs()
    end = reading.end.ids if reading.end else ()
    order = map(int, ranked.argsort(stable=True))  # read only as far as it is needed
    others = (at for at in order if at != choice and at not in end)
    words = (at for at in others if reading.kind != "caption" or not reading.choices.is_sign(at))
    found = tuple(itertools.islice(words, count))
    if not found:
        raise TextError(
            f"{reading.choices.called(choice)!r} has no runner-up: the model has no other "
            f"{reading.choices.noun} to choose"
        )
    return found


def need_said(texts: Sequence[str]) -> None:
    """Raise TextError where a model wrote nothing.

    >>> need_said(["a dog"])
    """
    if not all(text.strip() for text in texts):
        raise TextError("the model said nothing: its caption is empty; give one with words")


def choices_of(kind: Kind, names: Sequence[str], signs: Collection[int] = ()) -> Choices:
    """Name what a reading of this kind chooses from.

    >>> choices_of("label", ["cat", "dog"]).noun
    'class'
    """
    return Choices(names, _NOUN[kind], signs)


def _fold(text: str) -> str:
    bare = text.strip().strip(string.punctuation).lower()
    return bare or text.strip().lower()


def _lower(text: str) -> str:
    return text.strip().lower()


def _indices(names: Iterable[str]) -> dict[str, list[int]]:
    """Where each name stands."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name, []).append(index)
    return found
