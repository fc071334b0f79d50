"""Options of the evaluations, all recorded beside every number."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How items are made and scored."""

    seed: int = 0
    """Of random maps (with each item's id), shuffled weights and the draw of images."""
    limit: int | None = None
    """How many images, drawn at random; None takes all."""
    captions: int | None = None
    """How many reference captions of an image, in file order; None takes all."""
    tolerance: float = 0.0
    """Pointing: in pixels of the original image; 0 asks for a pixel of the mask itself."""
    annotators: Literal["each", "first", "mean"] = "each"
    """Human attention: the mean of the correlations, the first map alone, or the mean map."""
    answer: Literal["predicted", "human"] = "predicted"
    """VQA: which answer is explained, the model's or the most frequent human one."""
    window: int = 35
    """Occlusion: side of the hidden square, in pixels of the network input."""
    stride: int = 8
    """Occlusion: distance of neighbouring windows, in pixels of the network input."""
    steps: int = 20
    """Deletion and insertion: in how many steps the pixels change."""
