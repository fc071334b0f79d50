"""Whether a model takes in what it is given: another image, question or text must move the scores."""

from collections.abc import Callable, Sequence

from PIL import Image

from vlx.check.outcome import Check, apart, judged, moves, tolerance
from vlx.check.places import Look
from vlx.passes.forward import Pass

_SHOWN = "a grey image in the place of another moves the scores by"
QUESTIONS = ("what colour is the bus ?", "is there a dog ?")
"""What models are asked of which nobody says what to ask."""


def check_question(asked: Pass, ask: Callable[[str], Pass]) -> Check:
    """Ask something else: the scores of the same answers must move."""
    question = asked.readings[0].prompt
    other = next(one for one in QUESTIONS if one != question)
    told = f"{other!r} in the place of {question!r} moves the scores by"
    return _moved("question", asked, ask(other), told)


def check_image(look: Look, image: Image.Image) -> Check:
    """Show something else: the scores must move."""
    grey = Image.new("RGB", image.size, (110, 120, 130))
    return _moved("image", look(image), look(grey), _SHOWN)


def check_texts(compare: Callable[[Sequence[str]], Pass], texts: tuple[str, str]) -> Check:
    """A text's score is its own: another text has another score, and standing beside it changes nothing."""
    together, alone = compare(texts), compare(texts[:1])
    scores = together.scores[0, 0].detach()
    beside = apart(scores[:1], alone.scores[0, 0])
    between = apart(scores[:1], scores[1:])
    close = tolerance(scores, together.features.dtype)
    told = f"two texts score {between:.2g} apart; the first moves by {beside:.2g} beside the other"
    return judged("texts", moves(scores[:1], scores[1:]) and beside <= close, told)


def _moved(name: str, before: Pass, after: Pass, told: str) -> Check:
    steps = min(before.scores.shape[1], after.scores.shape[1])
    one, other = before.scores[0, :steps].detach(), after.scores[0, :steps].detach()
    return judged(name, moves(one, other), f"{told} {apart(one, other):.2g}")
