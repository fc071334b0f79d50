"""VQA answers: normalisation and accuracy as the official evaluation counts them.

Antol et al. 2015; behaviour of the published script (revision of March 2021), its quirks included,
since accuracies are comparable only with them: see normalise and accuracy.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from vlx.errors import VlxError
from vlx.eval.measures.statistics import Outcome

PUNCTUATION = tuple(';/[]"{}()=+\\_-><@`,?!')

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {"none": "0"} | {word: str(value) for value, word in enumerate(_DIGITS)}
ARTICLES = frozenset({"a", "an", "the"})

_FORMS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _contractions() -> dict[str, str]:
    """Every spelling that lacks one apostrophe, mapped to the right form."""
    table = {
        form[: gap.start()] + form[gap.end() :]: form
        for form in _FORMS.split()
        for gap in re.finditer("'", form)
    }
    return table | {"somebody'd": "somebodyd"}  # the wrong way round in the official table too


CONTRACTIONS = _contractions()

_COMMA_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32  # the official call passes flags where a count belongs


def without_punctuation(answer: str) -> str:
    """The answer without the 21 official punctuation marks and without most periods.

    A mark is deleted where it stands beside a blank somewhere in the answer, or where the answer
    holds digit, comma, digit; otherwise it becomes a blank. The first 32 periods that no digit
    follows are deleted. Apostrophes stay.

    >>> without_punctuation("yes, it is.")
    'yes it is'
    """
    result = answer
    for mark in PUNCTUATION:
        beside_blank = f"{mark} " in answer or f" {mark}" in answer
        delete = beside_blank or _COMMA_NUMBER.search(answer) is not None
        result = result.replace(mark, "" if delete else " ")
    return _PERIOD.sub("", result, count=_MOST_PERIODS)


def plain_words(answer: str) -> str:
    """The answer in lower case, number words as digits, no articles, contractions repaired.

    >>> plain_words("The two dogs dont")
    "2 dogs don't"
    """
    words = (NUMBERS.get(word, word) for word in answer.lower().split())
    kept = (word for word in words if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)


def normalise(answer: str) -> str:
    """The answer as it is compared: white space, punctuation, then words.

    >>> normalise(" Two, the red ones. ")
    '2 red ones'
    """
    return plain_words(without_punctuation(trimmed(answer)))


def trimmed(answer: str) -> str:
    """The answer with line breaks and tabs as blanks, and none at its ends.

    >>> trimmed("  red ")
    'red'
    """
    return answer.replace("\n", " ").replace("\t", " ").strip()


def accuracy(prediction: str, answers: Sequence[str], *, legacy: bool = False) -> float:
    """The accuracy of one answer against those people gave, 0 to 1.

    For each human answer the others are compared: min(1, matches / 3); the mean of these. With ten
    answers, 0, 1, 2, 3 and 4 or more matches give 0, .3, .6, .9 and 1. Answers are normalised only
    where people disagreed; where all gave the same, spelling counts. ``legacy`` is the rule before
    March 2021: the prediction is always normalised, human answers lose only their punctuation, and
    only where people disagreed.

    >>> round(accuracy("red", 2 * ["red"] + 8 * ["blue"]), 2)
    0.6
    """
    if len(answers) < 2:
        raise VlxError(f"{len(answers)} human answers: accuracy compares with at least two")
    given, people = trimmed(prediction), [trimmed(answer) for answer in answers]
    disagree = len(set(people)) > 1
    if disagree:
        people = [without_punctuation(p) if legacy else normalise(p) for p in people]
    if disagree or legacy:
        given = normalise(given)
    matches = sum(person == given for person in people)
    others = (matches - (person == given) for person in people)
    return sum(min(1.0, count / 3) for count in others) / len(people)


def accuracies(
    predictions: Mapping[int, str], answers: Mapping[int, Sequence[str]], *, legacy: bool = False
) -> dict[int, Outcome]:
    """The accuracy of each question; one without a prediction is left out as ``no_answer``.

    The official script demands a prediction for every question: check that none is left out before
    comparing with its numbers.

    >>> accuracies({1: "red"}, {1: 10 * ["red"], 2: 10 * ["no"]})
    {1: Outcome(value=1.0, left_out=None), 2: Outcome(value=None, left_out='no_answer')}
    """
    return {
        question: Outcome(accuracy(predictions[question], people, legacy=legacy))
        if question in predictions
        else Outcome(None, "no_answer")
        for question, people in answers.items()
    }


def percent(values: Iterable[float]) -> float | None:
    """The official figure: mean accuracy times 100, rounded to two digits; None without any.

    >>> percent([1.0, 0.3])
    65.0
    """
    numbers = list(values)
    return round(100 * sum(numbers) / len(numbers), 2) if numbers else None
