"""The result: raw maps with their scores, where they lie on the image, and how they were made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from vlx.check.averaging import doubts
from vlx.errors import VlxError, near_names
from vlx.images.frame import Frame
from vlx.images.segments import segment_box
from vlx.owned import own

Scaling = Literal["common", "own"]
"""Whether the colours of words share a scale, or each has its own."""


@dataclass(frozen=True)
class Explained:
    """One explained scalar: its name, its score, and the words of the caption it is about.

    >>> found = vlx.explain_caption(captioner, photo, "a traffic light")
    >>> found.targets[2].name, found.targets[2].words
    ('light', (2,))
    """

    name: str
    """What was explained, for example ``bike``, ``caption`` or ``red - blue``."""
    score: float
    """y: a log-probability (nats) or a logit; a weighted sum of them for a composed target."""
    probability: float | None = None
    """Probability of the words or of the answer; None for a composed target."""
    words: tuple[int, ...] = ()
    """Positions of its words in the caption, from 0; empty for answers and classes."""
    blank: float | None = None
    """The score of the same text where the features show nothing, or, of methods that reveal parts of the
    image, where it is filled as a whole; None where it was not asked for."""
    error: float | None = None
    """How far gradients times features along a path lie from ``from_image``, which they should add up to;
    None for other methods, and where only the mean of the gradients was computed."""
    kept: float | None = field(default=None, compare=False)
    """How much of the gradient a method's mean over places keeps (`vlx.methods.cam.kept_by_mean`), from 0 to
    1; None of methods without one, and of targets that cost more (`explain` with ``evidence`` tells it)."""

    @property
    def from_image(self) -> float | None:
        """How much of the score comes from the image: ``score - blank``, in nats for words; else None."""
        return None if self.blank is None else self.score - self.blank


@own(versions=dict, checks=dict)
@dataclass(frozen=True)
class Provenance:
    """How an explanation was made.

    >>> vlx.explain_caption(captioner, photo, "a traffic light").provenance.score
    'log-probability'
    """

    model: str
    layer: str
    method: str
    score: str
    """What a score is: ``log-probability`` or ``logit``."""
    batched: bool | None = True
    """Whether one batched vector-Jacobian product served all targets, or a loop did; None: no gradients."""
    guided_relus: int = 0
    """How many ReLUs a guided rule rewrote; 0 where no such rule was used."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    checks: Mapping[str, str] = field(default_factory=dict[str, str])
    """What checks of the adapter found: each by its name, its outcome (pass, fail, not applicable) first."""
    below_last: bool | None = None
    """True where gradients were averaged over the places of a layer that convolutions follow; else None."""


