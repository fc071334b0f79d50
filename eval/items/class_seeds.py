"""Maps of classes and the saliency of all of them, brought to the grid of seeds."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from vlx.eval.data.classes import matched, names_of
from vlx.eval.measures.maps import Map, Mask, area_average
from vlx.eval.measures.seeds import smoothed
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.frame import Frame
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading
from vlx.passes.targets import Resolved, Target, Term, label


def _largest(_activations: Tensor, gradients: Tensor) -> Tensor:
    return gradients.abs().amax(-3)


LARGEST_GRADIENT = Method("largest_gradient", _largest)
"""The largest absolute gradient among the channels of a place, for the cues of the background alone."""


def _everything(reading: Reading) -> Resolved:
    terms = tuple(Term(1.0, 0, choice) for choice in range(len(reading.choices.names)))
    return Resolved(terms, (), "all classes", composed=True)


ALL_CLASSES = Target("all classes", _everything)
"""The sum of the logits of all classes."""


def places_of(
    category: str, labels: Sequence[str], given: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[int, ...]:
    """The places of a category of the data among the labels of a model, as `names_of` knows it.

    >>> places_of("dog", ["cat", "dog"])
    (1,)
    """
    return matched(names_of(category, given), labels)


def likeliest(passed: Pass, at: int, places: Sequence[int]) -> int:
    """The one of some classes that the model finds likeliest in the item at a position of a Pass."""
    scores = passed.scores[at, 0].detach()
    return max(places, key=scores.tolist().__getitem__)


def class_planes(
    passed: Pass,
    classes: Sequence[Sequence[int]],
    methods: Sequence[Method],
    grid: tuple[int, int],
) -> list[list[list[Map]]]:
    """For each method and item the maps of the item's classes on a grid over its whole image.

    Cells are means over the pixels of the image; 0 where the network did not look.
    """
    if not any(classes):
        return [[[] for _ in classes] for _ in methods]
    made = explain(passed, [[label(one) for one in mine] for mine in classes], list(methods))
    return [
        [
            [on_grid(one[at], number, grid) for number in range(len(mine))]
            for one, mine in zip(made, classes, strict=True)
        ]
        for at in range(len(methods))
    ]


def background_planes(passed: Pass, grid: tuple[int, int]) -> list[tuple[Map, Mask]]:
    """For each item the saliency of all classes on a grid over its image, and the cells that were seen."""
    made = explain(passed, [[ALL_CLASSES]] * passed.batch, LARGEST_GRADIENT)
    return [
        (smoothed(on_grid(one, 0, grid)), seen_cells(frame, grid))
        for one, frame in zip(made, passed.frames, strict=True)
    ]


def on_grid(explained: Explanation, number: int, grid: tuple[int, int]) -> Map:
    """One map of an Explanation on a grid over the whole image, each cell the mean over its pixels."""
    return area_average(explained.map(number), grid)


def seen_cells(frame: Frame, grid: tuple[int, int]) -> Mask:
    """The cells most of which the network saw."""
    return area_average(frame.covered().double().numpy(), grid) > 0.5
