"""Follow a network's own run on changed maps, whatever its code: what is not understood gets whole maps.

The network is given tensors that hold a `Map`. Convolutions, pools, sums and what looks at each place alone
give such tensors again; any other operation, and code that reads values, gets the whole map, which counts
from there on.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from vlx.errors import VlxError
from vlx.methods.occlusion.boxes import Images, One, difference, part_of
from vlx.methods.occlusion.changed import Map, Part, last, most_of, together
from vlx.methods.occlusion.layers import WINDOWS, Known, each_of, picked, scaled
from vlx.passes.operations import plain_name

_TELL_NO_VALUES = frozenset(
    getattr(Tensor, name).__get__
    for name in ("shape", "dtype", "device", "ndim", "is_cuda", "requires_grad", "layout", "is_sparse")
) | {
    Tensor.size, Tensor.dim, Tensor.ndimension, Tensor.numel, Tensor.nelement, Tensor.__len__,
    Tensor.is_floating_point, Tensor.is_complex, torch.is_floating_point, torch.is_complex, torch.numel,
}  # fmt: skip
_PAIRS: Mapping[str, Callable[..., Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "truediv": torch.div,
}  # fmt: skip
_DROPOUTS = frozenset(
    ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
)
_ROWS = frozenset(("cat", "concat", "concatenate"))


class Changed(Tensor):
    """A tensor of images, or maps, of which only what differs from that of a first image is at hand."""

    map: Map
    known: Known
    source: Callable[[], Tensor] | None
    """Gives the whole tensor where it is a view of another, or the images themselves."""
    base: "Changed | None"
    """The tensor of which it is a view."""
    flat: bool
    """Whether it is one channel, without an axis of channels."""
    viewed: bool
    """Whether others share its memory, so that a change in place would change them too."""
    entire: Tensor | None
    """The whole tensor, once somebody asked; then it is what counts."""

    @classmethod
    def holding(cls, map: Map, known: Known, like: Tensor, *, flat: bool = False) -> "Changed":
        """Hold a map, of the type of another tensor."""
        shape = (map.shape[0], *map.shape[2:]) if flat else map.shape
        made: Any = Tensor._make_wrapper_subclass(cls, shape, dtype=like.dtype, device=like.device)  # pyright: ignore
        made.map, made.known, made.flat, made.viewed = map, known, flat, False
        made.source = made.base = made.entire = None
        return made

    def view_as_map(self, map: Map, of: Callable[[Tensor], Tensor], *, flat: bool) -> "Changed":
        """A view of it, which holds a map, and how it is made of the whole tensor."""
        made = Changed.holding(map, self.known, self, flat=flat)
        made.source, made.base = (lambda: of(self.whole())), self
        self.viewed = made.viewed = True
        return made

    @property
    def differs(self) -> bool:
        """Whether more than one place of it is its own."""
        box = self.map.now().box
        return box is None or box.places > 1

    @property
    def is_whole(self) -> bool:
        """Whether the whole tensor is what counts."""
        return self.entire is not None or (self.base is not None and self.base.is_whole)

    def whole(self) -> Tensor:
        """The whole tensor, which counts from now on."""
        if self.entire is None and self.source is not None:
            self.entire = self.source()
        if self.entire is None:
            part = self.map.now()
            found = part.whole()
            if found is part.own and self.map.readers:  # it may be changed before they read it
                found = found.clone()
            self.entire = found.contiguous() if self.known.contiguous else found
        return self.entire

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation where maps changed, if it is known, else on whole maps."""
        del types
        named: dict[str, Any] = kwargs or {}
        if func in _TELL_NO_VALUES:
            with torch._C.DisableTorchFunctionSubclass():  # pyright: ignore
                return func(*args, **named)
        found = _followed(func, args, named)
        return _in_full(func, args, named) if found is None else found

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Code that is not Python's gets whole maps."""
        del types
        return _in_full(func, args, kwargs or {})


def whole(given: Any) -> Any:
    """The same with whole tensors in the place of changed ones."""
    return tree_map_only(Changed, Changed.whole, given)


def changed(images: Images, image: One, known: Known) -> Changed:
    """Images as a tensor of which only what differs from the first image is at hand."""
    batch, channels, rows, cols = images.shape
    part = None
    if images.shape[1:] == image.shape[1:]:
        box = difference(images, image)
        if not most_of(box, (rows, cols)):
            part = Part(part_of(images, box), box, image)
    part = Part(images.clone()) if part is None else part
    held = Map((batch, channels, rows, cols), lambda _behind: part, known.first, part)
    made = Changed.holding(held, known, images)
    made.source, made.viewed = (lambda: images), True
    return made


def _in_full(func: Any, args: Any, named: Any) -> Any:
    return func(*whole(args), **whole(named))


