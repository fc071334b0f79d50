"""Excitation backprop: marginal winning probabilities, MWP, and their contrast, c-MWP.

Zhang, Lin, Brandt, Shen and Sclaroff 2016, *Top-down Neural Attention by Excitation Backprop* (arXiv
1608.00507, section 3), which the Grad-CAM paper compares with; written from the paper's equations.

Notice: excitation backprop is patented in the United States (US 9,846,840 B1, "Semantic class localization in
images", listed to expire in 2036). It is here so that published comparisons can be repeated, apart from the
methods of vlx, and the licence of vlx gives no right to the patent. Whether a use needs one is for the user
to find out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.errors import LayerError
from vlx.methods.gradients import gradients
from vlx.methods.rescoring import Targets
from vlx.methods.values import Method
from vlx.passes.capture import as_captured
from vlx.passes.forward import Pass
from vlx.passes.operations import MIXES, MOVES, Operation, run_again, tensors_in, valued

NOTICE = (
    "MWP and c-MWP are excitation backprop, which is patented (US 9,846,840 B1); they are measured here for "
    "comparison with published results, and the licence of vlx gives no right to the patent"
)
"""What stands wherever numbers of them are printed."""

LAYERS = {
    "vgg16": "features.23",
    "googlenet": "maxpool2",
    "resnet50": "layer3",
    "alexnet": "features.5",
}
"""The layers whose maps were published, by the names of torchvision: pool4 of VGG-16 (the paper, section 4),
pool2 of GoogLeNet (the authors' code), the third stage of ResNet-50. None is published of AlexNet; its pool2
stands here. c-MWP contrasts at the input of the last layer with weights in all of them."""

_UNCHANGED = frozenset(
    (
        "relu6", "hardtanh", "clamp", "clamp_min", "clip", "threshold", "batch_norm", "local_response_norm",
    )
)  # fmt: skip
_PLAIN = MOVES | {"relu", "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d"}
_AVERAGES = frozenset(
    (
        "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean", "sum",
    )
)  # fmt: skip
_SCALES = frozenset(("mul", "multiply", "div", "divide", "true_divide", "sub", "subtract"))
_SUMS = frozenset(("add",))


def winning_maps(
    passed: Pass, position: int, targets: Targets, *, contrast: bool = False
) -> Float[Tensor, "target row col"]:
    """The marginal winning probabilities at the layer, summed over channels, for each target of an item.

    Probabilities begin as the gradient of the target at the scores: 1 at the class that is explained
    (arXiv 1608.00507, Algorithm 1). From there they go down by Eq. 10: of an operation of weights w on
    activations a, each input has of the probability P of each output j the share
    ``a_i w⁺_ij / sum_i' a_i' w⁺_i'j``, where w⁺ are the positive weights, and biases have none. Averaging is
    such an operation; maxima hand all to where they are from; ReLU, dropout and norms change nothing; joined
    maps are split; sums (residual connections) share in proportion to their terms, where these are above 0.
    Where an output's inputs are all 0 its probability ends, so a map adds up to 1 where no such output has
    any.

    With ``contrast`` (section 3.3) the last operation with weights is followed by its dual too, of weights
    −w, the difference of both is handed down, and what of its sum over channels is above 0 is the map.

    Raises LayerError for activations below 0 and for operations that have no rule, such as attention.
    """
    followed = _Followed(passed)
    run = run_again(passed, position, followed, followed.begin)
    if contrast:
        followed = _Followed(passed, top=followed.top_of(run))
        run = run_again(passed, position, followed, followed.begin)
    with as_captured(passed.features):
        found = gradients(run, [list(targets)])
    maps = passed.grid(found.values)[:, 0].sum(-3)
    return maps.relu() if contrast else maps


mwp = Method("mwp", perturbed=winning_maps)
"""Excitation backprop, MWP: patented, see the notice above.

>>> from torchvision.models import vgg11
>>> from vlx.eval.baselines import mwp
>>> maps = vlx.explain_model(vgg11(num_classes=3), torch.rand(1, 3, 64, 64), 2, "features.10", method=mwp)
>>> maps.shape, round(float(maps.sum()), 4)
(torch.Size([1, 4, 4]), 1.0)
"""

c_mwp = Method("c_mwp", perturbed=partial(winning_maps, contrast=True))
"""Contrastive excitation backprop, c-MWP: patented, see the notice above."""


def notice_of(names: Iterable[str]) -> str:
    """The notice that belongs below a table with rows of such names; empty where none needs any.

    >>> notice_of(["grad_cam", "random map"])
    ''
    """
    kept = {mwp.name, c_mwp.name}
    return NOTICE if any(name.split(",")[0].split(" ")[0] in kept for name in names) else ""


@dataclass(eq=False)
class _Followed:
    """The rule of excitation backprop for one operation after the other.

    Every result is what the network gives; its gradient is the probability that goes down.
    """

    passed: Pass
    top: int | None = None
    """The number of the operation with weights that is contrasted with its dual."""
    count: int = 0
    """Operations with weights so far."""
    weighted: list[tuple[Any, int]] = field(default_factory=list[tuple[Any, int]])
    """The nodes of the graph that those gave, and their numbers."""

    def begin(self) -> None:
        """The network begins anew."""
        self.count = 0

    def __call__(self, done: Operation) -> Any:
        """The result of an operation."""
        name, depending = done.name, done.depending
        terms = [one for one in tensors_in((done.args, done.named)) if not isinstance(one, nn.Parameter)]
        alike = len(terms) > 1 and terms[0].shape == terms[1].shape
        if name in _SUMS and (alike or len(depending) > 1):
            return self._shared(done, terms)
        if name in MIXES and len(depending) == 1 and depending[0] is done.first:
            return self._weighted(done)
        if name in _AVERAGES:
            return self._through(done, [done.on])
        if name in _UNCHANGED or (name in _SCALES | _SUMS and len(depending) == 1):
            return self._unchanged(done, depending[0])
        found = done.plain()
        if name not in _PLAIN and any(isinstance(one, Tensor) and one.requires_grad for one in _parts(found)):
            raise LayerError(
                f"excitation backprop has no rule for {name} above layer {self.passed.layer} of "
                f"{self.passed.model}: it knows convolutions, linear layers, pools, ReLU, batch and local "
                "response norms, joins and sums"
            )
        return found

    def top_of(self, run: Pass) -> int:
        """The operation with weights that gives the scores, by number. Raises LayerError unless it is one."""
        numbers = dict(self.weighted)
        waiting = [run.scores.grad_fn]
        seen, tops = set(waiting), set[int]()
        while waiting:
            node = waiting.pop()
            if node in numbers:
                tops.add(numbers[node])
                continue
            below = {parent for parent, _ in node.next_functions if parent is not None} if node else set()
            waiting.extend(below - seen)
            seen |= below
        if len(tops) != 1:
            what = f"{len(tops)} layers with weights give" if tops else "no layer with weights gives"
            raise LayerError(
                f"{what} the scores of {self.passed.model} above layer {self.passed.layer}: c-MWP contrasts "
                "one; use MWP, or a layer lower down"
            )
        return tops.pop()

    def _weighted(self, done: Operation) -> Tensor:
        """Convolutions and linear layers, with their positive weights; the top with the negative ones too."""
        signs = (1.0, -1.0) if self.count == self.top else (1.0,)
        found = self._through(done, [_with_positive(done, sign) for sign in signs])
        self.weighted.append((found.grad_fn, self.count))
        self.count += 1
        return found

    def _through(self, done: Operation, ways: list[Callable[[Tensor], Tensor]]) -> Tensor:
        """Eq. 10, of operations without negative weights: the first way less the others."""
        activations = done.first
        wide = activations.to(torch.promote_types(activations.dtype, torch.float32))
        held = wide.detach()
        if bool((held < 0).any()):
            raise LayerError(
                f"excitation backprop needs activations of 0 or more, and {done.name} above layer "
                f"{self.passed.layer} of {self.passed.model} is given some below 0: it is for networks with "
                "ReLU"
            )
        with torch.no_grad():
            value = done.plain()
        # Its gradient is a ⊙ (W⁺)ᵀ (P ⊘ W⁺a), as everything but ``wide`` is held.
        first, *others = [_quotient(way(wide * held), way(held)) for way in ways]
        return valued(value, first - sum(others) if others else first)

    def _shared(self, done: Operation, terms: list[Tensor]) -> Tensor:
        """Sums of maps: each has a share in proportion to what it gives above 0.

        A term that does not depend on the features, of a shortcut around the layer, keeps its share.
        """
        one, other = terms[:2]
        if len(terms) > 2 or done.named.get("alpha", 1) != 1:
            raise LayerError(
                f"excitation backprop has no rule for this sum in {self.passed.model}: x + y is due"
            )
        with torch.no_grad():
            value = one + other
        for term, rest in ((one, other), (other, one)):
            if term.requires_grad and term.shape == value.shape and not bool(rest.any()):
                return valued(value, term)
        kind = torch.promote_types(value.dtype, torch.float32)
        one, other = one.to(kind), other.to(kind)
        held, beside = one.detach().relu(), other.detach().relu()
        return valued(value, _quotient(one * held + other * beside, held + beside))

    def _unchanged(self, done: Operation, given: Tensor) -> Tensor:
        """Norms, bounds, and arithmetic with numbers: the probability stays."""
        with torch.no_grad():
            value = done.on(done.first.detach().clone()) if given is done.first else done.plain()
        if value.shape != given.shape or (given is not done.first and done.name not in ("add", "mul")):
            raise LayerError(
                f"excitation backprop has no rule for {done.name} of {tuple(given.shape)} to "
                f"{tuple(value.shape)} above layer {self.passed.layer} of {self.passed.model}"
            )
        return valued(value, given)


def _with_positive(done: Operation, sign: float) -> Callable[[Tensor], Tensor]:
    """An operation with the positive part of its weights times ``sign``, and without its bias."""
    others = list(done.args[1:]) if done.args else []
    named = {name: value for name, value in done.named.items() if name not in ("input", "bias")}
    at = next((name for name in ("weight", "other", "mat2") if name in named), "weight")
    weight: Tensor = others[0] if others else named[at]
    wide = torch.promote_types(weight.dtype, torch.float32)
    positive = (sign * weight.detach().to(wide)).clamp(min=0)
    if others:
        others = [positive, *([None] if len(others) > 1 else []), *others[2:]]
    else:
        named[at] = positive
    return lambda activations: done.call(activations, *others, **named)


def _quotient(above: Tensor, below: Tensor) -> Tensor:
    """One through the other; 0 where the other is 0, as all that makes it is."""
    return above / below.where(below > 0, torch.ones_like(below))


def _parts(found: Any) -> Iterable[Any]:
    return found if isinstance(found, list | tuple) else (found,)
