"""Faithfulness of maps of classes to occlusion, by six sizes of the mask (paper 5.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from vlx.eval.baselines import c_mwp
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.published import ILSVRC_BOXES, ILSVRC_TRUTH
from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.class_choice import own_class, wrong_classes
from vlx.eval.items.class_sources import class_items, localisation_items
from vlx.eval.items.crops import Crop, crop_told, views_of
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.maps import Map
from vlx.eval.measures.occlusion import occlusion_correlation
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.occlusion import FILLS, falls, falls_of, for_input, told
from vlx.eval.tasks.task import Task
from vlx.methods.occlusion.fills import checked_fill
from vlx.methods.occlusion.windows import SIDE, SIZE, SIZES, STRIDE, Windows, in_proportion
from vlx.methods.values import (
    Method,
    class_activation_map,
    grad_cam,
    guided_backprop,
    guided_grad_cam,
)
from vlx.passes.targets import Target, label

COMPARED = (grad_cam, guided_grad_cam, guided_backprop, c_mwp, class_activation_map)
"""What the paper compares, in its order."""
_OTHERS = tuple(size for size in SIZES if size != SIZE)

Hidden = Callable[[Opened], dict[int, Map]]
"""The falls of the score of each item of an opened batch."""


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    crop = "the middle one of ten crops" if options.crop == "ten" else crop_told(options.crop)
    fill = FILLS.get(options.fill, f"the colour {options.fill}")
    return (
        "Faithfulness to occlusion on classes (paper 5.3): Spearman correlation with average ranks between "
        "the map of each class that an image shows and the falls of its logit, signed, when a square of "
        f"{told(options.window, SIZE)} is filled with {fill}, every {told(options.stride, STRIDE)}, bilinear "
        f"between; mask 10 to 90: so with the other sizes that the paper tried, {', '.join(map(str, SIZES))} "
        f"pixels of an input of {SIDE}, and as large a share of a smaller one; both maps on the network "
        "input, averaged over a 14 x 14 grid; the likeliest of the model's classes that are of the category, "
        f"as --classes says or by their names, others left out; {crop.partition(', maps brought')[0]}. Own "
        f"minus wrong: the correlation less that of the maps of up to {options.wrong} classes that the image "
        "does not show, with the same falls: 0 for a map that does not know its class. The paper states "
        "neither its window here, nor stride, filling, grid and class. Mean over pairs of image and class"
    )


def items_for(folder: DataFolder, model_type: ModelType, options: Options) -> list[Item]:
    """Each class that each image shows: of ILSVRC its own, of VOC and COCO those of its objects."""
    del model_type
    one_class = folder.has(ILSVRC_TRUTH) or folder.has(ILSVRC_BOXES)
    return localisation_items(folder, options) if one_class else class_items(folder, options)


def _target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    del options
    found = own_class(opened, at)
    return found if isinstance(found, LeftOut) else label(found[0])


def _wrong(options: Options, opened: Opened, at: int, _target: Target) -> Mapping[str, Target] | LeftOut:
    """The maps that are scored beside an item's own, by the names of their classes."""
    found = own_class(opened, at)
    if isinstance(found, LeftOut):
        return found
    names = opened.reading(at).choices.names
    made = {names[place]: label(place) for place in wrong_classes(opened, at, found[1], options)}
    return made or LeftOut("no_wrong_class")


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    models, view = for_input(_seen(models, options.crop))
    target_of = partial(_target, options)

    @cache
    def hidden(size: int | None) -> Hidden:
        @cache
        def of_part(opened: Opened) -> dict[int, Map]:
            return falls(target_of, _windows(options, size, opened), opened)

        return of_part

    return scored_rows(
        models, items, methods, CLASSES_OCCLUSION.columns_for(options), target_of,
        partial(_scoring, options, hidden), seed=options.seed, view=view,
        wrong_of=partial(_wrong, options) if options.wrong else None,
    )  # fmt: skip


def _seen(models: Models, crop: Crop) -> Models:
    """The models as they see images through one crop, of ten the first, in the middle."""
    if crop == "model":
        return models
    return replace(
        models,
        trained=views_of(models.trained, crop)[0].model,
        make_shuffled=lambda: views_of(models.shuffled, crop)[0].model,
    )


def _windows(options: Options, size: int | None, opened: Opened) -> Windows:
    """The windows of one size, as large a share of a small input; of None those that are asked for."""
    if size is None:
        return Windows(options.window, options.stride, fill=checked_fill(options.fill))
    below = opened.passed.below
    side = SIDE if below is None else min(below.pixels.shape[-2:])
    return Windows(in_proportion(size, side), options.stride, fill=checked_fill(options.fill))


def _scoring(
    options: Options, hidden: Callable[[int | None], Hidden], opened: Opened, at: int, target: Target
) -> Scoring:
    def correlated(size: int | None) -> Callable[[Map], Outcome]:
        found = falls_of(hidden(size)(opened), _windows(options, size, opened), opened, at, target)
        return lambda plane: occlusion_correlation(plane, found)

    image = opened.images[at]
    judges = {f"mask_{size}": correlated(size) for size in _OTHERS}
    prior = centre_prior((image.height, image.width))
    facts = {f"centre_{name}": judge(prior) for name, judge in judges.items()}
    return Scoring(correlated(None), judges, facts)


CLASSES_OCCLUSION = Task(
    "classes-occlusion",
    "Faithfulness on classes: rank correlation with occlusion (chance is 0)",
    ("classifier",),
    items_for,
    _target,
    _rows,
    protocol,
    wrong=True,
    extras=tuple(f"mask_{size}" for size in _OTHERS),
    facts=tuple(f"centre_mask_{size}" for size in _OTHERS),
    said={f"centre_mask_{size}": f"centre prior, mask {size}" for size in _OTHERS},
    usual=COMPARED,
    crops=True,
    span=(-1.0, 1.0),
    costly=True,
)