def _followed(func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a known operation gives where its maps changed; None of another."""
    name = {"itruediv": "truediv"}.get(plain_name(func), plain_name(func))
    if name in _ROWS:
        return _rows(args, named)
    if name in _PAIRS:
        return _pair(name, func, args, named)
    x = args[0] if args else named.get("input")
    if not isinstance(x, Changed) or x.is_whole:
        if name in ("to", "type_as") and len(args) == 2 and not named and isinstance(args[1], Changed):
            return func(args[0], torch.empty(0, dtype=args[1].dtype, device=args[1].device))
        return None
    if name == "unsqueeze" and x.flat and (args[1:] == (1,) or named.get("dim") == 1):
        return x.view_as_map(x.map, lambda of: of.unsqueeze(1), flat=False)
    if x.flat:
        return None
    if name == "getitem":
        return _channels(x, args[1])
    if name in _DROPOUTS and named.get("training") is False:
        return x
    if name in WINDOWS:
        window = WINDOWS[name](args if args else (x,), named, x.known)
        return None if window is None else Changed.holding(window.of_map(x.map), x.known, x)
    each = each_of(name, func, args, named, x.known)
    return None if each is None else _result(x, x.map.then(each), _in_place(func, named))


def _result(x: Changed, map: Map, in_place: bool) -> Changed:
    """A tensor that holds a map: the given one, where an operation changes it."""
    if not in_place:
        return Changed.holding(map, x.known, x)
    if x.viewed:
        raise VlxError("a network that changes its images, or channels of a map, in place")
    x.map = map
    return x


def _in_place(func: Any, named: Mapping[str, Any]) -> bool:
    name = str(getattr(func, "__name__", ""))
    operator = name.startswith("__i") and name.endswith("__")
    return operator or (name.endswith("_") and not name.endswith("__")) or bool(named.get("inplace"))


def _channels(x: Changed, index: Any) -> Changed | None:
    """Some channels of a tensor, or one."""
    if not (isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None)):
        return None
    chosen, count = cast("tuple[Any, Any]", index)[1], x.map.shape[1]
    if isinstance(chosen, slice):
        kept, one = range(count)[chosen], False
    elif type(chosen) is int:
        kept, one = range(count)[chosen : chosen + 1 or None], True
    else:
        return None
    if not kept or kept.step != 1:
        return None
    each, (batch, _, *size) = picked(slice(kept.start, kept.stop)), x.map.shape
    source = x.map
    source.readers += 1
    map = Map(
        (batch, len(kept), size[0], size[1]), lambda behind: source.followed((each, *behind)), source.first
    )
    return x.view_as_map(map, lambda of: of[index], flat=one)


def _rows(args: tuple[Any, ...], named: Mapping[str, Any]) -> Changed | None:
    """Maps one behind the other, channel by channel."""
    tensors = args[0] if args else named.get("tensors")
    dim = args[1] if len(args) > 1 else named.get("dim", named.get("axis", 0))
    if not isinstance(tensors, list | tuple) or dim not in (1, -3) or "out" in named:
        return None
    given = cast("list[Any]", list(tensors))
    if not all(isinstance(one, Changed) and not one.is_whole and not one.flat for one in given):
        return None
    maps = [one.map for one in given]
    if any(map.size != maps[0].size or map.shape[0] != maps[0].shape[0] for map in maps):
        return None
    (batch, _, *size), channels = maps[0].shape, sum(map.shape[1] for map in maps)
    shape = (batch, channels, size[0], size[1])
    made = together(maps, shape, lambda *parts: torch.cat(parts, 1), ("cat",))
    return Changed.holding(made, given[0].known, given[0])


def _pair(name: str, func: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> Changed | None:
    """A sum, difference, product or quotient: of two maps, or of a map and a number, or what is fixed."""
    tensors = [one for one in args if isinstance(one, Changed)]
    if len(args) != 2 or not set(named) <= {"alpha"} or any(one.is_whole or one.flat for one in tensors):
        return None
    in_place, key = _in_place(func, {}), (name, *named.items())
    run: Callable[..., Tensor] = partial(_PAIRS[name], **named)
    if len(tensors) == 2:
        one, two = tensors
        if one.map.shape != two.map.shape or one.dtype != two.dtype:
            return None
        made = together([one.map, two.map], one.map.shape, run, key, in_place=in_place)
        return _result(one, made, in_place)
    (x,), at = tensors, int(args[1] is tensors[0])
    other = args[1 - at]
    if isinstance(other, bool | str) or (in_place and at == 1) or x.known.key(other) is None:
        return None
    if isinstance(other, Tensor):
        shape = (1,) * (4 - other.ndim) + tuple(other.shape)
        fits = len(shape) == 4 and all(
            mine in (1, theirs) for mine, theirs in zip(shape, (1, *x.map.shape[1:]), strict=True)
        )
        if not fits or other.dtype != x.dtype or other.device != x.device:
            return None
        other = x.known.kept(other)
        if shape[2:] != (1, 1):
            spread = _spread(other, shape, x)
            pair = [spread, x.map] if at else [x.map, spread]
            return _result(x, together(pair, x.map.shape, run, key), in_place)

    def alone(images: Images) -> Images:
        return run(other, images) if at else run(images, other)

    each = scaled(alone, (*key, at, x.known.key(other)))
    return _result(x, x.map.then(each), in_place)


def _spread(fixed: Tensor, shape: tuple[int, ...], x: Changed) -> One:
    """What differs from place to place and is the same in every image, at each place of a map."""
    size = x.map.size
    return x.known.first.of(
        ("spread", id(fixed), *size), fixed, lambda: last(fixed.view(shape).expand(1, shape[1], *size))
    )
