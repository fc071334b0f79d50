"""How much of a score comes from the image: what figures, pages and tables say of it, and their bars.

A score is the sum of two parts: what it is where the features show nothing (`Explained.blank`: for a word,
language alone) and what the image adds to that (`Explained.from_image`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlx.explanation import Explained, Explanation
from vlx.show.colours import on_shared_scale
from vlx.word_classes import FUNCTION, Tagger, word_classes

KINDS = (
    ("content words", frozenset({"content"})),
    ("colours", frozenset({"colour"})),
    ("numbers", frozenset({"number"})),
    ("function words", FUNCTION - {"punctuation"}),
)
"""The rows of the table by kinds of words, with the classes of `vlx.word_classes` that each holds."""


def has_evidence(explanation: Explanation) -> bool:
    """Whether it is known of any target how much of its score comes from the image."""
    return any(target.blank is not None for target in explanation.targets)


def unit(explanation: Explanation) -> str:
    """What parts of a score are counted in: nats of a log-probability, or logits, which are no nats."""
    return "nats" if explanation.provenance.score == "log-probability" else "logits"


def without_image(explanation: Explanation) -> str:
    """What the rest of a score comes from, as it is called."""
    if explanation.words:
        return "from language alone"
    return "from the question alone" if explanation.prompt else "without the image"


def signed(value: float, digits: int = 1) -> str:
    """A part of a score with its sign; values that round to 0 have none."""
    told = f"{value:+.{digits}f}"
    return told.lstrip("+-") if float(told) == 0 else told.replace("-", "\N{MINUS SIGN}")


def spoken(explanation: Explanation, target: Explained) -> str:
    """Both parts in words, as in ``4.1 nats from the image, −4.6 from language alone``; or nothing."""
    if target.from_image is None or target.blank is None:
        return ""
    image, alone = (signed(value).lstrip("+") for value in (target.from_image, target.blank))
    return f"{image} {unit(explanation)} from the image, {alone} {without_image(explanation)}"


def spoken_error(explanation: Explanation, target: Explained) -> str:
    """How far gradients along a path lie from what they should add up to, in words; or nothing."""
    if target.error is None:
        return ""
    return f"gradients add up to within {max(abs(target.error), 0.01):.2f} {unit(explanation)}"


def adds_up(explanation: Explanation) -> bool:
    """Whether every map is a share of its target's evidence, place by place: its sum is that evidence.

    So maps of integrated gradients are, to within their error; the values of a place then are nats or logits.
    """
    if explanation.at_pixels:
        return False
    for target, plane in zip(explanation.targets, explanation.raw, strict=True):
        if target.from_image is None or target.error is None:
            return False
        expected, wide = target.from_image + target.error, float(abs(plane).sum())
        if not abs(float(plane.sum()) - expected) <= 1e-3 * max(wide, 1e-2):  # nor is it NaN
            return False
    return True


@dataclass(frozen=True)
class Bar:
    """Where a bar begins and how wide it is, as shares of the width that all bars of a sentence have."""

    start: float
    width: float
    negative: bool


@dataclass(frozen=True)
class Bars:
    """The bars of a target: from the image, and without it; and where their 0 is."""

    image: Bar
    alone: Bar
    zero: float


def bars(explanation: Explanation) -> list[Bars | None]:
    """The bars of every target, None where its parts are not known or have no size.

    Words, answers and classes share one axis; a target of several words has its own.
    """
    shared = _axis([target for target in explanation.targets if on_shared_scale(target)])
    return [_bars(one, shared if on_shared_scale(one) else _axis([one])) for one in explanation.targets]


def _axis(targets: Sequence[Explained]) -> tuple[float, float]:
    """The lowest and the highest value of any bar, at or on both sides of 0."""
    parts = [part for one in targets for part in _known(one) or ()]
    return min([0.0, *parts]), max([0.0, *parts])


def _bars(target: Explained, axis: tuple[float, float]) -> Bars | None:
    known = _known(target)
    if known is None:
        return None
    low, high = axis
    wide = (high - low) or 1.0

    def bar(value: float) -> Bar:
        return Bar((min(value, 0.0) - low) / wide, abs(value) / wide, value < 0)

    image, alone = known
    return Bars(bar(image), bar(alone), -low / wide)


def _known(target: Explained) -> tuple[float, float] | None:
    """Both parts of a score, from the image and without it, where they are known and finite."""
    image, alone = target.from_image, target.blank
    if image is None or alone is None or not (math.isfinite(image) and math.isfinite(alone)):
        return None
    return image, alone


def most_visual(explanation: Explanation) -> int | None:
    """The target with most evidence among single words; without evidence that with the strongest map."""
    alone = [at for at, target in enumerate(explanation.targets) if len(target.words) == 1]
    if not alone:
        return None
    known = {at: parts[0] for at in alone if (parts := _known(explanation.targets[at]))}
    if known:
        return max(known, key=lambda at: known[at])
    peaks = explanation.grid_maps.reshape(len(explanation.targets), -1).max(1)
    return max(alone, key=lambda at: float(peaks[at]))


@dataclass(frozen=True)
class KindOfWord:
    """The words of one kind: how many, and the means of both parts of their scores, in nats."""

    name: str
    count: int
    from_image: float
    alone: float


def by_kind(explanations: Sequence[Explanation], tagger: Tagger | None = None) -> list[KindOfWord]:
    """Means over the words of captions by their kind, those kinds that occur; each word counts once.

    Only single words whose log-probability itself was explained count, not differences between words.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for explanation in explanations:
        if unit(explanation) != "nats" or not has_evidence(explanation):
            continue
        classes = word_classes(explanation.words, tagger)
        for position, target in _words(explanation).items():
            if (parts := _known(target)) is not None:
                found.setdefault(classes[position], []).append(parts)
    rows: list[KindOfWord] = []
    for name, classes in KINDS:
        members = [parts for kind in sorted(classes) for parts in found.get(kind, ())]
        if members:
            image, alone = (sum(column) / len(members) for column in zip(*members, strict=True))
            rows.append(KindOfWord(name, len(members), image, alone))
    return rows


def _words(explanation: Explanation) -> dict[int, Explained]:
    """The words that were explained alone and as they are, by their positions."""
    return {
        target.words[0]: target
        for target in explanation.targets
        if len(target.words) == 1 and target.probability is not None
    }