@own(image=Image.Image.copy, raw=np.array)
@dataclass(frozen=True, eq=False)
class Explanation:
    """Raw maps of one image and text, one for each target.

    Nothing changes it: arrays and images are copied when it is made, and whatever it hands out is the
    caller's own.

    ``raw`` is (target, row, col) on the feature grid, or (target, 3, height, width) in pixels of
    the network input for methods that reach the pixels. It is neither rescaled nor normalised;
    a map has no negative part only where its method ends in a ReLU.

    >>> found = vlx.explain_caption(captioner, photo, "a traffic light")
    >>> found.raw.shape, found.maps.shape, found.index("light")
    ((4, 14, 14), (4, 224, 224), 2)
    """

    image: Image.Image
    """The original image, RGB."""
    frame: Frame
    raw: Float[np.ndarray, "target *plane"]
    targets: tuple[Explained, ...]
    provenance: Provenance
    words: tuple[str, ...] = ()
    """The words of the caption, in order; empty for answers and classes."""
    prompt: str = ""
    """The question, where there was one."""
    unknown: tuple[str, ...] = ()
    """Words of the given text that the model does not know and read as its unknown token."""
    predicted: tuple[tuple[str, float], ...] = ()
    """The likeliest answers or classes with their probabilities, best first."""

    def __post_init__(self) -> None:
        for name in ("targets", "words", "unknown", "predicted"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        plane = self._raw.shape[1:]
        fits = len(plane) == 2 or (len(plane) == 3 and plane[0] == 3)
        if not fits or 0 in plane or len(self._raw) != len(self.targets):
            raise VlxError(
                f"raw maps of shape {self._raw.shape} do not fit {len(self.targets)} targets: expected "
                "(target, row, col) or (target, 3, height, width)"
            )
        width, height = vars(self)["image"].size
        if (height, width) != self.frame.image_size:
            raise VlxError(
                f"the image is {height} x {width} pixels but its frame says "
                f"{self.frame.image_size[0]} x {self.frame.image_size[1]}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, one.name) for one in fields(self))

    @property
    def at_pixels(self) -> bool:
        """Whether the maps are signed RGB gradients at network-input pixels."""
        return self._raw.ndim == 4

    @property
    def grid_maps(self) -> Float[np.ndarray, "target row col"]:
        """One scalar map for each target on its own grid.

        Gradients at pixels become the mean over channels of their absolute value.
        """
        return self._grid.copy()

    @property
    def maps(self) -> Float[np.ndarray, "target height width"]:
        """The maps on the pixels of the original image, bilinear, zero where the model saw nothing.

        They are placed anew, all of them, whenever they are asked for: `map` places one.
        """
        placed = np.empty((len(self.targets), *self.frame.image_size), self._grid.dtype)
        for target in range(len(placed)):
            placed[target] = self.map(target)
        return placed

    @property
    def evidence(self) -> tuple[bool, ...]:
        """For each target, whether any place of its map is positive."""
        return tuple(bool(plane.max() > 0) for plane in self._grid)

    @property
    def _raw(self) -> Float[np.ndarray, "target *plane"]:
        return vars(self)["raw"]

    @cached_property
    def _grid(self) -> Float[np.ndarray, "target row col"]:
        return np.abs(self._raw).mean(1) if self.at_pixels else self._raw

    @property
    def doubts(self) -> tuple[str, ...]:
        """Lines on why the maps may mean little, as far as that is known of their method and layer."""
        told = self.provenance
        kept = [target.kept for target in self.targets if target.kept is not None]
        return doubts(told.method, told.layer, bool(told.below_last), kept)

    def index(self, target: str | int) -> int:
        """Find a target by its name or its position among the targets.

        Raises VlxError for a name that is missing or that stands for several targets.
        """
        if isinstance(target, int):
            if -len(self.targets) <= target < len(self.targets):
                return target % len(self.targets)
            raise VlxError(f"no target {target}: there are {len(self.targets)}, counted from 0")
        names = [explained.name for explained in self.targets]
        found = [position for position, name in enumerate(names) if name == target]
        if len(found) == 1:
            return found[0]
        if found:
            raise VlxError(f"{target!r} was explained {len(found)} times: use a position of {found}")
        raise VlxError(f"{target!r} was not explained{near_names(target, names)}")

    def map(self, target: str | int) -> Float[np.ndarray, "height width"]:
        """The map of one target on the pixels of the original image."""
        return self.frame.on_image(torch.from_numpy(self._grid[self.index(target)])).numpy()

    def overlay(self, target: str | int, *, scale: Scaling = "own") -> Image.Image:
        """The map of one target over the photo in grey, of the photo's size.

        Its colours end at its own maximum, or with ``scale="common"`` at that of all words. Maps at pixels
        are signed gradients, and the photo is not seen. See `vlx.show.colours` for the colours.

        >>> vlx.explain_caption(captioner, photo, "a traffic light").overlay("light").size
        (224, 224)
        """
        return _drawing().overlay(self, target, scale)

    def heatmap(self, target: str | int, *, scale: Scaling = "own") -> Image.Image:
        """The map of one target in colours alone, of the photo's size, as `overlay` has them.

        >>> vlx.explain_caption(captioner, photo, "a traffic light").heatmap("light").mode
        'RGB'
        """
        return _drawing().heatmap(self, target, scale)

    def box(self, target: str | int, threshold: float | int = 0.15) -> tuple[int, int, int, int] | None:
        """The box around the largest part of a map above a share of its maximum (paper 4.1).

        Left, top, right and bottom in pixels of the original image, the last two just outside, so that
        ``explanation.image.crop(box)`` cuts it out; parts are joined by sides and corners. None where nothing
        of the map is positive. Raises VlxError for a threshold that is not above 0 and at most 1.

        >>> left, top, right, bottom = vlx.explain_caption(captioner, photo, "a traffic light").box("light")
        >>> 0 <= left < right <= 224, 0 <= top < bottom <= 224
        (True, True)
        """
        plane = self.map(target)
        if not plane.max() > 0:
            return None
        return segment_box(plane, threshold)

    def save(
        self,
        stem: str | Path,
        *,
        dpi: int | None = None,
        columns: int = 6,
        words: Sequence[str | int] | None = None,
        scale: Scaling = "common",
    ) -> tuple[Path, ...]:
        """Write ``stem.png`` (figure), ``stem.json`` (facts) and ``stem.npz`` (raw maps and image).

        A name that ends in ``.png``, ``.pdf`` or ``.svg`` is the figure's alone. ``dpi`` is its resolution,
        ``columns`` how many panels stand in a row, ``words`` the targets that are drawn, by name or position,
        ``scale`` whether they share a colour scale (``common``) or each has its ``own``; files of facts hold
        everything. Returns the paths, which appear whole or not at all. Raises VlxError for words that were
        not explained, and for options that no figure has.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = vlx.explain_caption(captioner, photo, "a traffic light")
        ...     [path.name for path in made.save(folder + "/light.pdf", words=["light"])]
        ['light.pdf']
        """
        return _drawing().save(self, Path(stem), dpi, columns, words, scale)

    def show(self, target: str | int | None = None) -> None:
        """Draw the figure, or the overlay of one target, in a notebook or in the system's image viewer."""
        _drawing().show(self, target)

    def _repr_png_(self) -> bytes:
        return _drawing().png(self)


@dataclass(frozen=True)
class Drawing:
    """How explanations are drawn and written; they themselves know nothing of pictures."""

    png: Callable[[Explanation], bytes]
    """The figure of an explanation as a PNG file."""
    overlay: Callable[[Explanation, str | int, Scaling], Image.Image]
    heatmap: Callable[[Explanation, str | int, Scaling], Image.Image]
    save: Callable[
        [Explanation, Path, int | None, int, Sequence[str | int] | None, Scaling], tuple[Path, ...]
    ]
    show: Callable[[Explanation, str | int | None], None]
    """Puts the figure, or one target's overlay, before the user."""


_drawn: Drawing | None = None


def draw_with(drawing: Drawing) -> None:
    """Let explanations be drawn so; `vlx.show` calls it when it is imported, which importing vlx does."""
    global _drawn
    _drawn = drawing


def _drawing() -> Drawing:
    if _drawn is None:
        raise VlxError("nothing here draws explanations: import vlx.show first")
    return _drawn
