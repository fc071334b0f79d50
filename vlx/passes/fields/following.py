"""Carry the receptive fields of values along with them while a model runs.

Whatever a model is made of, torch runs it as a few kinds of operations: windows slide over maps
(convolutions, pools), values are put elsewhere (views, slices, permutations, joins), the last axis is
mixed (linear layers, attention), and the rest works on each value by itself. So fields need no rules for
models. What has no rule has no field, and nothing is claimed of it.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vlx.passes.fields.field import (
    Field,
    Reach,
    dividing,
    each_axis,
    empty_field,
    field_of_picture,
    resizing,
    shifting,
    sliding,
    spreading,
    through_windows,
)

_Key = tuple[int, int, tuple[int, ...], tuple[int, ...]]

_RESHAPES = ("view", "_unsafe_view", "reshape", "_reshape_alias")
_MOVES = (
    "permute", "transpose", "t", "slice", "select", "expand", "squeeze", "unsqueeze", "split", "unbind",
    "chunk", "split_with_sizes", "roll", "flip", "index", "index_select", "gather", "repeat", "cat", "stack",
    "pixel_shuffle", "pixel_unshuffle",
)  # fmt: skip
_MIXES = ("mm", "bmm", "matmul", "linear")
_ADDED_MIXES = ("addmm", "baddbmm")
_ATTENTION = "_scaled_dot_product"
_PADS = ("constant_pad_nd", "reflection_pad2d", "replication_pad2d")


class Following(TorchDispatchMode):
    """Follows the fields of everything that is computed from a picture, until `stop`."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self._fields: dict[_Key, Field] = {_key(picture): field_of_picture(picture)}
        self._open = True

    def stop(self) -> None:
        """Let everything pass from now on."""
        self._open = False
        self._fields.clear()

    def field(self, values: Tensor) -> Field | None:
        """The field of some values, where it is known."""
        return self._fields.get(_key(values)) if self._open else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation as it is, and take note of what it does to fields."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self._open:
            try:
                self._note(func, args, kwargs, self._given(args), out)
            except Exception:  # an operation that is written otherwise than it is elsewhere: nothing is known
                self.stop()
        return out

    def _given(self, args: Sequence[Any]) -> dict[int, Field]:
        """The known fields among the tensors of some arguments, by the tensors' id."""
        tensors = [one for arg in args for one in (arg if isinstance(arg, list | tuple) else (arg,))]
        known = {id(one): self.field(one) for one in tensors if isinstance(one, Tensor)}
        return {at: field for at, field in known.items() if field is not None}

    def _note(self, func: Any, args: Sequence[Any], kwargs: Any, given: dict[int, Field], out: Any) -> None:
        outs = [out] if isinstance(out, Tensor) else out if isinstance(out, list | tuple) else []
        tensors = [one for one in outs if isinstance(one, Tensor)]
        found: Sequence[Field | None] = []
        if given and tensors:
            found = _fields(func, args, kwargs, given, tensors)
        for at, values in enumerate(tensors):
            field = found[at] if at < len(found) else None
            if field is None:
                self._fields.pop(_key(values), None)  # memory that was another tensor's before
            else:
                self._fields[_key(values)] = field


def _key(values: Tensor) -> _Key:
    """What names a tensor: torch may hand on the same values as another object."""
    place = values.untyped_storage().data_ptr()
    return place, int(values.storage_offset()), tuple(values.shape), tuple(values.stride())


def _fields(
    func: Any, args: Sequence[Any], kwargs: Any, given: dict[int, Field], outs: Sequence[Tensor]
) -> Sequence[Field | None]:
    """The fields of what an operation gave, of which the first tensor counts unless it moves values."""
    name: str = func.overloadpacket.__name__
    first = given.get(id(args[0])) if args else None
    shape = outs[0].shape
    if name in _RESHAPES and first is not None:
        return [first.moved(lambda edge: edge.reshape(shape))]
    if name in _MOVES:
        return _moved(func, args, kwargs, given, outs)
    if name in _MIXES or name in _ADDED_MIXES or name.startswith(_ATTENTION):
        factors = args[1:3] if name in _ADDED_MIXES else args[:2]
        return [_mixed(given.get(id(factors[0])), given.get(id(factors[1])), name, shape)]
    if name in _PADS and first is not None:
        return [_padded(func, args, first, shape)]
    if name == "copy_":
        return [given.get(id(args[1])) if args[1].shape == shape else None]
    window = _WINDOWS.get(name)
    if window is not None:
        reach = None if first is None or args[0].ndim != first.axes + 2 else window(args, kwargs, shape)
        return [None if reach is None or first is None else through_windows(first, reach, shape)]
    return [_together(args, given, shape)]


