"""Occlusion of a Pass: the targets of an item, or of all items of one image, from the same masked inputs."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlx.images.frame import Frame
from vlx.methods.occlusion.fills import Pixels, filling
from vlx.methods.occlusion.incremental import changes_only
from vlx.methods.occlusion.windows import Windows, occlusion
from vlx.methods.rescoring import other_pixels, values_in
from vlx.passes.forward import Below, Pass
from vlx.passes.stand_in import stand_in
from vlx.passes.targets import Resolved

Maps = Float[np.ndarray, "_target _height _width"]


def occlusion_maps(
    passed: Pass, targets: Mapping[int, Sequence[Resolved]], windows: Windows
) -> dict[int, Maps]:
    """How much each target's score falls with a window around each pixel of the network input hidden.

    ``targets`` are given for each item of the Pass that is asked for, by its position. Items of the same
    image share the masked images, and a CNN sees them once. The text is read as in the Pass; nothing is
    recorded for gradients. Raises VlxError if the Pass cannot score other pixels, or does not say what the
    colour that windows are filled with becomes in its input.
    """
    below, _ = other_pixels(passed)
    found: dict[int, Maps] = {}
    for positions in _same_image(below.pixels, [at for at, wanted in targets.items() if wanted]):
        mine = {position: targets[position] for position in positions}
        maps = _of_one_image(below, mine, windows, passed.frames[positions[0]])
        ends = np.cumsum([len(targets[position]) for position in positions])
        found |= dict(zip(positions, np.split(maps, ends[:-1]), strict=True))
    nothing = np.zeros((0, *below.pixels.shape[2:]))
    return {position: found.get(position, nothing) for position in targets}


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


def _of_one_image(
    below: Below, targets: Mapping[int, Sequence[Resolved]], windows: Windows, frame: Frame
) -> Maps:
    """The maps of some items of one image, those of one item after those of another."""
    pixels, rescore, cnn, layout = below.pixels, below.rescore, below.cnn, _layout(below.cnn)
    assert rescore is not None

    def score(images: Float[np.ndarray, "batch channel height width"]) -> Float[np.ndarray, "batch target"]:
        hidden = torch.from_numpy(images).to(pixels, memory_format=layout)
        values: list[Tensor] = []
        for position, wanted in targets.items():
            scores = rescore(hidden, position)
            values += values_in(scores, [target.terms for target in wanted]).unbind(1)
        return torch.stack(values, 1).cpu().numpy()

    wide = torch.promote_types(pixels.dtype, torch.float32)
    first = next(iter(targets))
    image = pixels[first : first + 1].detach().to("cpu", wide).contiguous(memory_format=layout)[0].numpy()
    size, stride = windows.fitted((image.shape[1], image.shape[2]))
    fill = filling(image, windows.fill, size, below.colour, _shown(frame, image))
    with ExitStack() as stack:
        if cnn is not None:
            # The first that is scored is the untouched image, from which the others differ in a window.
            stack.enter_context(changes_only(cnn))
        if cnn is not None and len(targets) > 1:
            stack.enter_context(once_an_input(cnn))
        return occlusion(image, score, size=size, stride=stride, fill=fill, batch=windows.batch).map


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
