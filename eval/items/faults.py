"""Three kinds of faults, never mixed: damaged data, what a model cannot do, and an item that failed.

Damaged data are counted against the share that ends a run. What the model cannot do with any item ends a
run in one line before its first batch; what it refuses of a single item, or fails at, is counted and told,
and the run goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAMAGED = frozenset({"no_image", "damaged_image", "damaged_record", "unreadable_text"})
"""Reasons that blame the data; too many of them end a run."""
REFUSED = frozenset({"refused_image", "refused_text", "unknown_word"})
"""Reasons for which a model does not take a sound image or text."""
FAILED = frozenset({"not_finite", "failed"})
"""Reasons for which nothing came out of a sound item that the model takes."""

REASONS: Mapping[str, str] = {
    "no_image": "there is no such image file",
    "damaged_image": "the image file cannot be opened",
    "damaged_record": "the record or the truth cannot be read, or does not fit its image",
    "unreadable_text": "the text holds no word",
    "refused_image": "the model does not take an image of this size or shape",
    "refused_text": "the model does not take this text",
    "unknown_word": "the model does not know the word",
    "not_finite": "scores, gradients or maps are not finite",
    "failed": "the model or the method failed on this item",
    "said_nothing": "the model says nothing",
    "unknown_answer": "the model does not know the answer",
    "other_tokens": "the model reads other words",
    "no_answers": "the annotations do not have the question",
    "no_category": "the annotations do not have the category of the word",
    "no_instances": "the annotations do not have the image",
    "one_category": "the caption names one category alone",
    "one_choice": "the model has one choice alone",
    "no_visual_word": "the text names no category that the annotations know",
    "no_own_caption": "the model writes no captions",
    "no_other_word": "the model knows no word of an absent category that fits",
    "no_evidence": "the model cannot run again what lies above its layer",
    "no_map": "there is no map to compare with",
    "zero_map": "the map is 0 everywhere",
    "negative_map": "the map has values below 0",
    "flat_map": "the map is the same everywhere",
    "flat_original": "the map it is compared with is the same everywhere",
    "flat_human": "the human map is the same everywhere",
    "flat_occlusion": "hiding parts of the image changes nothing",
    "flat_score": "the score does not change",
    "one_annotator": "one person alone was asked",
    "blacklisted": "the devkit does not count its boxes",
    "no_boxes": "the data have no box of it",
    "unknown_class": "the model has no such class",
    "no_wrong_class": "the model has no class that the image does not show",
    "all_difficult": "all its objects are marked as difficult",
    "not_difficult": "the class covers a quarter of the image, or is alone in it",
    "one_half": "all images fall into one half: no threshold can be chosen",
    "background": "the background has no map of a method: its seeds are counted in the first table",
    "no_seed": "the map gives no seed",
    "empty_mask": "the image shows no object of the category",
    "empty_box": "the box holds no pixel of the image",
    "no_outside": "the box covers the whole image",
    "no_probability": "the model was trained for no probabilities",
    "small_change": "the changed input hardly changes the probability",
    "zero_ratio": "nothing lies inside",
    "infinite": "there is nothing to divide by",
    "full_mask": "the object covers the whole image",
    "unknown_categories": "what else the image shows is not known",
    "no_wrong_word": "the model knows no word of an absent category",
    "no_noun": "the text names no category by a word that the model reads",
    "empty_group": "no item of it has a value",
    "undefined": "there is no value",
}
"""What each reason for leaving an item out means."""
_WHOSE = {
    "control_": "of the control",
    "wrong_": "of the wrong words",
    "subtracted_": "of the method subtracted",
}


def meaning(reason: str) -> str:
    """What a reason means, also of a control or of wrong words alone. Empty for one that is not known.

    >>> meaning("control_zero_map")
    'of the control: the map is 0 everywhere'
    """
    for start, whose in _WHOSE.items():
        if reason.startswith(start):
            plain = meaning(reason.removeprefix(start))
            return f"{whose}: {plain}" if plain else ""
    return REASONS.get(reason, "")


@dataclass(frozen=True)
class Fault:
    """The items that were left out for one reason, with the first of them."""

    items: int
    first: str
    """Its id."""
    detail: str
    """What was wrong with it, in words."""


class Faults:
    """Counts what is damaged, refused or failed, by reason, and keeps the first of each reason by its id."""

    def __init__(self) -> None:
        self.found: dict[str, Fault] = {}

    def add(self, item: str, reason: str | None, detail: str) -> None:
        """Take an item with the reason why it has no score; reasons that are no fault are passed by."""
        if reason is None or reason not in DAMAGED | REFUSED | FAILED:
            return
        mine = Fault(1, item, detail)
        before = self.found.get(reason)
        if before is not None:
            first = min(mine, before, key=lambda one: (not one.detail, one.first))
            mine = Fault(before.items + 1, first.first, first.detail)
        self.found[reason] = mine

    def count(self, reasons: Iterable[str] = DAMAGED) -> int:
        """How many items there are of these reasons."""
        return sum(self.found[reason].items for reason in reasons if reason in self.found)


def told(faults: Mapping[str, Fault], reasons: Iterable[str]) -> list[str]:
    """One line a reason, the most frequent first: how many items, and what is wrong with the first.

    >>> told({"no_image": Fault(2, "7", "no image 7.jpg")}, {"no_image"})
    ['no_image 2, the first: no image 7.jpg']
    """
    wanted = set(reasons)
    mine = sorted((pair for pair in faults.items() if pair[0] in wanted), key=lambda p: (-p[1].items, p[0]))
    return [
        f"{reason} {one.items}"
        + (f", the first: {one.detail}" if one.detail else f", the first: {one.first}")
        for reason, one in mine
    ]
