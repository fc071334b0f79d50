"""Both studies of the paper's section 5 from end to end, answered by simulated raters (Table 2, Figure 5)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome, summarise
from vlx.studies.found import Findings, Number, Table, number_of
from vlx.studies.page import write_findings
from vlx.studies.people.analysis import analysed, said
from vlx.studies.people.figure import figure_5
from vlx.studies.people.make import METHODS, Made, Plan, make
from vlx.studies.people.pages import write_pages
from vlx.studies.people.questions import CHECK, KINDS, PHOTO, Question, mask_from, methods_in, pixels_of
from vlx.studies.people.simulated import answer_all, salience, simulated_raters


@dataclass(frozen=True)
class PeopleStudy:
    """What the studies are made of; all raters are simulated."""

    models: tuple[str, ...] = ("scenes/classifier",)
    """One, whose weaker copy it is compared with, or two."""
    data: str = "scenes"
    split: str | None = None
    classes: str | None = None
    pairs: int = 90
    """Image-category pairs; of trust half as many images."""
    ratings: int = 9
    noise: float = 0.7
    """Of simulated raters (`SimulatedRater`)."""
    compared: int = 200
    """Images at most on which the models' average precision is found."""
    seed: int = 0
    device: str = "cpu"

    def plans(self) -> tuple[Plan, Plan]:
        """Of class discrimination, with the photo alone as a control, and of trust.

        >>> [(plan.kind, plan.pairs, len(plan.shown)) for plan in PeopleStudy().plans()]
        [('discrimination', 90, 5), ('trust', 45, 2)]
        """
        first = Plan(
            "discrimination", self.models[:1], self.data, self.split, self.classes,
            (*METHODS["discrimination"], PHOTO), self.pairs, self.ratings, seed=self.seed, device=self.device,
        )  # fmt: skip
        half, trusted = -(-self.pairs // 2), self.models
        second = replace(first, kind="trust", models=trusted, methods=(), pairs=half, compared=self.compared)
        return first, second


def people_study(settings: PeopleStudy, out: Path, told: Callable[[str], None] = print) -> Findings:
    """Make both studies, let simulated raters answer them, analyse the answers, and write what was found.

    Each study lies in a folder of its own below ``out``, with the page of its first rater to look at. A run
    that stopped goes on. Raises VlxError as `make` does.
    """
    parts: list[Findings] = []
    examples: list[Made] = []
    for kind, plan in zip(KINDS, settings.plans(), strict=True):
        made = make(plan, out / kind, told, simulated=True)
        raters = simulated_raters(len(made.key.raters), settings.seed, noise=settings.noise)
        answer_all(made, dict(zip(made.key.raters, raters, strict=True)), settings.seed)
        write_pages(made, list(made.key.raters)[:1])
        parts.append(analysed(out / kind, settings.seed))
        examples.append(made)
    on_object = why(examples[1])
    found = Findings(
        study="people",
        title="Human studies of the paper, answered by simulated raters, of no person",
        question="Do visualisations tell people which object a model meant, and which of two models "
        "to trust?",
        answer=" ".join([*(part.answer for part in parts), order_told(parts[1], on_object)]),
        tables=(
            *(_of(kind, one) for kind, part in zip(KINDS, parts, strict=True) for one in part.tables),
            on_object,
        ),
        settings={
            "simulated": True, "noise of simulated raters": settings.noise,
            **{kind: part.settings for kind, part in zip(KINDS, parts, strict=True)},
        },
        pictures=(figure_5(examples[0], examples[1], parts),),
        left_out={
            f"{kind}: {reason}": count
            for kind, part in zip(KINDS, parts, strict=True)
            for reason, count in part.left_out.items()
        },
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )  # fmt: skip
    write_findings(out, found)
    return found


def order_told(trust: Findings, on_object: Table) -> str:
    """Whether the paper's order of trust holds, and what simulated raters could go by."""
    names = [said(one) for one in ("guided_backprop", "guided_grad_cam")]
    mean = {one.name: one.value for one in trust.tables[0].numbers}
    shares = {one.name: one.value for one in on_object.numbers}
    plain, guided = (mean.get(name) for name in names)
    gains = [shares.get(f"trust: {name}, better minus weaker") for name in names]
    if plain is None or guided is None or gains[0] is None or gains[1] is None:
        return "The two visualisations of the paper's study of trust cannot be compared here."
    holds = "holds" if guided > plain else "does not hold"
    return (
        f"The paper's order of trust (1.27 above 1.00) {holds} here: the better model's pictures have "
        f"{100 * gains[0]:+.1f} points more of their brightness on the object with {names[0]}, and "
        f"{100 * gains[1]:+.1f} with {names[1]}."
    )


def why(made: Made) -> Table:
    """What simulated raters go by: how much of the brightness of each model's pictures is on the object."""
    numbers: list[Number] = []
    for shown in methods_in(list(made.questions.values())):
        mine = [one for one in made.questions.values() if one.shown == shown]
        shares = {one.image: [_on_object(one, picture) for picture in one.pictures] for one in mine}
        for side, name in enumerate(("the better model", "the weaker model")):
            numbers.append(
                number_of(f"trust: {said(shown)}, {name}", summarise([one[side] for one in shares.values()]))
            )
        less = summarise([difference(one[0], one[1]) for one in shares.values()])
        numbers.append(number_of(f"trust: {said(shown)}, better minus weaker", less))
    real = {one.image: one for one in made.questions.values() if one.shown != CHECK}
    area = [float(mask_from(one.masks[0]).mean()) for one in real.values()]
    numbers.append(number_of("trust: even brightness", summarise(area), control=True))
    return Table(
        "Trust: share of a picture's brightness on the object",
        tuple(numbers),
        "How far a pixel's colour is from the picture's median, added up on the object and over the "
        "picture; images are drawn. Where both models' pictures lie on the object alike, none can be "
        "seen to be the better.",
    )


def _on_object(question: Question, picture: bytes) -> Outcome:
    bright = salience(pixels_of(picture), question.over_photo)
    whole = float(bright.sum())
    return (
        Outcome(float(bright[mask_from(question.masks[0])].sum()) / whole)
        if whole
        else Outcome(None, "empty")
    )


def _of(kind: str, table: Table) -> Table:
    """A table whose numbers say of which study they are."""
    return replace(
        table,
        title=f"{kind.capitalize()}: {table.title[0].lower()}{table.title[1:]}",
        numbers=tuple(replace(one, name=f"{kind}: {one.name}") for one in table.numbers),
    )
