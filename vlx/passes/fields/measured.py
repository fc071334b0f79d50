"""Measure the fields of a layer's features once, while the model runs anyway, and keep them.

`capture` watches for the first module that is given a picture, follows fields from there to the layer, and
keeps what it found for as long as the model lives, for this layer and this size of picture.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import (
    _get_current_dispatch_mode as current_mode,  # pyright: ignore[reportPrivateUsage]
)
from torch.utils.weak import WeakTensorKeyDictionary

from vlx.errors import VlxError
from vlx.images.frame import Centres, Size
from vlx.passes.fields.field import Field
from vlx.passes.fields.following import Following
from vlx.passes.modules import Modules
from vlx.passes.stand_in import any_stood_in

SWITCH = "VLX_PLACES"
"""The environment variable that turns measuring off, where it is 0: cells then divide the input evenly."""
_CHANNELS = (1, 3, 4)
"""How many channels a picture may have."""
_WINDOW = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_EVEN = 0.04  # cells within which centres are where they would be if the cells divided the input evenly

_kept: WeakKeyDictionary[nn.Module, dict[Any, "Seen"]] = WeakKeyDictionary()
_of_features = WeakTensorKeyDictionary()


class Seen:
    """The field of one item's features, None where it could not be followed, and the picture's size.

    Of a clip the size is that of all frames: their number, height and width.
    """

    def __init__(self, size: tuple[int, ...], field: Field | None) -> None:
        self.size, self.field = size, field
        self.told: WeakKeyDictionary[Any, tuple[Centres | None, str]] = WeakKeyDictionary()
        """What `centres_of` said of each grid."""


class Watch:
    """Watches one run of a model, from the picture to a layer."""

    def __init__(self, modules: Modules, site: tuple[Any, ...]) -> None:
        self._known = _kept.setdefault(modules.listed[0], {})
        self._site = (*site, _structure(modules))
        self._size: tuple[int, ...] | None = None
        self._following: Following | None = None

    def begin(self, picture: Float[Tensor, "batch channel *frame height width"]) -> None:
        """The model was given a picture, or a clip: follow it, where this is the first of its size."""
        self._size = tuple(picture.shape[2:])
        if (self._site, self._size) not in self._known:
            self._following = Following(picture)
            self._following.__enter__()

    def reached(self, found: Tensor, unpack: Callable[[Tensor], Tensor], features: Tensor) -> None:
        """The run has come to the layer, whose tensor became these features."""
        if self._size is None:
            return
        if self._following is not None:
            field = self._following.field(found)
            self.end()
            self._known[self._site, self._size] = Seen(self._size, _unpacked(field, unpack, features))
        known = self._known.get((self._site, self._size))
        if known is not None and known.field is not None and known.field.top.shape == features.shape[1:]:
            _of_features[features] = known

    def end(self) -> None:
        """Follow no further."""
        following, self._following = self._following, None
        if following is None:
            return
        following.stop()
        if current_mode() is following:
            following.__exit__(None, None, None)


@contextmanager
def watched(modules: Modules, site: tuple[Any, ...]) -> Generator[Watch, None, None]:
    """Watch the run of a model in the block, where that is not switched off; ``site`` names the layer."""
    watch = Watch(modules, site)
    handles: list[Any] = []

    def before(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        # Clips are given to the whole model: within it, five axes may as well be of pieces of pictures.
        known = (_is_picture, _is_clip) if module is modules.listed[0] else (_is_picture,)
        given = (*inputs, *named.values())
        picture = next((one for is_one in known for one in given if is_one(one)), None)
        if picture is not None and handles:
            _remove(handles)
            watch.begin(picture)

    if os.environ.get(SWITCH) != "0" and not (_compiled(modules) or any_stood_in(modules)):
        seeing = (one for one in modules.those(_seeing, lambda: _seeing(modules)) if _may_see(one))
        handles += [one.register_forward_pre_hook(before, with_kwargs=True) for one in seeing]
    try:
        yield watch
    finally:
        _remove(handles)
        watch.end()


def centres_of(
    features: Tensor, grid: Callable[[Tensor], Tensor], input_size: Size
) -> tuple[Centres | None, str]:
    """Where the places of a grid look, and a line that says so or says why it is not known.

    None where that is not known, where it is where cells would be that divide the network input evenly, and
    where places do not lie in rows and columns; the line tells which.
    """
    seen: Seen | None = _of_features.get(features)
    if seen is None or seen.field is None:
        return None, "not measured: the way from the picture to the layer could not be followed"
    if len(seen.size) > 2:
        return None, "not measured here: the layer's places lie in time, rows and columns"
    if seen.size != input_size:
        return None, f"not measured: the model reads pictures of {seen.size[0]} x {seen.size[1]}, in pieces"
    with suppress(TypeError):  # a grid that cannot be kept
        if grid not in seen.told:
            seen.told[grid] = _centres(seen.field, grid, input_size)
        return seen.told[grid]
    return _centres(seen.field, grid, input_size)


def clip_centres_of(
    features: Tensor, grid: Callable[[Tensor], Tensor]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None:
    """Where the places of a grid (batch, channel, time, row, col) look: in frames, in rows and in columns.

    None where the run did not tell, or they do not lie in a grid.
    """
    seen: Seen | None = _of_features.get(features)
    if seen is None or seen.field is None or seen.field.axes != 3:
        return None
    lines: list[tuple[float, ...]] = []
    try:
        edges = [_near(grid(edge[None])[0]).double() for edge in seen.field.edges]
    except (VlxError, RuntimeError, LookupError):
        return None
    for axis, at in ((0, 4), (1, 0), (2, 2)):
        middles = (edges[at].amin(0) + edges[at + 1].amax(0)) / 2
        line = middles.movedim(axis, 0).flatten(1)
        told = bool(middles.isfinite().all()) and bool((line == line[:, :1]).all())
        if not told or not bool((line[1:, 0] > line[:-1, 0]).all()):
            return None
        lines.append(tuple(line[:, 0].tolist()))
    return lines[0], lines[1], lines[2]


def _centres(field: Field, grid: Callable[[Tensor], Tensor], input_size: Size) -> tuple[Centres | None, str]:
    centres = _middles(field, grid)
    if centres is None:
        return None, "not measured: the layer's places have no rows and columns"
    if not all(bool(line.isfinite().all()) for line in centres):
        return None, _EMPTY
    rows, cols = (line.unique() for line in centres)
    pairs = torch.stack([line.flatten() for line in centres], 1)
    if len(pairs.unique(dim=0)) < len(pairs):
        return None, "not measured: several places look at the same part of the picture"
    if (len(rows), len(cols)) != centres[0].shape or not bool(
        (centres[0] == rows[:, None]).all() and (centres[1] == cols[None]).all()
    ):
        return None, _WRONG
    shift, cells = _shift(input_size, (rows, cols))
    if cells <= _EVEN:
        return None, "the cells divide the network input evenly"
    told = f"up to {shift:.1f} pixels ({cells:.2f} cells) from cells that divide the network input evenly"
    return (tuple(rows.tolist()), tuple(cols.tolist())), told


def _shift(input_size: Size, lines: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """How far the centres lie from those of cells that divide the input, at most: in pixels, and in cells."""
    pixels, cells = 0.0, 0.0
    for length, line in zip(input_size, lines, strict=True):
        side = length / len(line)
        even = (torch.arange(len(line), dtype=torch.float64) + 0.5) * side
        off = float((line - even).abs().max())
        pixels, cells = max(pixels, off), max(cells, off / side)
    return pixels, cells


_EMPTY = "some places of the grid are none of the picture, as a class token is"
_WRONG = "the places of the grid do not lie row by row where they look"


def is_out_of_order(told: str) -> bool:
    """Whether a line of `centres_of` says that a grid holds other things than places, or in another order."""
    return told in (_WRONG, _EMPTY)


def _middles(field: Field, grid: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor] | None:
    """Rows and columns of the middle of what each place of the grid is computed from."""
    try:
        top, bottom, left, right = (_near(grid(edge[None])[0]).double() for edge in field.edges)
    except (VlxError, RuntimeError, LookupError):  # none, or only of the device; who needs them is told
        return None
    top, left = top.amin(0), left.amin(0)
    bottom, right = bottom.amax(0), right.amax(0)
    return (top + bottom) / 2, (left + right) / 2


def _near(edge: Tensor) -> Tensor:
    """On the CPU; a model on another device waits for it once, when its places are first followed."""
    return edge if edge.is_cpu else edge.cpu()


def _unpacked(field: Field | None, unpack: Callable[[Tensor], Tensor], features: Tensor) -> Field | None:
    """The field of the first item of a batch, on its own memory."""
    if field is None:
        return None
    try:
        found = field.moved(lambda edge: _near(unpack(edge)[0]))
    except Exception:  # what takes features apart may refuse other numbers
        return None
    return found if found.top.shape == features.shape[1:] else None


def _seeing(modules: Modules) -> list[nn.Module]:
    """The modules through which a picture can enter: convolutions, and what holds any."""
    named = modules.named
    within = {""}
    for name, module in named.items():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            parts = name.split(".")
            within |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return [module for name, module in named.items() if name in within]


def _may_see(module: nn.Module) -> bool:
    """Whether a picture can be given to a module: most convolutions refuse so few channels."""
    return type(module) not in (nn.Conv2d, nn.Conv3d) or module.in_channels in _CHANNELS


def _is_picture(given: Any, axes: int = 4) -> bool:
    return (
        isinstance(given, Tensor)
        and given.ndim == axes
        and given.is_floating_point()
        and given.shape[1] in _CHANNELS
        and min(given.shape[2:]) > 1
    )


def _is_clip(given: Any) -> bool:
    """Whether something is (batch, channel, frame, height, width), and nothing else that has five axes."""
    return _is_picture(given, 5) and given.shape[2] not in _CHANNELS


def _compiled(modules: Modules) -> bool:
    return bool(
        modules.those(_compiled, lambda: [one for one in modules.listed if hasattr(one, "_orig_mod")])
    )


def _structure(modules: Modules) -> int:
    """What tells two states of a model apart whose windows slide otherwise."""
    windows: list[Any] = [modules.names_told]
    for number, module in enumerate(modules.listed):
        own = vars(module)
        if "kernel_size" in own:
            windows += (number, *map(own.get, _WINDOW))
        elif hasattr(type(module), "kernel_size"):
            windows += (number, *(getattr(module, name, None) for name in _WINDOW))
    try:
        return hash(tuple(windows))
    except TypeError:  # lists
        return hash(repr(windows))


def _remove(handles: list[Any]) -> None:
    while handles:
        handles.pop().remove()
