"""Parts of the image of a Pass hidden or shown: all items of one image from the same masked inputs."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlx.images.frame import Frame
from vlx.methods.occlusion.bands import Bands, is_chance, outer, posteriors, shown_bands
from vlx.methods.occlusion.fills import Fill, Pixels, filling
from vlx.methods.occlusion.incremental import changes_only
from vlx.methods.occlusion.windows import Scores, Windows, occlusion, wholly
from vlx.methods.rescoring import other_pixels, values_in
from vlx.passes.forward import Below, Pass
from vlx.passes.reading import Reading
from vlx.passes.stand_in import stand_in
from vlx.passes.targets import Resolved

Maps = Float[np.ndarray, "_target _height _width"]
Values = Callable[[Tensor, Sequence[Resolved], Reading], Tensor]
"""The values (image, value) of some targets in the scores (image, step, choice) of images."""


@dataclass(frozen=True, eq=False)
class Shown:
    """The maps of an item, and its targets' scores for the wholly filled image, where that was seen."""

    maps: Maps
    blank: Float[np.ndarray, " _target"] | None = None


Known = dict[tuple[Any, ...], dict[int, Shown]]
"""The maps of the same targets by windows that were hidden, or revealed, before."""


def occlusion_maps(
    passed: Pass, targets: Mapping[int, Sequence[Resolved]], windows: Windows
) -> dict[int, Maps]:
    """How much each target's score falls with a window around each pixel of the network input hidden.

    ``targets`` are given for each item of the Pass that is asked for, by its position. Items of the same
    image share the masked images, and a CNN sees them once. The text is read as in the Pass; nothing is
    recorded for gradients. Raises VlxError if the Pass cannot score other pixels, or does not say what the
    colour that windows are filled with becomes in its input.
    """
    return {position: found.maps for position, found in window_maps(passed, targets, windows).items()}


def window_maps(
    passed: Pass, targets: Mapping[int, Sequence[Resolved]], windows: Windows, known: Known | None = None
) -> dict[int, Shown]:
    """The maps of windows that are hidden or revealed, in the units of the scores; see `occlusion_maps`.

    A revealed window is worth the score with all else filled, less that of the wholly filled image
    (the black-box counterpart of caption-guided saliency, arXiv 1612.07360). The sum of both maps is the
    objective of EAGLE (arXiv 2509.22496) for a single region. ``known`` keeps what was found
    for others of the same targets.
    """
    below, _ = other_pixels(passed)
    height, width = below.pixels.shape[2:]
    size, stride = windows.fitted((height, width))
    known = {} if known is None else known
    ways = ("hide", "reveal") if windows.what == "reveal_and_hide" else (windows.what,)
    keys = [(way, size, stride, windows.batch, windows.fill) for way in ways]
    missing = {key: dict[int, Shown]() for key in keys if key not in known}
    for image in _images(passed, below, targets, windows.fill, size) if missing else ():
        score = image.scorer(value_of_each)
        for key, found in missing.items():
            original, other = image.pixels, image.filled()
            if key[0] == "reveal":
                original, other = other, original
            with image.sharing():
                made = occlusion(original, score, size=size, stride=stride, fill=other, batch=windows.batch)
            falls = made.map
            of_all = Shown(falls) if key[0] == "hide" else Shown(-falls, made.score)
            found |= image.of_each(of_all)
    known |= {key: _with_empty(found, targets, below) for key, found in missing.items()}
    parts = [known[key] for key in keys]
    return {at: _added([part[at] for part in parts]) for at in targets}


