"""The result: raw maps with their scores, where they lie on the image, and how they were made."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from vlx.check.averaging import doubts
from vlx.errors import VlxError, near_names
from vlx.images.files import decode_image, png_of, write_whole
from vlx.images.frame import Frame, frame_of
from vlx.owned import own

FORMAT = 1


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

    def save(self, stem: str | Path) -> tuple[Path, Path, Path]:
        """Write ``stem.png`` (figure), ``stem.json`` (facts) and ``stem.npz`` (raw maps and image).

        Returns the three paths. Files appear whole or not at all.
        """
        base = Path(stem)
        base.parent.mkdir(parents=True, exist_ok=True)
        paths = tuple(base.with_name(base.name + suffix) for suffix in (".png", ".json", ".npz"))
        blobs = (png_of(_drawing().figure(self)), self._facts().encode(), self._arrays())
        for path, blob in zip(paths, blobs, strict=True):
            write_whole(path, blob)
        return paths[0], paths[1], paths[2]

    def show(self) -> None:
        """Draw the figure in a notebook, or in the system's image viewer elsewhere."""
        _drawing().show(self)

    def _repr_png_(self) -> bytes:
        return png_of(_drawing().figure(self))

    def _facts(self) -> str:
        facts: dict[str, Any] = {
            "format": FORMAT,
            "provenance": {**_plain(self.provenance), "versions": dict(self.provenance.versions)},
            "frame": {name: value for name, value in asdict(self.frame).items() if value is not None},
            "words": self.words,
            "prompt": self.prompt,
            "unknown": self.unknown,
            "predicted": self.predicted,
            "targets": [_plain(target) for target in self.targets],
        }
        return json.dumps(facts, indent=1, ensure_ascii=False)

    def _arrays(self) -> bytes:
        buffer = io.BytesIO()
        photo = np.frombuffer(png_of(self.image), np.uint8)
        np.savez_compressed(buffer, raw=self._raw, image_png=photo)
        return buffer.getvalue()


@dataclass(frozen=True)
class Drawing:
    """How explanations are drawn; they themselves know nothing of pictures."""

    figure: Callable[[Explanation], Image.Image]
    """The picture of an explanation."""
    show: Callable[[Explanation], None]
    """Puts that picture before the user."""


_drawn: Drawing | None = None


def draw_with(drawing: Drawing) -> None:
    """Let explanations be drawn so; `vlx.show` calls it when it is imported, which importing vlx does."""
    global _drawn
    _drawn = drawing


def _drawing() -> Drawing:
    if _drawn is None:
        raise VlxError("nothing here draws explanations: import vlx.show first")
    return _drawn


def load_explanation(stem: str | Path) -> Explanation:
    """Read an explanation back from the ``.json`` and ``.npz`` that `Explanation.save` wrote.

    Raises VlxError naming the file that is missing or damaged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = vlx.explain_caption(captioner, photo, "a dog").save(folder + "/dog")
    ...     vlx.load_explanation(folder + "/dog").words
    ('a', 'dog')
    """
    base = Path(stem)
    paths = base.with_name(base.name + ".json"), base.with_name(base.name + ".npz")
    for path in paths:
        if not path.is_file():
            raise VlxError(f"no file {path}: save an explanation as {base} first")
    try:
        return _read(*paths)
    except Exception as error:  # zipfile, zlib, NumPy, json and Pillow raise anything for a damaged file
        reason = f"no {error} in it" if isinstance(error, KeyError) else str(error).strip().split("\n")[0]
        raise VlxError(f"{base} is not a saved explanation: {reason or type(error).__name__}") from None


def _read(json_path: Path, npz_path: Path) -> Explanation:
    facts = json.loads(json_path.read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise VlxError(f"its format is {facts['format']!r}, this version reads {FORMAT}")
    if not zipfile.is_zipfile(npz_path):
        raise VlxError(f"{npz_path.name} is no whole NPZ file")
    with np.load(npz_path, allow_pickle=False) as arrays:
        raw, photo = arrays["raw"], arrays["image_png"].tobytes()
    if raw.dtype.kind != "f":
        raise VlxError(f"its raw maps are of type {raw.dtype}, not floats")
    return Explanation(
        image=decode_image(photo, "its image"),
        frame=frame_of(**facts["frame"]),
        raw=raw,
        targets=tuple(_explained(**target) for target in facts["targets"]),
        provenance=Provenance(**facts["provenance"]),
        words=tuple(facts["words"]),
        prompt=facts["prompt"],
        unknown=tuple(facts["unknown"]),
        predicted=tuple((name, float(share)) for name, share in facts["predicted"]),
    )


def _plain(told: Explained | Provenance) -> dict[str, Any]:
    """What is known, without what was not asked for; ``from_image`` is for those who read the file."""
    known = asdict(told) | ({"from_image": told.from_image} if isinstance(told, Explained) else {})
    usual = ("probability", "batched")
    return {name: value for name, value in known.items() if name in usual or value is not None}


def _explained(*, score: Any, words: list[int], from_image: Any = None, **facts: Any) -> Explained:
    return Explained(score=float(score), words=tuple(words), **facts)
