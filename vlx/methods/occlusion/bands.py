"""Bands: the image is shown one row of bands, then one column of bands at a time, and both are multiplied.

A black box needs 2 K runs so, where K x K windows would need K squared (AnswerMap, 2026: the outer product of
the posteriors of "yes"; as it was noted from its description). A place is bright where its row of pixels and
its column of pixels each lead the model to the word by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from vlx.errors import VlxError
from vlx.methods.occlusion.fills import Fill, Pixels
from vlx.methods.occlusion.windows import Scores, between, changed_scores
from vlx.methods.rescoring import values_in
from vlx.passes.reading import Reading
from vlx.passes.targets import Resolved

COUNT = 8


@dataclass(frozen=True)
class Bands:
    """How many bands lie over one another, and beside one another, and what the rest is filled with."""

    count: int = COUNT
    batch: int = 16
    """How many are scored in one run."""
    fill: Fill = None

    def edges(self, length: int) -> list[tuple[int, int]]:
        """The first pixel of each band and that behind its last; lengths differ by one pixel at most.

        >>> Bands(3).edges(10)
        [(0, 3), (3, 7), (7, 10)]
        """
        if self.count > length:
            raise VlxError(f"{self.count} bands do not fit {length} pixels: give at most {length}")
        ends = [round(at * length / self.count) for at in range(self.count + 1)]
        return list(pairwise(ends))


def posteriors(
    scores: Float[Tensor, "image step choice"], targets: Sequence[Resolved], reading: Reading
) -> Float[Tensor, "image target"]:
    """The logarithm of how likely each target is, as a double; of several words that of a word on average.

    Of an answer or a class it is that among all of them, as the model was trained for it. Targets that
    are composed of others, and scores that are no chances, have none: their score stands for it.
    """
    values = values_in(scores, [target.terms for target in targets])
    if reading.kind == "caption":
        counts = [1 if target.composed else max(len(target.words), 1) for target in targets]
        return values / values.new_tensor(counts)
    for at, target in enumerate(targets):
        if is_chance(target, reading):
            logits = scores[:, target.terms[0].step].double()
            odds = logsigmoid(logits) if reading.odds == "sigmoid" else torch.log_softmax(logits, -1)
            values[:, at] = odds[:, target.terms[0].choice]
    return values


def is_chance(target: Resolved, reading: Reading) -> bool:
    """Whether there is a probability of the target."""
    return not target.composed and (reading.kind == "caption" or reading.odds != "none")


def outer(
    rows: Float[np.ndarray, "band target"],
    cols: Float[np.ndarray, "band target"],
    chances: Sequence[bool],
    bands: Bands,
    shape: tuple[int, int],
) -> Float[np.ndarray, "target height width"]:
    """The product of what its row and its column of bands are worth at each pixel, bilinear between bands.

    ``rows`` and ``cols`` are logarithms. Where they are of no probabilities, they are taken as shares of that
    of the best band.
    """
    best = np.where(chances, 0.0, np.maximum(rows.max(0), cols.max(0)))
    down, across = (
        between([(start + end - 1) / 2 for start, end in bands.edges(length)], length) @ np.exp(found - best)
        for length, found in zip(shape, (rows, cols), strict=True)
    )
    return np.einsum("it,jt->tij", down, across)


def shown_bands(
    blank: Pixels, image: Pixels, score: Scores, bands: Bands
) -> tuple[Float[np.ndarray, "band *target"], Float[np.ndarray, "band *target"]]:
    """The scores with each row and each column of bands shown on the wholly filled image."""
    whole, (height, width) = slice(None), image.shape[1:]
    rows = [(whole, slice(*edges), whole) for edges in bands.edges(height)]
    cols = [(whole, whole, slice(*edges)) for edges in bands.edges(width)]
    found = changed_scores(blank, score, rows, image, bands.batch)
    return found, changed_scores(blank, score, cols, image, bands.batch)
