"""Sanity: whether a map depends on what the model learned and on what is asked (Adebayo et al. 2018).

Each score is the rank correlation of another map with the method's map of the trained model on the same
item. A method passes where these are low; 1 means that nothing changed.
"""

from collections.abc import Mapping, Sequence

from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import visual_words
from vlx.eval.items.batch import TargetMap, maps_of
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened, again, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row, left_out, row_of
from vlx.eval.items.sources import image_items, question_items, word_items
from vlx.eval.measures.maps import Map
from vlx.eval.measures.sanity import agreement
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.targets import answer_target, word_target
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.passes.targets import Target, answer, label, word


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    what = {
        "captioner": "visual words of reference captions",
        "vqa": "answers to questions",
        "classifier": "the predicted class",
    }[model_type]
    del options
    return (
        f"Sanity (after Adebayo et al. 2018), on {what}: Spearman correlation with average ranks on a "
        "14 x 14 grid between the map of the trained model and, on the same item, the map of the same method "
        "after the weights of the last layer were shuffled (the score), after all weights were shuffled, "
        "for another target of the same image (another visual word of the caption, the next likely answer "
        "or class), and maps without a model. Low is good: the map depends on what was learned and "
        "asked. Mean over items"
    )


def items_for(folder: DataFolder, model_type: ModelType, options: Options) -> list[Item]:
    """Visual words for a captioner, questions for a VQA model, images for a classifier."""
    if model_type == "captioner":
        return word_items(folder, options, located=False)
    return (question_items if model_type == "vqa" else image_items)(folder, options)


def first_target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    """What is explained: the item's word, or the answer or class."""
    if opened.reading(at).kind == "caption":
        return word_target(opened, at)
    return answer_target(options, opened, at)


def second_target(opened: Opened, at: int, first: Target) -> Target | LeftOut:
    """What else could be explained: a word of another category, the next likely answer or class."""
    reading = opened.reading(at)
    if reading.kind == "caption":
        return _other_word(opened, at)
    order = opened.scores(at)[0].detach().argsort(descending=True, stable=True).tolist()
    mine = first.resolve(reading).terms[0].choice
    rest = [choice for choice in order if choice != mine]
    if not rest:
        return LeftOut("one_choice")
    return answer(str(reading.choices.names[rest[0]])) if reading.kind == "answer" else label(rest[0])


def _other_word(opened: Opened, at: int) -> Target | LeftOut:
    """The first other visual word, by the order of the caption, whose category is another one."""
    tokens = [one.text for one in opened.reading(at).words]
    others = [one.head(tokens) for one in visual_words(tokens) if one.category != opened.items[at].category]
    return word(others[0]) if others else LeftOut("one_category")


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    names = [method.name for method in methods]
    opened, unread = read_items(models.trained, items)
    found = {item.id: left_out(item, names, SANITY.columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        _measure(models, part, methods, options, found)
    return [row for item in items for row in found[item.id]]


def _measure(
    models: Models, opened: Opened, methods: Sequence[Method], options: Options, found: dict[str, list[Row]]
) -> None:
    """Add the rows of the items of one Pass."""
    targets = [first_target(options, opened, at) for at in range(len(opened.items))]
    names = [method.name for method in methods]
    for item, target in zip(opened.items, targets, strict=True):
        found[item.id] = []
        if isinstance(target, LeftOut):
            found[item.id] = left_out(item, names, SANITY.columns, target.reason, target.detail)
    if all(isinstance(target, LeftOut) for target in targets):
        return
    others = [t if isinstance(t, LeftOut) else second_target(opened, at, t) for at, t in enumerate(targets)]
    top = models.top_shuffled(lambda model: again(model, opened).scores.detach())
    passes = {SCORE: again(top, opened), "random_weights": again(models.shuffled, opened)}
    activations = activation_maps(opened.passed, opened.reading_of)
    for method in methods:
        own = maps_of(opened, opened.passed, targets, method)
        changed = {name: maps_of(opened, passed, targets, method) for name, passed in passes.items()}
        changed["other_target"] = _other_maps(opened, others, method)
        for at, item in enumerate(opened.items):
            mine = own[at]
            if mine is not None:
                planes = {name: _plane(maps[at], others[at]) for name, maps in changed.items()}
                planes["mean_activation"] = activations[at]
                outcomes = _outcomes(item, mine.plane, planes, options.seed)
                unknown = len(opened.reading(at).unknown)
                row = row_of(item, method.name, outcomes, target=mine.target, unknown=unknown)
                found[item.id].append(row)


def _outcomes(item: Item, mine: Map, planes: Mapping[str, Map | LeftOut], seed: int) -> dict[str, Outcome]:
    """How far each of the other maps agrees with the item's own."""
    shape = (mine.shape[0], mine.shape[1])
    return {
        name: Outcome(None, plane.reason) if isinstance(plane, LeftOut) else agreement(plane, mine)
        for name, plane in {**planes, **control_maps(item, shape, seed)}.items()
    }


def _other_maps(opened: Opened, others: Sequence[Target | LeftOut], method: Method) -> list[TargetMap | None]:
    if all(isinstance(other, LeftOut) for other in others):
        return [None] * len(others)
    return maps_of(opened, opened.passed, others, method)


def _plane(found: TargetMap | None, other: Target | LeftOut) -> Map | LeftOut:
    """A map, or why there is no other target; the item itself has one."""
    if found is not None:
        return found.plane
    return other if isinstance(other, LeftOut) else LeftOut("no_map")


SANITY = Task(
    "sanity",
    "Sanity: what remains of a map after shuffling (0: nothing, good; 1: all)",
    ("captioner", "vqa", "classifier"),
    items_for,
    first_target,
    _rows,
    protocol,
    extras=("other_target",),
    said={
        SCORE: "last layer shuffled",
        "random_weights": "all weights shuffled",
        "other_target": "another target",
        "mean_activation": "against mean activation",
        "centre_prior": "against centre prior",
        "random_map": "against random map",
    },
    shared=(),
    span=(-1.0, 1.0),
)
