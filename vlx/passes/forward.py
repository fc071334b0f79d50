"""One differentiable run of a model on a batch of images and texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.errors import LayerError, VlxError
from vlx.images.frame import Frame
from vlx.passes.cut import Cut, step_rows
from vlx.passes.fields.measured import centres_of
from vlx.passes.lens import Lens
from vlx.passes.reading import Reading

_MOST = 1.05  # what probabilities may add up to, in half precision too

Grid = Callable[[Tensor], Tensor]
"""Views features (..., *feature axes) as (..., channel, row, col); leading axes are kept."""
Quantity = Literal["log-probability", "logit"]
"""What a score is."""


def conv_grid(features: Float[Tensor, "*feature"]) -> Float[Tensor, "*lead channel row col"]:
    """View the features of a convolution: they already are (channel, row, col).

    >>> vlx.conv_grid(torch.ones(1, 8, 7, 7)).shape
    torch.Size([1, 8, 7, 7])
    """
    if features.ndim < 4:
        raise LayerError(
            f"the layer's output of shape {tuple(features.shape)} has no rows and columns: "
            "choose a convolutional layer, or give the Pass a grid"
        )
    return features


def token_grid(rows: int, cols: int, skip: int = 0) -> Grid:
    """Make a grid from a token sequence (..., token, channel): raster order after ``skip`` tokens.

    >>> grid = vlx.token_grid(2, 3, skip=1)
    >>> grid(torch.ones(1, 7, 8)).shape
    torch.Size([1, 8, 2, 3])
    """

    def view(tokens: Float[Tensor, "*lead token channel"]) -> Float[Tensor, "*lead channel row col"]:
        count = tokens.shape[-2] - skip
        if count != rows * cols:
            raise LayerError(f"{tokens.shape[-2]} tokens less {skip} do not fill a grid of {rows} x {cols}")
        patches = tokens[..., skip:, :].transpose(-1, -2)
        return patches.unflatten(-1, (rows, cols))

    return view


@dataclass(frozen=True, eq=False)
class Below:
    """What lies below the features, for methods that reach the pixels.

    Gradients at the pixels need ``encode``; occlusion needs ``rescore``.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> run.below.pixels.shape
    torch.Size([1, 3, 224, 224])
    """

    pixels: Float[Tensor, "batch channel *time height width"]
    """The network input; of clips with time before height."""
    encode: Callable[[Tensor], Tensor] | None = None
    """Turns pixels into the features, recording gradients."""
    rescore: Callable[[Tensor, int], Tensor] | None = None
    """The scores (batch, step, choice) of other pixels with the text of the item at a position; records
    nothing."""
    cnn: nn.Module | None = None
    """What reads the pixels when they are scored: occlusion runs it once for all texts of an image and, where
    it is a chain of convolutions, only where a window changes it."""
    colour: Callable[[Sequence[float]], Tensor] | None = None
    """What a colour (red, green and blue of 0 to 1) becomes in the network input: occlusion by a colour asks
    it. The ``colour`` of a `vlx.images.Preprocess` says so."""


@dataclass(frozen=True, eq=False)
class Shortcuts:
    """Shorter ways to the same gradients, as `vlx.capture` prepared them; without any, all are still had.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> run.shortcuts.everywhere.shape == run.features.shape[:2]
    True
    """

    cut: Cut | None = None
    """For many words at once: the vocabulary layer is differentiated once for all of them."""
    everywhere: Float[Tensor, "batch channel"] | None = None
    """For methods that need of the gradients only their mean over places: a leaf of 0 that was added to the
    features at every place, so that its gradient is the sum of the gradients at the places."""


@dataclass(frozen=True, eq=False)
class Again:
    """The part above the layer, run on other features: see `Pass.above`."""

    features: Float[Tensor, "node *feature"]
    """A leaf of the graph."""
    scores: Float[Tensor, "node step choice"]
    shortcuts: Shortcuts = Shortcuts()


Above = Callable[[int, Tensor], Again]
"""Scores features (node, *feature) with the text of the item at a position."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One differentiable run: features, and the scores that depend on them.

    ``scores[b, t, c]`` is the log-probability of choice c at step t of item b, given the steps
    before (captions), or the logit of answer or class c (one step). Padding steps may hold anything:
    the readings say which steps count. Raises VlxError at once if its parts do not fit.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> run.readings[0].text, run.features.shape[2:]
    ('a traffic light', torch.Size([14, 14]))
    """

    features: Float[Tensor, "batch *feature"]
    scores: Float[Tensor, "batch step choice"]
    readings: tuple[Reading, ...]
    frames: tuple[Frame, ...]
    """Where the network input lies on each image; the Pass adds where the places of its grid look, as
    `vlx.capture` measured it, if that is elsewhere than cells that divide the input evenly."""
    images: tuple[Image.Image, ...] = ()
    """The original images, RGB; a Pass of tensors alone has none, and then no `Explanation`."""
    grid: Grid = conv_grid
    below: Below | None = None
    """What lies below the features; without it only methods on features work."""
    shortcuts: Shortcuts = Shortcuts()
    """Handed on from `vlx.capture` as they are: ``seen.shortcuts``."""
    above: Above | None = None
    """Runs the part above the layer again, as ``seen.above(…)`` of `vlx.capture` makes it; without it no
    method serves that follows a path of features, and no evidence is had."""
    quantity: Quantity = "log-probability"
    """What a score is."""
    model: str = "model"
    layer: str = "layer"
    placed: str = field(default="", init=False)
    """A line on where the places of the grid look, or why that is not known."""
    create_graph: bool = False
    """Whether gradients and maps record how they were made, as ``vlx.capture(…, create_graph=True)`` did of
    the features: they can then be differentiated."""
    lens: Lens | None = None
    """What a language model makes of image tokens, for methods that read them as words."""
    others: "tuple[Pass, ...]" = ()
    """The same images and texts at other layers, with grids no finer than this one, for methods that fuse
    their maps: `vlx.at_layers` makes such a Pass."""

    def __post_init__(self) -> None:
        if not ((self.create_graph or self.features.is_leaf) and self.features.requires_grad):
            raise VlxError(
                "the features of a Pass must be a leaf that requires gradients: take them from vlx.capture"
            )
        cut = self.shortcuts.cut
        root = cut.above if cut else self.scores
        if root.grad_fn is None:
            raise LayerError(
                f"the scores do not depend on layer {self.layer}: it is not on the path to them, "
                "or the model ran without gradients inside vlx.capture"
            )
        sizes = {len(self.readings), len(self.frames), len(self.scores), len(self.features)}
        if len(sizes) != 1 or len(self.images) not in (0, self.batch):
            raise VlxError(
                f"a Pass needs one reading, frame and image an item: got {len(self.features)} features, "
                f"{len(self.scores)} scores, {len(self.readings)} readings, {len(self.frames)} frames, "
                f"{len(self.images)} images"
            )
        if cut:
            located = replace(cut, rows=step_rows(cut, self.scores))
            object.__setattr__(self, "shortcuts", replace(self.shortcuts, cut=located))
        self._check_readings()
        self._check_quantity()
        if self.grid is conv_grid and self.features.ndim == 4:
            self._check_axes()
        self._place()
        readings = zip(self.readings, self.scores.detach(), strict=True)
        told = tuple(replace(reading, scores=scores) for reading, scores in readings)
        object.__setattr__(self, "readings", told)

    def _place(self) -> None:
        """Say in the frames where the places look, if the run told."""
        sizes = {frame.input_size for frame in self.frames}
        found, told = centres_of(self.features, self.grid, sizes.pop()) if len(sizes) == 1 else (None, "")
        object.__setattr__(self, "placed", told)
        if found is not None:
            frames = tuple(replace(frame, centres=found) for frame in self.frames)
            object.__setattr__(self, "frames", frames)

    def _check_quantity(self) -> None:
        """Log-probabilities of all choices at a step are those of 1 in all, however they are rounded."""
        rows = [
            (b, step)
            for b, reading in enumerate(self.readings)
            if reading.kind == "caption"
            for word in reading.words
            for step in word.steps
        ]
        if self.quantity != "log-probability" or not rows or _normalised(self.scores):
            return
        items, steps = (list(axis) for axis in zip(*rows, strict=True))
        total = float(torch.logsumexp(self.scores.detach()[items, steps].float(), -1).exp().amax())
        if total > _MOST:
            raise VlxError(
                f"the probabilities of all choices at a step add up to {total:.3g}: give the Pass "
                "vlx.log_probabilities(logits), not the logits themselves"
            )

    def _check_axes(self) -> None:
        """Some networks (Swin) keep channels last: seen from the shape of the image."""
        height, width = self.frames[0].input_size
        first, rows, cols = self.features.shape[1:]

        def fit(rows: int, cols: int) -> bool:
            return abs(rows * width - cols * height) <= height + width

        if fit(first, rows) and not fit(rows, cols):
            raise LayerError(
                f"layer {self.layer} gives {first} x {rows} places with the {cols} channels last: "
                "choose a layer with channels first, or give the Pass a grid"
            )

    def _check_readings(self) -> None:
        steps, choices = self.scores.shape[1:]
        for reading in self.readings:
            if len(reading.choices.names) != choices:
                raise VlxError(
                    f"{len(reading.choices.names)} names for {choices} choices: "
                    "the vocabulary does not fit the scores"
                )
            words = (*reading.words, *((reading.end,) if reading.end else ()))
            last = max((step for word in words for step in word.steps), default=0)
            if last >= steps:
                raise VlxError(f"a word stands at step {last}, but only {steps} steps were scored")

    @property
    def batch(self) -> int:
        """How many images and texts ran together."""
        return len(self.features)

    def with_features(self, position: int, features: Float[Tensor, "node *feature"]) -> "Pass":
        """A Pass of other features in the place of those of one item, with its text: an item for each.

        Raises VlxError where the Pass cannot run the part above the layer again.
        """
        if self.above is None:
            raise VlxError(
                f"{self.model} gives no way to run again what lies above layer {self.layer}: give its Pass "
                "above=seen.above(…), or use a method of one gradient, such as grad_cam"
            )
        again = self.above(position, features)
        one = slice(position, position + 1)
        found = replace(
            self,
            features=again.features,
            scores=again.scores,
            readings=self.readings[one] * len(features),
            frames=self.frames[one] * len(features),
            images=self.images[one] * len(features),
            below=None,
            shortcuts=again.shortcuts,
            above=None,
            lens=None,
            others=(),
        )
        object.__setattr__(found, "placed", self.placed)  # the same places, as their frames say
        return found


def _normalised(scores: Float[Tensor, "batch step choice"]) -> bool:
    """Whether the graph says that scores are log-probabilities over the choices: they need not be summed."""
    made: Any = scores.grad_fn
    if made is None or made.name() != "LogSoftmaxBackward0":
        return False
    return made._saved_dim in (2, 2**64 - 1)  # the graph keeps -1 unsigned


def log_probabilities(logits: Float[Tensor, "*lead choice"]) -> Float[Tensor, "*lead choice"]:
    """The log-probabilities of logits along the last axis, in float32 whatever came in.

    >>> vlx.log_probabilities(torch.zeros(1, 4)).exp()
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return torch.log_softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))


def logit_scores(logits: Float[Tensor, "batch choice"]) -> Float[Tensor, "batch 1 choice"]:
    """Logits as the scores of a Pass of one step, in float32 at least.

    >>> logit_scores(torch.zeros(1, 4)).shape
    torch.Size([1, 1, 4])
    """
    return logits[:, None].to(torch.promote_types(logits.dtype, torch.float32))