def band_maps(passed: Pass, targets: Mapping[int, Sequence[Resolved]], bands: Bands) -> dict[int, Shown]:
    """The product of what each row and each column of bands, shown alone, is worth; see `occlusion_maps`."""
    below, _ = other_pixels(passed)
    height, width = below.pixels.shape[2:]
    found = dict[int, Shown]()
    for image in _images(passed, below, targets, bands.fill, max(height, width) // bands.count):
        score, blank = image.scorer(_values_and_posteriors), image.filled()
        with image.sharing():
            # The first that is scored is the wholly filled image, from which the others differ in a band.
            first = np.array(score(blank[None])[0], np.float64)
            rows, cols = shown_bands(blank, image.pixels, score, bands)
        at = 0
        for position, wanted in image.targets.items():
            mine, posterior = (slice(at + n * len(wanted), at + (n + 1) * len(wanted)) for n in (0, 1))
            chances = [is_chance(target, passed.readings[position]) for target in wanted]
            maps = outer(rows[:, posterior], cols[:, posterior], chances, bands, (height, width))
            found[position] = Shown(maps, first[mine])
            at += 2 * len(wanted)
    return _with_empty(found, targets, below)


def value_of_each(
    scores: Float[Tensor, "image step choice"], targets: Sequence[Resolved], _reading: Reading
) -> Float[Tensor, "image target"]:
    """What the targets themselves are worth."""
    return values_in(scores, [target.terms for target in targets])


def _values_and_posteriors(scores: Tensor, targets: Sequence[Resolved], reading: Reading) -> Tensor:
    return torch.cat([value_of_each(scores, targets, reading), posteriors(scores, targets, reading)], 1)


def _added(parts: Sequence[Shown]) -> Shown:
    if len(parts) == 1:
        return parts[0]
    blank = next((part.blank for part in parts if part.blank is not None), None)
    return Shown(sum((part.maps for part in parts[1:]), parts[0].maps), blank)


def _with_empty(
    found: Mapping[int, Shown], targets: Mapping[int, Sequence[Resolved]], below: Below
) -> dict[int, Shown]:
    """Those of every item, in their order; items of which nothing was asked have no maps."""
    nothing = Shown(np.zeros((0, *below.pixels.shape[2:])), np.zeros(0))
    return {position: found.get(position, nothing) for position in targets}


@dataclass(frozen=True, eq=False)
class _Image:
    """An image, and what is asked of the texts that were read with it."""

    pixels: Pixels
    """The network input, in float32 at least."""
    fill: np.ndarray
    targets: Mapping[int, Sequence[Resolved]]
    """Of each of its items, by its position."""
    passed: Pass
    below: Below

    def filled(self) -> Pixels:
        """The image hidden as a whole; it lies in memory as the image does."""
        found = np.empty_like(self.pixels)
        found[...] = wholly(self.pixels, self.fill)
        return found

    def scorer(self, values: Values) -> Scores:
        """What scores images with every text: the values of one item behind those of another."""
        pixels, rescore, layout = self.below.pixels, self.below.rescore, _layout(self.below.cnn)
        assert rescore is not None

        def score(images: Float[np.ndarray, "batch channel height width"]) -> np.ndarray:
            other = torch.from_numpy(images).to(pixels, memory_format=layout)
            found = [
                values(rescore(other, position), wanted, self.passed.readings[position])
                for position, wanted in self.targets.items()
            ]
            return torch.cat(found, 1).cpu().numpy()

        return score

    @contextmanager
    def sharing(self) -> Generator[None, None, None]:
        """Let a CNN compute only what differs from the first image, and see an image once for all texts."""
        cnn = self.below.cnn
        with ExitStack() as stack:
            if cnn is not None:
                stack.enter_context(changes_only(cnn))
            if cnn is not None and len(self.targets) > 1:
                stack.enter_context(once_an_input(cnn))
            yield

    def of_each(self, of_all: Shown) -> dict[int, Shown]:
        """What was found for all targets, by the items that they are of."""
        ends = np.cumsum([len(wanted) for wanted in self.targets.values()])[:-1]
        maps, blank = np.split(of_all.maps, ends), of_all.blank
        blanks = [None] * len(maps) if blank is None else np.split(blank, ends)
        return {
            position: Shown(mine, seen)
            for position, mine, seen in zip(self.targets, maps, blanks, strict=True)
        }


def _images(
    passed: Pass, below: Below, targets: Mapping[int, Sequence[Resolved]], fill: Fill, size: int
) -> Iterator[_Image]:
    """The different images of the items that something is asked of, and what fills windows of a size."""
    layout = _layout(below.cnn)
    wide = torch.promote_types(below.pixels.dtype, torch.float32)
    for positions in _same_image(below.pixels, [at for at, wanted in targets.items() if wanted]):
        first = positions[0]
        own = below.pixels[first : first + 1].detach().to("cpu", wide)
        image = own.contiguous(memory_format=layout)[0].numpy()
        filled = filling(image, fill, size, below.colour, _shown(passed.frames[first], image))
        yield _Image(image, filled, {at: targets[at] for at in positions}, passed, below)


def _same_image(
    pixels: Float[Tensor, "batch channel height width"], positions: Sequence[int]
) -> list[list[int]]:
    groups: list[list[int]] = []
    for position in positions:
        same = (group for group in groups if torch.equal(pixels[group[0]], pixels[position]))
        group = next(same, None)
        if group is None:
            groups.append([position])
        else:
            group.append(position)
    return groups


def _shown(frame: Frame, image: Pixels) -> Bool[np.ndarray, "height width"]:
    """The pixels of the network input that show the image; others pad it."""
    (rows, cols), (height, width) = image.shape[1:], frame.image_size
    if frame.input_size != (rows, cols):
        return np.ones((rows, cols), bool)
    down = np.array([0 < frame.to_image(row + 0.5, 0.0)[0] < height for row in range(rows)])
    across = np.array([0 < frame.to_image(0.0, col + 0.5)[1] < width for col in range(cols)])
    return down[:, None] & across[None, :]


@contextmanager
def once_an_input(network: nn.Module) -> Generator[None, None, None]:
    """Let a network that is given the very tensor of its last run give again what it gave then, in the block.

    For networks from one tensor to one; what they give may be changed in place, what they are given not.
    """
    run = network.forward
    last: list[tuple[Tensor, Tensor]] = []

    def forward(*inputs: Any, **named: Any) -> Any:
        if len(inputs) != 1 or named or not isinstance(inputs[0], Tensor):
            return run(*inputs, **named)
        if not last or last[0][0] is not inputs[0]:
            output = run(*inputs)
            if not isinstance(output, Tensor):
                return output
            last[:] = [(inputs[0], output)]
        return last[0][1].clone()

    with stand_in(network, forward):
        yield


def _layout(cnn: nn.Module | None) -> torch.memory_format:
    """How images lie in memory: channels last where the weights of convolutions do, so that all maps do."""
    last = torch.channels_last
    for weights in () if cnn is None else cnn.parameters():
        if weights.ndim == 4 and weights.is_contiguous(memory_format=last) and not weights.is_contiguous():
            return last
    return torch.contiguous_format
