"""What the graph between a layer and the scores tells of a mean over the layer's places.

Grad-CAM averages gradients over places. Behind a global average pooling they are all the same, and nothing
is lost. Where convolutions follow, each place speaks for another pattern, and the mean mixes them: below
the last map Grad-CAM is known to fail (Rebuffi et al. 2020, arXiv 2004.02866).
"""

from math import prod
from typing import Any

from torch import Tensor

from vlx.passes.clips import folded_clip
from vlx.passes.forward import Pass, conv_grid

_SAME = ("CloneBackward0", "AliasBackward0")  # what `capture` hands on in the place of features
_CONVOLUTION, _MEAN = "ConvolutionBackward0", "MeanBackward1"


def convolutions_follow(passed: Pass) -> bool:
    """Whether every way from the layer to the scores leads through a convolution to another map.

    A block that adds to its input leaves a way around; a gate of one number a channel is no map.
    """
    waiting, seen = [_root(passed).grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or _makes_map(node):
            continue
        if _is_leaf(node, passed.features):
            return False
        seen.add(node)
        waiting += [parent for parent, _ in node.next_functions]
    return True


def is_averaged(passed: Pass) -> bool:
    """Whether all that reads the features is their mean over all places, so that gradients are the same."""
    axes = set(range(2, passed.features.ndim))
    if passed.grid not in (conv_grid, folded_clip) or len(axes) not in (2, 3):
        return False
    readers: dict[Any, list[Any]] = {}
    waiting, seen, leaf = [_root(passed).grad_fn], set[Any](), None
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if _is_leaf(node, passed.features):
            leaf = node
            continue
        for parent, _ in node.next_functions:
            readers.setdefault(parent, []).append(node)
            waiting.append(parent)
    found = list(readers.get(leaf, [])) if leaf is not None else []
    while found:
        node = found.pop()
        if node.name() in _SAME or _adds(node, passed.shortcuts.everywhere):
            found += readers.get(node, [])
        elif (
            node.name() != _MEAN or {_signed(axis) % passed.features.ndim for axis in node._saved_dim} != axes
        ):
            return False
    return leaf is not None


def _adds(node: Any, everywhere: Tensor | None) -> bool:
    """Whether a node adds the value of 0 at every place that `Shortcuts` tell of."""
    if everywhere is None or not node.name().startswith("AddBackward"):
        return False
    for parent, _ in node.next_functions:
        while parent is not None and len(parent.next_functions) == 1:
            parent = parent.next_functions[0][0]
        if getattr(parent, "variable", None) is everywhere:
            return True
    return False


def _root(passed: Pass) -> Tensor:
    cut = passed.shortcuts.cut
    return passed.scores if cut is None else cut.above


def _is_leaf(node: Any, features: Tensor) -> bool:
    return getattr(node, "variable", None) is features or node is features.grad_fn


def _makes_map(node: Any) -> bool:
    """Whether a node is a convolution whose output has more than one place."""
    if node.name() != _CONVOLUTION:
        return False
    shape = node._input_metadata[0].shape  # of what the node differentiates: its output
    return len(shape) in (4, 5) and prod(shape[2:]) > 1


def _signed(axis: int) -> int:
    """An axis as it was given: the graph keeps negative ones as unsigned numbers."""
    return axis - 2**64 if axis >= 2**63 else axis