def _mixed(one: Field | None, other: Field | None, name: str, shape: torch.Size) -> Field | None:
    """The field of sums of products: of whichever factor still is of one place of the picture.

    In attention that is the query; what it attends to is left out, or every place would look everywhere.
    """
    rows = None if one is None else one.over_last(shape)
    if name not in ("bmm", "baddbmm") or other is None:
        return rows
    turned = other.moved(lambda edge: edge.transpose(-1, -2))
    cols = turned.over_last(torch.Size((*shape[:-2], shape[-1], shape[-2])))
    cols = cols.moved(lambda edge: edge.transpose(-1, -2))
    return cols if rows is None or cols.extent < rows.extent else rows


def _together(args: Sequence[Any], given: dict[int, Field], shape: torch.Size) -> Field | None:
    """The field of values each computed from those at its own place."""
    beside = [given[id(one)] for one in args if id(one) in given and one.shape == shape]
    if not beside:
        return None
    found = beside[0]
    for other in beside[1:]:
        found = found.beside(other)
    return found


def _moved(
    func: Any, args: Sequence[Any], kwargs: Any, given: dict[int, Field], outs: Sequence[Tensor]
) -> Sequence[Field | None]:
    """The fields of values that were put elsewhere: their edges, moved in the same way."""
    axes = max(one.axes for one in given.values())

    def edge_of(one: Any, edge: int) -> Any:
        if isinstance(one, list | tuple):
            return [edge_of(part, edge) for part in one]
        if not isinstance(one, Tensor) or not one.is_floating_point():
            return one
        return given.get(id(one), empty_field(one, axes)).edges[edge]

    edges = [func(*(edge_of(arg, edge) for arg in args), **kwargs) for edge in range(2 * axes)]
    if isinstance(edges[0], Tensor):
        return [Field(*edges)]
    return [Field(*parts) for parts in zip(*edges, strict=True)]


def _padded(func: Any, args: Sequence[Any], field: Field, shape: torch.Size) -> Field | None:
    """Padding around a map goes on as the map does; around anything else it is no part of the picture."""
    pad: list[int] = list(args[1])
    if args[0].ndim == 4 and len(pad) == 4:
        rows, cols = shifting(shape[-2], pad[2]), shifting(shape[-1], pad[0])
        around = through_windows(field, (rows, cols), shape)
        if around is not None:
            return around
    if func.overloadpacket.__name__ != "constant_pad_nd":
        return None
    sides = zip(field.edges, (inf, -inf) * field.axes, strict=True)
    return Field(*(torch.constant_pad_nd(edge, pad, nothing) for edge, nothing in sides))


def _convolution(args: Sequence[Any], _named: Any, shape: torch.Size) -> Sequence[Reach] | None:
    weight, (stride, padding, dilation, transposed) = args[1], args[3:7]
    axes = weight.ndim - 2
    if weight.ndim != args[0].ndim:
        return None
    reach = spreading if transposed else sliding
    each = (each_axis(one, axes) for one in (shape[2:], weight.shape[2:], stride, padding, dilation))
    return [reach(*of_axis) for of_axis in zip(*each, strict=True)]


def _pool(args: Sequence[Any], _named: Any, shape: torch.Size, dilated: bool) -> Sequence[Reach]:
    axes = args[0].ndim - 2
    kernels = each_axis(args[1], axes)
    strides = each_axis(args[2], axes) if len(args) > 2 and args[2] else kernels
    pads = each_axis(args[3] if len(args) > 3 else 0, axes)
    dilations = each_axis(args[4] if dilated and len(args) > 4 else 1, axes)
    each = zip(each_axis(shape[2:], axes), kernels, strides, pads, dilations, strict=True)
    return [sliding(*of_axis) for of_axis in each]


def _adaptive(args: Sequence[Any], _named: Any, shape: torch.Size) -> Sequence[Reach]:
    axes = args[0].ndim - 2
    each = zip(each_axis(shape[2:], axes), each_axis(args[0].shape[2:], axes), strict=True)
    return [dividing(*of_axis) for of_axis in each]


def _resized(args: Sequence[Any], named: Any, shape: torch.Size) -> Sequence[Reach]:
    aligned = any(one is True for one in (*args, *named.values()))
    height, width = args[0].shape[-2:]
    return resizing(shape[-2], height, aligned), resizing(shape[-1], width, aligned)


_WINDOWS: dict[str, Callable[..., Sequence[Reach] | None]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": lambda *given: _pool(*given, dilated=True),
    "max_pool2d": lambda *given: _pool(*given, dilated=True),
    "avg_pool2d": lambda *given: _pool(*given, dilated=False),
    "max_pool3d_with_indices": lambda *given: _pool(*given, dilated=True),
    "avg_pool3d": lambda *given: _pool(*given, dilated=False),
    "_adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool3d": _adaptive,
    "adaptive_max_pool3d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "upsample_nearest2d": _resized,
    "_upsample_nearest_exact2d": _resized,
    "upsample_bilinear2d": _resized,
    "upsample_bicubic2d": _resized,
    "_upsample_bilinear2d_aa": _resized,
}
