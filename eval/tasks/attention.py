"""Agreement with human attention: rank correlation with VQA-HAT (Das et al. 2016; paper 8.2)."""

from collections.abc import Sequence
from functools import partial

from vlx.eval.data.hat import read_human_map
from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import Opened, answers_of
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import attention_items
from vlx.eval.items.truth import HumanFiles
from vlx.eval.measures.attention import each_annotator, first_annotator, human_agreement, mean_annotator
from vlx.eval.tasks.targets import answer_target
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.passes.targets import Target

_ANNOTATORS = {
    "each": (each_annotator, "mean of the correlations with each annotator"),
    "first": (first_annotator, "the first annotator alone"),
    "mean": (mean_annotator, "the mean of the annotators' maps, each scaled to sum to 1"),
}


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    which = "predicted" if options.answer == "predicted" else "most frequent human"
    score = "log-probability" if model_type == "responder" else "logit"
    return (
        f"Rank correlation with VQA-HAT (Das et al. 2016; paper 8.2): Spearman with average ranks of both "
        f"maps averaged over the cells of a 14 x 14 grid, {_ANNOTATORS[options.annotators][1]}; the {score} "
        f"of the {which} answer explained; maps rectified as their method says; constant maps left out. "
        "Mean over questions"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return scored_rows(
        models, items, methods, ATTENTION.columns, partial(answer_target, options),
        partial(_scoring, options), seed=options.seed, answers=answers_of(models, options),
    )  # fmt: skip


def _scoring(options: Options, opened: Opened, at: int, target: Target) -> Scoring:
    del target
    files = opened.items[at].truth
    assert isinstance(files, HumanFiles)
    humans = [read_human_map(path) for path in files.paths]
    agree = _ANNOTATORS[options.annotators][0]
    return Scoring(
        lambda plane: agree(plane, humans),
        {"first_annotator": lambda plane: first_annotator(plane, humans)},
        {"human_agreement": human_agreement(humans)},
    )


ATTENTION = Task(
    "attention",
    "Human attention: rank correlation (chance is 0)",
    ("vqa", "responder"),
    lambda folder, _type, options: attention_items(folder, options),
    answer_target,
    _rows,
    protocol,
    extras=("first_annotator",),
    facts=("human_agreement",),
    people=True,
    span=(-1.0, 1.0),
)
