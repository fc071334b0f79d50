"""Word pointing: whether the maximum of a word's map lies on its object (paper 8.1.1)."""

from collections.abc import Sequence
from functools import partial

from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import word_items
from vlx.eval.items.truth import Segments, mask_of
from vlx.eval.measures.pointing import chance_hit, pointing_hit
from vlx.eval.tasks.targets import word_target
from vlx.eval.tasks.task import Task
from vlx.eval.tasks.wrong_targets import in_its_place, protocol_of_wrong
from vlx.methods.values import Method
from vlx.passes.targets import Target


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    count = options.captions
    which = "all reference captions" if count is None else f"the first {count} reference caption(s)"
    return (
        "Word pointing (paper 8.1.1): the maximum of each visual word's map against the union mask of its "
        f"COCO category, crowds included, tolerance {options.tolerance:g} pixels of the original image; "
        f"{which} of each image, visual words by the built-in lexicon, the head noun's log-probability at "
        "its own step explained under teacher forcing; ties by the share of maxima inside; words whose "
        "category is absent from the image left out, and words whose head noun the model does not know. "
        f"{protocol_of_wrong(options)}Mean over words"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return scored_rows(
        models, items, methods, POINTING.columns_for(options), word_target,
        partial(_scoring, options.tolerance), seed=options.seed, wrong_of=in_its_place(options),
    )  # fmt: skip


def _scoring(tolerance: float, opened: Opened, at: int, target: Target) -> Scoring:
    del target
    segments = opened.items[at].truth
    assert isinstance(segments, Segments)
    mask = mask_of(segments)
    return Scoring(
        lambda plane: pointing_hit(plane, mask, tolerance=tolerance),
        facts={"random_pixel": chance_hit(mask, tolerance=tolerance)},
    )


POINTING = Task(
    "pointing",
    "Word pointing: hits of the maximum",
    ("captioner",),
    lambda folder, _type, options: word_items(folder, options),
    lambda _options, opened, at: word_target(opened, at),
    _rows,
    protocol,
    wrong=True,
    facts=("random_pixel",),
    span=(0.0, 1.0),
)
