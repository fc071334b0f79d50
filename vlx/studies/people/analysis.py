"""What the answers of a study say: means with intervals over raters and images, differences, agreement."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from scipy.stats import binom

from vlx.errors import VlxError
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.people.agreement import Agreement, Scale, krippendorff
from vlx.studies.people.answers import read_answers
from vlx.studies.people.crossed import Crossed, Rating, crossed_difference, crossed_mean
from vlx.studies.people.heard import PASSED, Heard, Judged, heard
from vlx.studies.people.key import read_key
from vlx.studies.people.questions import PHOTO, Kind

_EVERY_PAIR = 4  # visualisations up to which every two are compared; of more, each with the first
_PUBLISHED: Mapping[Kind, Mapping[str, float]] = {
    "discrimination": {
        "guided_backprop": 0.4444,
        "guided_grad_cam": 0.6123,
        "deconvolution": 0.5333,
        "deconvolution_grad_cam": 0.6037,
    },
    "trust": {"guided_backprop": 1.0, "guided_grad_cam": 1.27},
}
"""Table 2 and section 5.1 of the paper."""
_OF: Mapping[Kind, int] = {
    "discrimination": 810,
    "trust": 54,
}  # 90 pairs by 9 ratings; people, ratings untold
_SAID = {
    "guided_backprop": "Guided Backpropagation",
    "guided_grad_cam": "Guided Grad-CAM",
    "deconvolution": "Deconvolution",
    "deconvolution_grad_cam": "Deconvolution Grad-CAM",
    "grad_cam": "Grad-CAM",
    PHOTO: "the photo alone",
}
INTERVALS = (
    "Intervals are 95 %, from 4,000 draws of raters and, apart from them, of images (the pigeonhole "
    "bootstrap, arXiv 0712.1111)."
)


def said(shown: str) -> str:
    """The name of a visualisation for a person.

    >>> said("guided_grad_cam"), said("layer_cam")
    ('Guided Grad-CAM', 'layer cam')
    """
    return _SAID.get(shown, shown.replace("_", " "))


def analysed(folder: Path, seed: int = 0, pictures: Sequence[Picture] = ()) -> Findings:
    """What the answers in a study's folder say.

    Raises VlxError where there is no study, no answer that counts, or no rater who passed the checks.
    """
    key = read_key(folder)
    found = heard(key, read_answers(key, folder / "answers"))
    tables = tables_of(found, seed)
    who = "simulated raters, of no person" if key.simulated else "people"
    titles = {"discrimination": "Which object is shown", "trust": "Which model is more reliable"}
    questions = {
        "discrimination": "Can one tell from a picture alone which of two objects it was made for?",
        "trust": "Does a picture of what a model went by tell the better of two models, where both "
        "are right?",
    }
    return Findings(
        study="people",
        title=f"{titles[key.kind]}: {who}",
        question=questions[key.kind],
        answer=answer_of(found, tables),
        tables=tuple(tables),
        settings={**key.facts, "simulated": key.simulated},
        pictures=tuple(pictures),
        left_out={**key.left_out, **found.left_out},
        notes=tuple(notes_of(found)),
    )


def tables_of(found: Heard, seed: int = 0) -> list[Table]:
    """The tables of a study: what was found, beside what knows nothing and what the paper tells."""
    if not found.passed:
        told = "; ".join(dict.fromkeys(found.failed.values()))
        raise VlxError(f"no rater passed the attention checks ({told})")
    kind, mark = found.key.kind, ", simulated raters" if found.key.simulated else ""
    whom = "simulated raters" if found.key.simulated else "raters"
    shown = [one for one in found.shown if found.of(one)]
    scored = [
        _number(said(one), crossed_mean(_ratings(found.of(one)), seed=seed), one == PHOTO) for one in shown
    ]
    title = {
        "discrimination": f"Share of answers that name the object the picture was made for{mark}",
        "trust": f"Mean rating of the better model beside the weaker, from -2 to 2{mark}",
    }[kind]
    some = crossed_mean(_ratings([one for name in shown for one in found.of(name)]), seed=seed)
    protocol = (
        f"{some.raters} {whom} who passed the attention checks, {some.images} images; an answer "
        f"counts as one. {INTERVALS}"
    )
    every = [
        _number(said(one), crossed_mean(_ratings(found.of(one, everyone=True)), seed=seed), one == PHOTO)
        for one in shown
    ]
    pairs = list(combinations([one for one in shown if one != PHOTO], 2))
    if len(shown) > _EVERY_PAIR + 1:
        pairs = [pair for pair in pairs if pair[0] == shown[0]]
    less = [
        _number(
            f"{said(second)} minus {said(first)}",
            crossed_difference(_ratings(found.of(second)), _ratings(found.of(first)), seed=seed),
        )
        for first, second in pairs
    ]
    tables = [Table(title, (*scored, *_controls(found, shown, seed)), protocol)]
    if less:
        words = "The difference of two means, both under the same draws of raters and images."
        tables.append(Table(f"Differences{mark}", tuple(less), words))
    tables.append(
        Table(f"Agreement of {whom}, Krippendorff's alpha", _agreements(found, shown, seed), _AGREE[kind])
    )
    if kind == "trust":
        tables.append(_shares(found, shown, seed, mark))
    if found.failed:
        words = f"The same with those {len(found.failed)} who failed the attention checks."
        tables.append(Table(f"With every rater{mark}", tuple(every), words))
    tables.append(published(kind))
    return tables


def published(kind: Kind) -> Table:
    """What the paper tells of people."""
    digits = 4 if kind == "discrimination" else 2
    numbers = [
        Number(f"{said(name)}, people of the paper", value, _OF[kind], digits=digits)
        for name, value in _PUBLISHED[kind].items()
    ]
    words = {
        "discrimination": "Published (section 5.1, Table 2): 43 people on Amazon Mechanical Turk, "
        "VGG-16 and AlexNet, 90 image-category pairs of PASCAL VOC 2007 val, 9 ratings each; no "
        "interval is told, chance is .5.",
        "trust": "Published (section 5.2, Table 2): 54 people (n), VGG-16 (79.09 mAP) beside AlexNet "
        "(69.20 mAP) on PASCAL VOC 2007; how many images and ratings is not told, nor an interval.",
    }[kind]
    titles = {
        "discrimination": "Share of right answers, published",
        "trust": "Relative reliability, published",
    }
    return Table(titles[kind], tuple(numbers), words)


def answer_of(found: Heard, tables: Sequence[Table]) -> str:
    """The main numbers in a sentence."""
    who = "Simulated raters (no person)" if found.key.simulated else f"{len(found.passed)} raters"
    numbers = [one for one in tables[0].numbers if not one.control]
    if found.key.kind == "discrimination":
        told = ", ".join(f"{one.name} {_percent(one)}" for one in numbers)
        return f"{who} told the object that a picture was made for in {told}; chance is 50 %."
    told = ", ".join(f"{one.name} {_signed(one)}" for one in numbers)
    sure = [one.name for one in numbers if one.interval is not None and one.interval[0] > 0]
    which = f"above 0 for sure with {' and '.join(sure)}" if sure else "above 0 for sure with none"
    return f"{who} rated the better model beside the weaker (-2 to 2): {told}; {which}."


def notes_of(found: Heard) -> list[str]:
    """What a reader has to know of the raters and the models."""
    key, notes = found.key, list[str]()
    asked, came = len(key.raters), len(found.passed) + len(found.failed)
    if key.simulated:
        notes.append(
            "Every rater is simulated: a program that compares how bright a picture is on its "
            "objects, off by noise of a stated size. These numbers show that the study works; of "
            "people they say nothing."
        )
    notes.append(
        f"{came} of {asked} planned raters answered; {len(found.failed)} failed the attention checks."
    )
    planned = int(key.facts.get("checks", 0))
    if planned:
        need = -(-int(PASSED * 100) * planned // 100)
        chance = {"discrimination": 0.5, "trust": 0.4}[key.kind]
        luck = float(binom.sf(need - 1, planned, chance))
        notes.append(
            f"A rater counts who answered at least half of {planned} attention checks and "
            f"{PASSED:.0%} of those right; one who guesses passes with a probability of {luck:.2f}."
        )
    notes += [f"{rater}: {why}" for rater, why in sorted(found.failed.items())[:20]]
    if key.kind == "trust" and "better" in key.facts:
        high, low = key.facts["average precision"]
        notes.append(
            f"The better model is {key.facts['better']} (mean average precision {high:.3f} on "
            f"{key.facts['compared on']} images), the weaker {key.facts['weaker']} ({low:.3f})."
        )
    return notes


_AGREE: Mapping[Kind, str] = {
    "discrimination": "1 where all raters choose the same object of a picture, 0 as by chance; of "
    "which of the two objects, the one first in the alphabet or the other, was chosen. Intervals "
    "draw pictures.",
    "trust": "1 where all raters rate a pair of pictures alike, 0 as by chance; distances of ratings "
    "squared (interval) or by ranks (ordinal). Intervals draw pairs of pictures.",
}


def _agreements(found: Heard, shown: Sequence[str], seed: int) -> tuple[Number, ...]:
    scales: tuple[Scale, ...] = (
        ("nominal",) if found.key.kind == "discrimination" else ("interval", "ordinal")
    )
    numbers: list[Number] = []
    for scale in scales:
        for name in shown:
            one = krippendorff(_units(found.of(name)), scale, seed=seed)
            tail = "" if len(scales) == 1 else f", {scale}"
            numbers.append(_alpha(f"{said(name)}{tail}", one, name == PHOTO))
    return (*numbers, Number("by chance", 0.0, 0, control=True))


def _units(judged: Sequence[Judged]) -> list[list[float]]:
    by: dict[str, list[float]] = {}
    for one in judged:
        by.setdefault(one.question, []).append(one.first)
    return list(by.values())


def _alpha(name: str, one: Agreement, control: bool) -> Number:
    return Number(name, one.alpha, one.values, one.interval, one.units, control)


def _controls(found: Heard, shown: Sequence[str], seed: int) -> list[Number]:
    """What is reached without a look at the pictures, on the same answers."""
    every = [one for name in shown if name != PHOTO for one in found.of(name)]
    if found.key.kind == "discrimination":
        always = [
            Rating(one.value if one.place == 1 else 1 - one.value, one.rater, one.image) for one in every
        ]
        return [
            Number("chance", 0.5, len(every), control=True),
            _number("always the first object", crossed_mean(always, seed=seed), True),
        ]
    place = [Rating(float(one.place), one.rater, one.image) for one in every]
    return [
        Number("no preference", 0.0, len(every), control=True),
        _number("robot B beside robot A, whatever the models", crossed_mean(place, seed=seed), True),
    ]


def _shares(found: Heard, shown: Sequence[str], seed: int, mark: str) -> Table:
    numbers: list[Number] = []
    for name in shown:
        mine = found.of(name)
        for word, sign in (("better", 1), ("neither", 0), ("weaker", -1)):
            hits = [Rating(float((j.value > 0) - (j.value < 0) == sign), j.rater, j.image) for j in mine]
            numbers.append(_number(f"{said(name)}: {word}", crossed_mean(hits, seed=seed)))
    return Table(
        f"Share of ratings for the better, neither and the weaker model{mark}", tuple(numbers), INTERVALS
    )


def _ratings(judged: Sequence[Judged]) -> list[Rating]:
    return [Rating(one.value, one.rater, one.image) for one in judged]


def _number(name: str, found: Crossed, control: bool = False) -> Number:
    return Number(name, found.mean, found.n, found.interval, min(found.raters, found.images), control)


def _percent(one: Number) -> str:
    if one.value is None:
        return "no answers"
    ends = "" if one.interval is None else f" ({one.interval[0]:.1%} to {one.interval[1]:.1%})"
    return f"{one.value:.1%}{ends}"


def _signed(one: Number) -> str:
    if one.value is None:
        return "no ratings"
    ends = "" if one.interval is None else f" ({one.interval[0]:+.2f} to {one.interval[1]:+.2f})"
    return f"{one.value:+.2f}{ends}"
