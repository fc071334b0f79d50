"""Maps of images that differ from a first image in a box, and layers on such maps: only the box is computed.

A convolution or pool reads what lies around the box from the map of the first image, which is computed once
and kept. A sum of maps, or maps one behind the other, have the box that holds theirs. Once a box has spread
over most of a map, the whole map is computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vlx.errors import VlxError
from vlx.methods.occlusion.boxes import Axis, Box, Images, One, around, everywhere, part_of, pasted

MOST = 0.75
"""The share of a map above which all of it is computed: cutting and pasting would cost more."""

Run = Callable[[Images, tuple[int, int]], Images]
Key = tuple[Any, ...]
"""What a result is known by; it names tensors by their identity."""
RELU: Key = ("relu",)
"""By which a ReLU is known."""


@dataclass(eq=False)
class First:
    """What was found for the first image; each map is computed once."""

    limit: int
    """How much is kept at most: a network that does something new in each run would fill the memory."""
    kept: dict[Key, tuple[object, Tensor]] = field(default_factory=dict[Key, tuple[object, Tensor]])

    def of(self, key: Key, holding: object, compute: Callable[[], Tensor]) -> Tensor:
        """What is known by a key, while ``holding`` keeps the tensors that the key names."""
        if key not in self.kept:
            if len(self.kept) >= self.limit:
                raise VlxError("a network that does other things in each run")
            self.kept[key] = holding, compute()
        return self.kept[key][1]


@dataclass(frozen=True, eq=False)
class Part:
    """A map of each image: that of the first image with a box of its own, or all of it its own."""

    own: Images
    """What lies in the box."""
    box: Box | None = None
    """None for all of the map."""
    of_first: One | None = None
    """The map of the first image, where there is a box."""

    def whole(self) -> Images:
        """All of the map."""
        if self.box is None or self.of_first is None:
            return self.own
        shape = self.of_first.shape[2:]
        return pasted(self.of_first, everywhere(len(self.own), shape), self.own, self.box)

    def within(self, box: Box) -> Images:
        """What lies in a box that holds its own."""
        if self.box is None or self.of_first is None:
            return part_of(self.own, box)
        return self.own if box.same(self.box) else pasted(self.of_first, box, self.own, self.box)


@dataclass(frozen=True, eq=False)
class Each:
    """An operation that looks at each place alone."""

    run: Callable[[Images, bool], Images]
    """On a map, which may be changed where that is said."""
    key: Key
    norm: Callable[[], tuple[Tensor, Tensor]] | None = None
    """What each channel is multiplied by, and what is then added, where it does just that."""


Behind = tuple[Each, ...]
Made = Callable[[Behind], Part]
"""Makes a map and what operations at each place, one after the other, make of it."""


@dataclass(eq=False)
class Map:
    """A map of each image that is computed when it is read, with what is done at each place of it."""

    shape: tuple[int, int, int, int]
    make: Made
    first: First
    part: Part | None = None
    readers: int = 0
    """How many operations went on from it before it was computed."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[2], self.shape[3]

    def now(self) -> Part:
        """The map itself."""
        if self.part is None:
            self.part = self.make(())
        return self.part

    def then(self, each: Each) -> "Map":
        """What an operation at each place makes of it."""
        self.readers += 1
        return Map(self.shape, lambda behind: self.followed((each, *behind)), self.first)

    def followed(self, behind: Behind) -> Part:
        """What operations at each place make of it; it is not computed itself where nothing else reads it."""
        if self.part is None and self.readers < 2:
            return self.make(behind)
        part = self.now()
        own = applied(behind, part.own, mine=False)
        if part.box is None or part.of_first is None:
            return Part(own)
        of_first, keys = part.of_first, tuple(each.key for each in behind)
        key = ("each", id(of_first), *keys)
        return Part(
            own, part.box, self.first.of(key, of_first, lambda: applied(behind, of_first, mine=False))
        )


def applied(behind: Behind, found: Images, *, mine: bool) -> Images:
    """What operations make of a map; ``mine`` says whether it may be changed."""
    for each in behind:
        found = each.run(found, mine)
        mine = True
    return found


def most_of(box: Box, shape: Sequence[int]) -> bool:
    """Whether a box covers most of a map of some rows and columns."""
    return box.places > MOST * shape[0] * shape[1]


