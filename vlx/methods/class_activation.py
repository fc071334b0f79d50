"""CAM: the maps that are averaged, weighted by the last layer (Zhou et al. 2015, arXiv 1512.04150).

It needs a head of one form, maps, their mean over all places, a linear layer, so that a score is the mean of
its map over the places, plus a bias. There Grad-CAM before its ReLU is CAM up to the factor 1 / Z (Grad-CAM
paper, section 3, Eq. 4 to 8); elsewhere only Grad-CAM is defined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import LayerError
from vlx.methods.rescoring import Targets
from vlx.passes.capture import as_captured
from vlx.passes.forward import Pass, conv_grid
from vlx.passes.operations import MIXES, MOVES, Operation, run_again

_OTHERWHERE = {
    "cat",
    "concat",
    "concatenate",
    "stack",
    "pad",
    "roll",
    "flip",
    "index_select",
    "pixel_shuffle",
}
_OF_MAPS = MOVES - _OTHERWHERE | {"relu", "relu6", "hardtanh", "add"}
"""What may stand between the layer and the mean; of sums, those with the value of 0 of a shortcut."""
_MEANS = frozenset(("mean", "sum", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d"))
_OF_MEANS = MOVES | MIXES | _MEANS | {"batch_norm", "add", "mul", "div", "sub"}
"""What may stand between the mean and the scores: what is linear, a constant aside."""
_JOINS = MIXES | {"cat", "concat", "concatenate", "stack", "add", "mul", "div", "sub"}


def class_activation_map(passed: Pass, position: int, targets: Targets) -> Float[Tensor, "target row col"]:
    """The map sum_k w_k A_k of each target (arXiv 1512.04150, Eq. 2), signed, of maps A that are averaged.

    w are the target's weights in the linear layer behind the mean; where no layer is behind it, as in
    SqueezeNet, whose last convolution gives a map a class, the map is the class's own. A ReLU between the
    layer and the mean is part of A. The mean of a map over its places is the logit without its bias.

    Raises LayerError, with what stands in the way, where the head has another form.
    """
    head = _Head(passed)
    run = run_again(passed, position, head, head.begin)
    values = [
        sum(
            (term.weight * run.scores[0, term.step, term.choice].double() for term in target),
            0.0 * run.scores.double().sum(),
        )
        for target in targets
    ]
    with as_captured(passed.features), torch.inference_mode(False), torch.enable_grad():
        averaged, slopes = head.of_scores(values)
    maps = _in_place(passed, averaged.values, head)
    weights = _in_place(passed, slopes, head) * averaged.places
    flat = weights.flatten(-2)
    if not torch.allclose(flat, flat[..., :1], 1e-5, 0):
        raise head.other("a mean that weighs places differently")
    found = (maps * weights)[:, 0].sum(-3)
    return found.to(torch.promote_types(passed.features.dtype, torch.float32))


def _in_place(passed: Pass, maps: Tensor, head: "_Head") -> Float[Tensor, "target one channel row col"]:
    """What is averaged, in the rows and columns of the features. Raises LayerError where it has others."""
    shape = passed.features.shape[1:]
    if maps.ndim == 4 and len(shape) == 3:  # channels and places, in this order or the other
        flat = shape[0], shape[1] * shape[2]
        if maps.shape[2:] in (flat, flat[::-1]):
            maps = (maps if maps.shape[2:] == flat else maps.transpose(-1, -2)).unflatten(-1, shape[1:])
    elif len(shape) == 3 and maps.shape[2:] == (*shape[1:], shape[0]) != shape:
        maps = maps.movedim(-1, -3)
    found = passed.grid(maps) if maps.shape[2:] == shape else conv_grid(maps)
    if found.shape[-2:] != passed.grid(passed.features.detach()).shape[-2:]:
        raise head.other("a mean of other places")
    return found


@dataclass(frozen=True, eq=False)
class _Averaged:
    """What was averaged in a run."""

    maps: Tensor
    """In the graph of the run."""
    values: Float[Tensor, "one batch *feature"]
    places: float
    """How many places a mean is of; 1 of a sum."""


@dataclass(eq=False)
class _Head:
    """Reads the form of a head off its operations, and changes none."""

    passed: Pass
    averaged: list[_Averaged] = field(default_factory=list[_Averaged])
    """In all runs of the network."""
    means: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    """What depends on the means, by id."""

    def begin(self) -> None:
        """The network begins anew."""
        self.means.clear()

    def of_scores(self, values: Sequence[Tensor]) -> tuple[_Averaged, Float[Tensor, "target batch *feature"]]:
        """What the values rest on, and their gradients at it. Raises LayerError where there is none."""
        for one in self.averaged:
            slopes = [
                torch.autograd.grad(value, one.maps, retain_graph=True, allow_unused=True)[0]
                for value in values
            ]
            if not any(slope is None for slope in slopes):  # pyright: ignore[reportUnnecessaryComparison]
                return one, torch.stack(slopes).double()
        raise self.other("no mean over all places")

    def other(self, what: str) -> LayerError:
        """The error of a head of another form."""
        return LayerError(
            "class activation maps need a head of maps, their mean over all places and a linear layer: above "
            f"layer {self.passed.layer} of {self.passed.model} stands {what}; name the layer that is "
            "averaged, or use grad_cam, which needs no such head"
        )

    def __call__(self, done: Operation) -> Any:
        """The result of an operation, as the network gives it."""
        depending = [one for one in done.depending if not _is_blank(one, done)] or done.depending[:1]
        behind = [id(one) in self.means for one in depending]
        held = depending[0].detach().clone() if done.name in _MEANS and len(depending) == 1 else None
        found = done.plain()
        made = [one for one in _parts(found) if isinstance(one, Tensor) and one.requires_grad]
        if not made:
            return found
        if all(behind):
            self._need(done, _OF_MEANS, len(depending))
        elif any(behind):
            raise self.other(f"{done.name} of maps and of their mean")
        elif held is not None and _is_whole(held.shape, made[0].shape):
            places = 1.0 if done.name == "sum" else held.numel() / made[0].numel()
            self.averaged.append(_Averaged(depending[0], held[None].double(), places))
        else:
            self._need(done, _OF_MAPS, len(depending))
            return found
        self.means |= {id(one): one for one in made}
        return found

    def _need(self, done: Operation, known: frozenset[str], count: int) -> None:
        joins = count > 1 and done.name in _JOINS
        if done.name not in known or joins:
            raise self.other(f"{done.name} {'behind' if self.means else 'before'} the mean")


def _is_whole(given: torch.Size, made: torch.Size) -> bool:
    """Whether all places became one: (1, channel, row, col) to (1, channel), with sides of 1 or without."""
    channels = made.numel()
    return len(given) > 2 and channels in (given[1], given[-1]) and given.numel() > channels


def _is_blank(one: Tensor, done: Operation) -> bool:
    """Whether a term is the value of 0 that is added to the features at every place."""
    return done.name == "add" and len(done.depending) > 1 and not bool(one.detach().any())


def _parts(found: Any) -> Any:
    return found if isinstance(found, list | tuple) else (found,)
