"""Agreement with human attention (VQA-HAT, Das et al. 2016): rank correlation on a coarse grid.

Both maps are averaged over the cells of a 14 x 14 grid and compared by Spearman's correlation
with average ranks; a rectified map is mostly zeros, which tie. Constant maps have no ranks: they
are left out and counted. Numbers from other ways of resizing, of joining annotators or of breaking
ties are not comparable.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np

from vlx.errors import VlxError
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.correlation import GRID, correlation
from vlx.eval.measures.maps import Map, area_average
from vlx.eval.measures.statistics import Outcome

Resize = Callable[[Map, tuple[int, int]], Map]


def grid_correlation(
    plane: Map,
    human: Map,
    *,
    size: tuple[int, int] = GRID,
    resize: Resize = area_average,
) -> Outcome:
    """Spearman's correlation of two maps of one image on a grid of ``size``.

    ``resize`` is area_average, or ``vlx.eval.measures.maps.bilinear`` for scripts that sample points. Left
    out: ``flat_map`` (the first is constant on the grid) and ``flat_human``.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(grid_correlation(plane, plane.T, size=(2, 2)).value, 3)
    0.8
    """
    return correlation({"flat_map": resize(plane, size), "flat_human": resize(human, size)})


def each_annotator(
    plane: Map,
    humans: Sequence[Map],
    *,
    size: tuple[int, int] = GRID,
    resize: Resize = area_average,
) -> Outcome:
    """The mean of the correlations with each annotator: one number for a question.

    A constant annotation is skipped; the question is left out where all of them are.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(each_annotator(plane, [plane, plane.T], size=(2, 2)).value, 3)  # of 1 and 0.8
    0.9
    """
    return _mean([grid_correlation(plane, human, size=size, resize=resize) for human in _some(humans)])


def first_annotator(
    plane: Map,
    humans: Sequence[Map],
    *,
    size: tuple[int, int] = GRID,
    resize: Resize = area_average,
) -> Outcome:
    """The correlation with the first annotator alone, as several public scripts report.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(first_annotator(plane, [plane.T, plane], size=(2, 2)).value, 3)
    0.8
    """
    return grid_correlation(plane, _some(humans)[0], size=size, resize=resize)


def mean_annotator(
    plane: Map,
    humans: Sequence[Map],
    *,
    size: tuple[int, int] = GRID,
    resize: Resize = area_average,
) -> Outcome:
    """The correlation with the mean of the annotations, each first scaled to sum to 1.

    An all-zero annotation is skipped; left out as ``flat_human`` where no other remains.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(mean_annotator(plane, [plane, plane.T], size=(2, 2)).value, 3)  # a tie in the middle
    0.949
    """
    grids = [resize(human, size) for human in _some(humans)]
    scaled = [grid / grid.sum() for grid in grids if grid.sum() > 0]
    if not scaled:
        return Outcome(None, "flat_human")
    return grid_correlation(plane, np.mean(scaled, axis=0), size=size, resize=resize)


def human_agreement(
    humans: Sequence[Map], *, size: tuple[int, int] = GRID, resize: Resize = area_average
) -> Outcome:
    """The mean correlation over all pairs of annotators of one question.

    Left out: ``one_annotator``, and ``flat_human`` where no pair has two maps with ranks. Over the
    validation set of VQA-HAT its mean should come to about 0.62: a test of the whole protocol.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(human_agreement([plane, plane.T], size=(2, 2)).value, 3)
    0.8
    >>> human_agreement([plane]).left_out
    'one_annotator'
    """
    if len(humans) < 2:
        return Outcome(None, "one_annotator")
    pairs = [
        grid_correlation(first, second, size=size, resize=resize) for first, second in combinations(humans, 2)
    ]
    joined = _mean(pairs)
    return joined if joined.left_out is None else Outcome(None, "flat_human")


def centre_correlation(human: Map, *, size: tuple[int, int] = GRID, sigma: float = 4 / 14) -> Outcome:
    """The correlation of a human map with a Gaussian in the middle, a baseline without an image.

    ``sigma`` is a share of each side: 4 cells of 14. Only the order of cells matters.

    >>> human = np.array([[0.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 0.0]])
    >>> round(centre_correlation(human, size=(3, 3)).value, 3)
    1.0
    """
    return grid_correlation(centre_prior(size, sigma=sigma), human, size=size)


def off_centre(humans: Sequence[Map], *, size: tuple[int, int] = GRID, sigma: float = 4 / 14) -> bool:
    """Whether a question belongs to the reduced set, where looking at the middle does not help.

    It does where the mean of its human maps has a correlation of at most 0 with the centre
    Gaussian; a question without such a correlation does not.

    >>> human = np.array([[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 2.0]])
    >>> off_centre([human], size=(3, 3))
    True
    """
    prior = centre_prior(size, sigma=sigma)
    value = mean_annotator(prior, humans, size=size).value
    return value is not None and value <= 0


def random_correlations(
    humans: Iterable[Map], *, seed: int = 0, size: tuple[int, int] = GRID
) -> list[Outcome]:
    """The correlation of each human map with uniform noise on the grid: 0 on average.

    >>> plane = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> len(random_correlations([plane, plane.T]))
    2
    """
    generator = np.random.default_rng(seed)
    return [grid_correlation(generator.random(size), human, size=size) for human in humans]


def _some(humans: Sequence[Map]) -> Sequence[Map]:
    if not humans:
        raise VlxError("no human map: a question needs at least one annotator")
    return humans


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean of the defined outcomes, or the reason of the first where none is defined."""
    values = [item.value for item in outcomes if item.value is not None]
    return Outcome(float(np.mean(values))) if values else Outcome(None, outcomes[0].left_out)
