"""Options of the evaluations, all recorded beside every number."""

from dataclasses import dataclass
from typing import Literal

from vlx.errors import VlxError


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
    window: int | None = None
    """Occlusion: side of the hidden square, in pixels of the network input; None takes 35, and the same share
    of an input smaller than 224."""
    stride: int | None = None
    """Occlusion: distance of windows, in pixels of the network input; None takes 8, or that share."""
    fill: str | None = None
    """Occlusion: what the square is filled with: mean, blur, zero or a colour such as #808080; None takes the
    colour that the preprocessing subtracts where it is the mean of its data, else the mean of the image."""
    steps: int = 20
    """Deletion and insertion: in how many steps the pixels change."""
    wrong: int = 3
    """Pointing, area, boxes, classes: how many words, or classes, of absent categories are explained beside
    each; 0 none."""
    threshold: float = 0.15
    """Localisation: the share of a map's maximum at which it is cut."""
    connectivity: Literal[4, 8] = 8
    """Localisation: whether pixels are joined by their sides alone or by their corners too."""
    radius: float = 15.0
    """Classes: how far from its object, in pixels of the original image, a maximum is a hit; 0 asks for a
    pixel of the object."""
    crop: Literal["model", "squash", "centre", "ten"] = "model"
    """Classes: how an image is brought to the network: as the model prepares it, as a whole whatever its
    proportions, its centre, or ten crops."""
    classes: str | None = None
    """Classes: a file that says which classes of the model the categories of the data are."""
    foreground: float = 0.2
    """Seeds: the share of a map's maximum above which a cell is a seed of its class."""
    background: float = 0.1
    """Seeds: the share of cells, those of the lowest saliency, that are seeds of the background."""
    saliency: str | None = None
    """Seeds: the layer at which that saliency is taken; None takes the one that is explained."""

    def __post_init__(self) -> None:
        if self.wrong < 0:
            raise VlxError(f"{self.wrong} words of absent categories: give 0 or more")
