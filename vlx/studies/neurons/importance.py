"""How much each unit counts for a decision: alpha of Eq. 1, the mean over places of the score's gradient.

A decision is a class, an answer or a word of a caption: whatever `vlx.passes.targets` can name.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vlx.methods.gradients import gradients, mean_gradients
from vlx.passes.forward import Pass
from vlx.passes.targets import Term


def importances(
    passed: Pass, terms: Sequence[Sequence[tuple[Term, ...]]]
) -> Float[Tensor, "target batch unit"]:
    """The mean of the gradients of every target over the places of the grid (paper Eq. 1, its Z the places).

    ``terms`` are those of the targets of each item; behind those of short items stand zeros.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> terms = vlx.word("light").resolve(run.readings[0]).terms
    >>> importances(run, [[terms]]).shape
    torch.Size([1, 1, 160])
    """
    found = mean_gradients(passed, terms)
    if found is not None:
        return found.values[..., 0, 0]
    at_places = passed.grid(gradients(passed, terms).values)
    return at_places.mean((-1, -2))