@dataclass(frozen=True, eq=False)
class Window:
    """A layer that reads a window of places: a convolution or a pool."""

    key: Key
    axes: tuple[Axis, Axis]
    """Of rows and columns."""
    ceil: bool
    """Whether a last window may stick out behind the padding."""
    value: float
    """What stands around the map."""
    run: Run
    """The layer on a map, with so much padding."""
    even: bool = True
    """Whether it does the same at the edges of a map, given what stands around it."""

    def counts(self, size: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of what it gives for maps of some rows and columns."""
        rows, cols = (self._count(axis, length) for axis, length in zip(self.axes, size, strict=True))
        return rows, cols

    def _count(self, axis: Axis, length: int) -> int:
        over = length + 2 * axis.padding - axis.extent
        if not self.ceil:
            return over // axis.stride + 1
        count = -(-over // axis.stride) + 1
        return count - 1 if (count - 1) * axis.stride >= length + axis.padding else count

    def on(self, part: Part, first: First) -> tuple[Images, Box | None]:
        """What it gives of changed maps where it is changed, and where that is."""
        native = self.axes[0].padding, self.axes[1].padding
        if part.box is None or part.of_first is None:
            return self.run(part.own, native), None
        of_first, counts = part.of_first, self.counts(part.of_first.shape[2:])
        box = Box(*(axis.reached(span, n) for axis, span, n in zip(self.axes, part.box, counts, strict=True)))
        if most_of(box, counts):
            return self.run(part.whole(), native), None
        if all(axis == Axis(1, 1, 0) for axis in self.axes):
            return self.run(part.own, (0, 0)), part.box
        padded = first.of(
            ("around", id(of_first), self.axes, counts, self.value),
            of_first,
            lambda: last(around(of_first, self.axes, counts, self.value)),
        )
        read = Box(*(axis.read(span) for axis, span in zip(self.axes, box, strict=True)))
        at = Box(*(span.moved(axis.padding) for axis, span in zip(self.axes, part.box, strict=True)))
        found = self.run(pasted(padded, read, part.own, at), (0, 0))
        return (found if self.even else found * part_of(self._share(of_first, first), box)), box

    def _share(self, of_first: One, first: First) -> One:
        """What an average at each place is multiplied by where what stands around the map was counted."""
        ones = of_first.new_ones((1, 1, *of_first.shape[2:]))
        native, counts = (self.axes[0].padding, self.axes[1].padding), self.counts(ones.shape[2:])

        def share() -> Tensor:
            return self.run(ones, native) / self.run(around(ones, self.axes, counts, self.value), (0, 0))

        return first.of(("share", *self.key, *ones.shape), None, share)

    def of_map(self, source: Map) -> Map:
        """What it gives of a map, which is read now: a chain of what waits for one another would be deep."""
        source.readers += 1
        source.now()
        return Map(self._shape(source), lambda behind: self._made(source, behind), source.first)

    def _shape(self, source: Map) -> tuple[int, int, int, int]:
        return (*source.shape[:2], *self.counts(source.size))

    def _made(self, source: Map, behind: Behind) -> Part:
        return self._run(source, behind, (*self.key, *(each.key for each in behind)))

    def _run(self, source: Map, behind: Behind, key: Key) -> Part:
        part, first = source.now(), source.first
        found, box = self.on(part, first)
        own = applied(behind, found, mine=True)
        if box is None or part.of_first is None:
            return Part(own)
        of_first, native = part.of_first, (self.axes[0].padding, self.axes[1].padding)
        return Part(
            own,
            box,
            first.of(
                (*key, id(of_first)),
                of_first,
                lambda: last(applied(behind, self.run(of_first, native), mine=True)),
            ),
        )


@dataclass(frozen=True, eq=False)
class Convolution(Window):
    """A convolution, into which a normalisation and a ReLU behind it are drawn."""

    weight: Tensor = field(kw_only=True)
    bias: Tensor | None = field(kw_only=True)
    laid: Callable[[Tensor], Tensor] = field(kw_only=True)
    """Lays a weight out for many runs."""
    of: Callable[[Tensor, Tensor | None, bool], Run] = field(kw_only=True)
    """The layer with a weight that was laid out and a bias, and with a ReLU, if that is said."""

    def _shape(self, source: Map) -> tuple[int, int, int, int]:
        return (source.shape[0], len(self.weight), *self.counts(source.size))

    def _made(self, source: Map, behind: Behind) -> Part:
        first, key, rest, bias = source.first, self.key, behind, self.bias
        norm = behind[0].norm if behind and self.weight.dtype in (torch.float32, torch.float64) else None
        if norm is not None:
            key, rest = (*key, *behind[0].key), behind[1:]
            bias = first.of(("bias", *key), self, lambda: _shifted(self.bias, *norm()))

        def weight() -> Tensor:
            return self.laid(self.weight if norm is None else self.weight * norm()[0][:, None, None, None])

        rectified = bool(rest) and rest[0].key == RELU
        run = self.of(first.of(("weight", *key), self, weight), bias, rectified)
        told = (*self.key, *(each.key for each in behind))
        return replace(self, run=run)._run(source, rest[1:] if rectified else rest, told)


def _shifted(bias: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    return shift if bias is None else shift + bias * scale


def together(
    maps: Sequence[Map | One],
    shape: tuple[int, int, int, int],
    run: Callable[..., Images],
    key: Key,
    *,
    in_place: bool = False,
) -> Map:
    """What an operation makes of several maps at each place; a tensor is the same for all images.

    ``in_place`` says that nobody has the first map any more but who reads it already.
    """
    given = [one for one in maps if isinstance(one, Map)]
    first = given[0].first
    for one in given:
        one.readers += 1

    def make(behind: Behind) -> Part:
        mine = in_place and isinstance(maps[0], Map) and maps[0].part is None and maps[0].readers == 1
        parts = [one.now() if isinstance(one, Map) else Part(one, None, one) for one in maps]
        of_first = [part.of_first for part in parts]
        boxes = [part.box for part in parts if part.box is not None]
        fixed = sum(not isinstance(one, Map) for one in maps)
        box = None
        if len(boxes) + fixed == len(parts):
            box = boxes[0]
            for other in boxes[1:]:
                box = box.joined(other, shape[2:])
        if box is None or most_of(box, shape[2:]):
            return Part(of([part.whole() for part in parts], behind, mine))
        own = of([part.within(box) for part in parts], behind, mine)
        told = (*key, *map(id, of_first), *(each.key for each in behind))
        return Part(own, box, first.of(told, of_first, lambda: last(of(of_first, behind, False))))

    def of(given: Sequence[Any], behind: Behind, mine: bool) -> Images:
        found = run(*given, out=given[0]) if mine else run(*given)
        return applied(behind, found, mine=True)

    return Map(shape, make, first)


def last(found: Images) -> Images:
    """In memory place after place, so that places are quickly copied."""
    return found.contiguous(memory_format=torch.channels_last)
