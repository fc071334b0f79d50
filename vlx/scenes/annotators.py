"""Simulated annotators: what ten of them answer to a question whose answer is known. No person did."""

import numpy as np

from vlx.scenes.inventory import CATEGORIES, COLOURS
from vlx.scenes.language import Asked
from vlx.scenes.plan import Scene

ANSWERS = 10
SLIPS = (0.5, 0.25, 0.15, 0.07, 0.03)
"""How likely it is that so many of the ten slip, from none on: the true answer always is the commonest."""


def simulated_answers(asked: Asked, scene: Scene, random: np.random.Generator) -> list[str]:
    """The answers of ten simulated annotators: the true one, but for slips of the kind people make.

    A slip is another answer to the same question: another colour, one object more or less, the other
    side, another object of the scene, or no for yes.
    """
    answers = [asked.answer] * ANSWERS
    slips = random.choice(len(SLIPS), p=SLIPS)
    for at in random.choice(ANSWERS, slips, replace=False):
        others = _others(asked, scene)
        answers[at] = others[int(random.integers(len(others)))]
    return answers


def accuracy(answer: str, given: list[str]) -> float:
    """The VQA accuracy of an answer: against each nine of the ten given, min(equal ones / 3, 1); their mean.

    Answers are compared as they stand: those about scenes are in their normal form.
    """
    left = (sum(one == answer for one in given) - (one == answer) for one in given)
    return sum(min(1.0, equal / 3) for equal in left) / len(given)


def _others(asked: Asked, scene: Scene) -> list[str]:
    match asked.kind:
        case "presence":
            found = ["yes", "no"]
        case "side":
            found = ["left", "right"]
        case "colour":
            found = list(COLOURS)
        case "count":
            found = [str(number) for number in (int(asked.answer) - 1, int(asked.answer) + 1) if number > 0]
        case _:
            there = {item.category.name for item in scene.items} - {asked.answer}
            found = sorted(there) or [category.name for category in CATEGORIES]
    return [answer for answer in found if answer != asked.answer]
