"""What methods take of one Pass alike, and the maps that they make of it."""

from dataclasses import dataclass
from math import nan
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.methods.cam import kept_by_mean
from vlx.methods.gradients import Gradients, Terms, gradients, pixel_gradients
from vlx.methods.guided import Rule
from vlx.methods.occlusion.of_pass import Known
from vlx.passes.above_layer import is_averaged
from vlx.passes.forward import Pass

Told = Literal["known", "first", "all"]
"""Of which targets it is told how much of the gradients a mean keeps: of those of which it costs nothing; of
the first too, which costs one backward more; of all, for which gradients are taken at every place."""


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one method, and how they were computed."""

    raw: Float[Tensor, "target batch *plane"]
    scores: Float[Tensor, "target batch"]
    batched: bool | None = None
    relus: int = 0
    """How many ReLUs followed a guided rule."""
    blank: Float[Tensor, "target batch"] | None = None
    """The scores of the same texts where the features show nothing, or the image nothing."""
    error: Float[Tensor, "target batch"] | None = None
    """How far gradients times features along a path lie from what they add up to."""
    kept: Float[Tensor, "target batch"] | None = None
    """How much of the gradients a mean over places keeps; NaN where that is not known."""


class Shared:
    """What methods take of one Pass alike, made once; one set of gradients is held at a time."""

    def __init__(self, passed: Pass, terms: Terms, chunk: int | None) -> None:
        self.passed, self.terms, self.chunk = passed, terms, chunk
        self._head: tuple[Rule | None, int, Gradients] | None = None
        self._pixels: tuple[Rule | None, tuple[Tensor, int]] | None = None
        self.windows: Known = {}
        """What windows that were hidden or revealed are worth."""

    def head(self, rule: Rule | None) -> Gradients:
        """The gradients at the features by a rule."""
        kept = self._head
        if kept is None or kept[0] is not rule or kept[2].values._version != kept[1]:  # changed by a method
            self._head = None  # room first
            found = gradients(self.passed, self.terms, rule=rule, chunk=self.chunk)
            kept = self._head = rule, found.values._version, found
        return kept[2]

    def first(self) -> Gradients:
        """The gradients of the first target of each item."""
        return gradients(self.passed, [item[:1] for item in self.terms])

    def pixels(self, rule: Rule | None) -> tuple[Tensor, int]:
        """The gradients at the pixels by a rule, and how many ReLUs followed it."""
        if self._pixels is None or self._pixels[0] is not rule:
            self._pixels = None
            self._pixels = rule, pixel_gradients(self.passed, self.head(rule), rule)
        return self._pixels[1]


def kept_of(
    shared: Shared, at_places: Tensor, means: bool, told: Told
) -> Float[Tensor, "target batch"] | None:
    """How much of the gradients their mean keeps; of means alone no more than that of the first target."""
    passed = shared.passed
    if is_averaged(passed):
        return at_places.new_ones(at_places.shape[:2])
    if not means:
        return torch.stack([kept_by_mean(one) for one in at_places.detach()])  # its copies are as large
    if told != "first" or passed.features.ndim != 4:  # decoders that read tokens are large
        return None
    found = at_places.new_full(at_places.shape[:2], nan)
    found[0] = kept_by_mean(passed.grid(shared.first().values))[0]
    return found
