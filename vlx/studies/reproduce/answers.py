"""Fig. 12 and section 8.2: answers to questions, beside people's attention and hidden windows."""

from vlx.eval.data.published import ATTENTION, QUESTIONS_1, QUESTIONS_2
from vlx.eval.tasks.attention import ATTENTION as HUMAN
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.methods.values import grad_cam, guided_backprop, guided_grad_cam
from vlx.passes.reading import runners_up
from vlx.passes.targets import answer as answer_of
from vlx.show.sheets import Cell, Line
from vlx.studies.found import Findings, Table
from vlx.studies.reproduce.asked import Asked, Needs, NotHere
from vlx.studies.reproduce.drawn import Shown, cells, explained, photo_cell, picture, shown
from vlx.studies.reproduce.measured import measured, table
from vlx.studies.reproduce.told import findings, spoken

PEOPLE = Needs(((ATTENTION,), (QUESTIONS_1,)), "VQA-HAT val, 1,374 questions")
QUESTIONS = Needs(((QUESTIONS_1, QUESTIONS_2),), "VQA v1 on COCO val 2014")
_STRIDE = 16
_FEW = 12  # images whose windows are hidden


def answers(asked: Asked) -> Findings:
    """Two answers to each question; rank correlation with people and with occlusion."""
    notes: list[str] = []
    tables: list[Table] = []
    parts: list[str] = []
    try:
        people = table(measured(asked, HUMAN, "answerer", PEOPLE, (grad_cam, guided_backprop)))
        tables.append(people)
        parts.append(f"with people {spoken(people.numbers[0])}")
    except NotHere as error:
        notes.append(f"people's attention is not there: {error}")
    hidden = table(
        measured(
            asked, OCCLUSION, "answerer", QUESTIONS, (grad_cam, guided_backprop),
            limit=min(asked.images, _FEW), stride=_STRIDE,
        )
    )  # fmt: skip
    tables.append(hidden)
    parts.append(f"with occlusion {spoken(hidden.numbers[0])}")
    rows = [_row(one) for (one,) in shown(asked, OCCLUSION, "answerer", QUESTIONS, 4)]
    columns = ("image", "Grad-CAM", "Guided Grad-CAM", "Grad-CAM, other", "Guided Grad-CAM, other")
    return findings(
        "fig12", asked, f"Grad-CAM's rank correlation {', '.join(parts)}.", tables,
        [picture("Two answers to a question", rows, columns)], models=("answerer",), notes=notes,
    )  # fmt: skip


def _row(one: Shown) -> Line:
    """The answer that is given, and the likeliest other one, unless the model writes its answers."""
    reading, methods = one.opened.reading(0), (grad_cam, guided_grad_cam)
    if one.opened.said is not None:
        return Line([photo_cell(one, one.name), *cells(explained(one, methods))], one.item.text)
    best = int(one.opened.scores(0)[0].argmax())
    names = [reading.choices.called(at) for at in (best, *runners_up(reading, 0, best, 1))]
    drawn: list[Cell | None] = [photo_cell(one)]
    for name in names:
        drawn += cells(explained(one, methods, answer_of(name)), [name, name])
    return Line(drawn, one.item.text)
