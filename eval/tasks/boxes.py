"""Box ratio: how much stronger a region caption's map is inside its box than outside (paper 8.1)."""

from collections.abc import Sequence

from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import region_items
from vlx.eval.items.truth import Region, box_on_file
from vlx.eval.measures.boxes import box_ratio
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.task import Task
from vlx.eval.tasks.wrong_targets import in_the_text, protocol_of_wrong
from vlx.methods.values import Method
from vlx.passes.targets import Target, caption


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    wrong = protocol_of_wrong(
        options,
        "the caption with a word of an absent category scored in the place of the first noun that names an "
        "object, the words after it as they follow that noun",
    )
    return (
        "Box ratio (paper 8.1): mean of the map inside over outside the box of a region caption, five "
        "regions an image (DenseCap's best; without it the first of Visual Genome; without either the "
        "largest objects of COCO's instances, crowds aside, each called 'a' and its category, whatever else "
        "of it is in the image), the log-probability of the whole caption explained, words the model does "
        "not know read as its unknown token; maps on the "
        "pixels of the image, not rectified or normalised beyond their method, those with negative values "
        f"left out; guided maps absolute, averaged over channels; a uniform map has ratio 1. {wrong}"
        "Median over pairs of image and box: a few huge ratios make the mean, which stands beside it; a "
        "ratio of 0 or infinity is in the median (a geometric mean would be 0 or infinite), an infinite one "
        "not in the mean"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return scored_rows(
        models, items, methods, BOXES.columns_for(options), lambda _opened, _at: caption(), _scoring,
        seed=options.seed, wrong_of=in_the_text(options),
    )  # fmt: skip


def _scoring(opened: Opened, at: int, target: Target) -> Scoring:
    del target
    region, image = opened.items[at].truth, opened.images[at]
    assert isinstance(region, Region)
    box = box_on_file(region, (image.height, image.width))
    return Scoring(lambda plane: Outcome(None, "negative_map") if plane.min() < 0 else box_ratio(plane, box))


BOXES = Task(
    "boxes",
    "Box ratio: inside over outside (a uniform map has 1)",
    ("captioner",),
    lambda folder, _type, options: region_items(folder, options),
    lambda _options, _opened, _at: caption(),
    _rows,
    protocol,
    wrong=True,
    median=True,
)
