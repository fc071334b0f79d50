"""Which class of a classifier an item's is, and which others are wrong."""

from collections.abc import Sequence
from random import Random

from vlx.eval.data.classes import matched
from vlx.eval.items.item import seed_of
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG
from vlx.eval.items.truth import ClassNames
from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong


def classes_of(classes: ClassNames, labels: Sequence[str]) -> tuple[int, ...]:
    """The places of a class among the labels of a model; empty where it has none of it.

    By the WordNet id, where labels are such. Otherwise a model of as many classes as ILSVRC has them by
    sorted WordNet ids, and one of one more has the background before them; of any other the names decide.
    """
    if classes.index is not None:
        known = classes.names[0]
        if known in labels:
            return (list(labels).index(known),)
        if len(labels) - classes.of in (0, 1):
            return (classes.index + len(labels) - classes.of,)
    return matched(classes.names, labels)


def own_class(opened: Opened, at: int) -> tuple[int, tuple[int, ...]] | LeftOut:
    """The likeliest of the model's classes that are of the item's category, and all of them."""
    item = opened.items[at]
    assert item.classes is not None
    mine = classes_of(item.classes, opened.reading(at).choices.names)
    if not mine:
        return LeftOut(
            "unknown_class", f"no class of the model is called {' or '.join(item.classes.names[:4])}"
        )
    return _likeliest(opened, at, mine), mine


def wrong_classes(opened: Opened, at: int, own: Sequence[int], options: Options) -> tuple[int, ...]:
    """Up to so many classes of the model that the image does not show, the likeliest of each category."""
    item, labels = opened.items[at], opened.reading(at).choices.names
    assert item.classes is not None
    if item.classes.wrong:
        found = [matched(names, labels) for names in item.classes.wrong]
        other = [kept for one in found if (kept := tuple(place for place in one if place not in own))]
        return tuple(_likeliest(opened, at, places) for places in other[: options.wrong])
    rest = [place for place in range(len(labels)) if place not in own]
    random = Random(seed_of(options.seed, f"wrong {item.id}"))
    return tuple(random.sample(rest, min(options.wrong, len(rest))))


def guesses(opened: Opened, at: int, count: int) -> list[int]:
    """The likeliest classes of the model, the first first."""
    scores = opened.scores(at)[0].detach()
    return scores.topk(min(count, len(scores))).indices.tolist()


def _likeliest(opened: Opened, at: int, places: Sequence[int]) -> int:
    scores = opened.scores(at)[0].detach()
    return max(places, key=scores.tolist().__getitem__)


def minus_wrong(own: Outcome, wrong: Sequence[Outcome], options: Options) -> dict[str, Outcome]:
    """The column of own minus wrong; none where no wrong class is asked for."""
    if not options.wrong:
        return {}
    return {OWN_MINUS_WRONG: own_minus_wrong(own, wrong) if wrong else Outcome(None, "no_wrong_class")}
