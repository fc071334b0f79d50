"""Explanations made by hand, for tests of pictures and pages."""

from dataclasses import replace

import numpy as np
from PIL import Image

from vlx import Explained, Explanation, Frame, Provenance

MADE = Provenance("a model", "features.3", "grad_cam", "log-probability", versions={"torch": "2"})
PIXELS = Provenance("a model", "features.3", "guided_grad_cam", "log-probability", guided_relus=4)


def photo(height: int = 60, width: int = 90) -> Image.Image:
    """A smooth picture without two equal columns."""
    rows, cols = np.mgrid[:height, :width]
    layers = [rows * 255 // height, cols * 255 // width, (rows + cols) * 255 // (height + width)]
    return Image.fromarray(np.stack(layers, -1).astype(np.uint8))


def spot(row: int, col: int, value: float, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    """A map that is 0 but for one cell."""
    plane = np.zeros(shape, np.float32)
    plane[row, col] = value
    return plane


def caption(words: str = "a dog on grass", image: Image.Image | None = None) -> Explanation:
    """Word i has evidence (i + 1) / 10 in column i; the last word has none; then the whole caption."""
    image = photo() if image is None else image
    said = tuple(words.split())
    maps = [spot(1, i % 6, (i + 1) / 10) for i in range(len(said) - 1)]
    maps += [np.zeros((4, 6), np.float32), spot(2, 2, 9.0)]
    targets = [Explained(word, -0.5 - i, 0.6 / (i + 1), (i,)) for i, word in enumerate(said)]
    targets.append(Explained("caption", -9.5, 0.0000748, tuple(range(len(said)))))
    size = image.height, image.width
    return Explanation(image, Frame.resized(size, (32, 48)), np.stack(maps), tuple(targets), MADE, said)


def told(words: str = "a dog on grass", image: Image.Image | None = None) -> Explanation:
    """`caption` whose word i has i nats from the image, the second of four -1; the caption has the sum."""
    made = caption(words, image)
    count = len(made.words)
    given = [-1.0 if at == 1 and count == 4 else float(at) for at in range(count)]
    parts = zip(made.targets, [*given, sum(given)], strict=True)
    targets = tuple(replace(target, blank=target.score - value) for target, value in parts)
    return replace(made, targets=targets)


def at_pixels(words: str = "a dog on grass", image: Image.Image | None = None) -> Explanation:
    """The same words explained by signed gradients; the last word has none."""
    grid = caption(words, image)
    raw = np.zeros((len(grid.targets), 3, 32, 48), np.float32)
    raw[:-2, 0, 4:12, 10:20], raw[:-2, 2, 14:20, 10:20], raw[-1, 1, 2:4, 2:4] = 2.0, -1.0, 1.0
    return Explanation(grid.image, grid.frame, raw, grid.targets, PIXELS, grid.words)


def answers(question: str = "What colour is the dog?") -> Explanation:
    """Two answers to a question, the second without positive evidence."""
    targets = Explained("red", 3.5, 0.9), Explained("blue", -1.25, 0.01)
    maps = np.stack([spot(0, 5, 1.5), np.zeros((4, 6), np.float32)])
    made = Provenance("vqa", "features.3", "grad_cam", "logit")
    likely = ("red", 0.9), ("green", 0.05), ("blue", 0.01)
    size = Frame.resized((60, 90), (32, 48))
    return Explanation(photo(), size, maps, targets, made, prompt=question, predicted=likely)
