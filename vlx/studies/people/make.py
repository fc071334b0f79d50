"""Make a study with people: choose images, draw the questions, plan who is asked what, write the pages.

The folder of a study holds ``key.json`` (what each question is: it stays with whoever runs the study),
``questions.jsonl`` (its pictures), ``pages/`` (one a rater, which tell no more than a rater may know),
``raters.txt`` and ``answers/``, where lines of answers are put.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.class_choice import classes_of
from vlx.eval.items.item import seed_of
from vlx.eval.items.models import weights_digest
from vlx.eval.items.truth import ClassNames
from vlx.eval.runs.request import data_folder
from vlx.methods.values import method_named
from vlx.studies.kept import Facts, claim, digest, kept_rows
from vlx.studies.people.drawn import (
    discrimination_check,
    discrimination_of,
    renamed,
    trust_check,
    trust_of,
)
from vlx.studies.people.found_images import (
    Shown,
    for_checks,
    labels_of,
    read_image,
    shown_images,
    weaker,
)
from vlx.studies.people.key import Key, about, write_key
from vlx.studies.people.plan import assigned, opaque
from vlx.studies.people.quality import agreed, qualities, scored
from vlx.studies.people.questions import PHOTO, Kind, Question, question_of, row_of

METHODS: Mapping[Kind, tuple[str, ...]] = {
    "discrimination": ("guided_backprop", "guided_grad_cam", "deconvolution", "deconvolution_grad_cam"),
    "trust": ("guided_backprop", "guided_grad_cam"),
}
"""The visualisations of the paper's studies."""
_CHECKS = 12  # attention checks that are drawn; each rater meets some of them


@dataclass(frozen=True)
class Plan:
    """What a study asks, of whom; the defaults are the paper's where it tells them."""

    kind: Kind
    models: tuple[str, ...] = ("scenes/classifier",)
    """Of discrimination one, or several that take turns with images; of trust two."""
    data: str = "scenes"
    split: str | None = None
    classes: str | None = None
    """A file that says which classes of the model the categories of the data are."""
    methods: tuple[str, ...] = ()
    """By default `METHODS`; ``photo`` is the photo alone, a control."""
    pairs: int = 90
    """Image-category pairs at most; of trust, images."""
    ratings: int = 9
    """Of each question."""
    per_rater: int = 45
    """Questions of one rater at most, beside the checks."""
    checks: int = 6
    """Attention checks of a rater."""
    noise: float = 0.15
    """Of trust with one model: the weaker one is a copy with so much noise on its weights (`weaker`)."""
    compared: int = 200
    """Of trust: images at most on which the models' average precision is found and agreement is sought."""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.pairs, self.ratings, self.per_rater, self.compared) < 1 or self.checks < 0:
            raise VlxError("pairs, ratings, questions of a rater and images are at least 1")
        if self.kind == "trust" and len(self.models) > 2:
            raise VlxError(f"{len(self.models)} models: trust compares two, or one with a weaker copy of it")
        if not self.noise > 0:
            raise VlxError(f"noise {self.noise}: the weaker copy needs noise above 0 on its weights")
        for name in self.shown:
            if name != PHOTO:
                method_named(name)
        if self.kind == "trust" and PHOTO in self.shown:
            raise VlxError("the photo is alike for two models: it is a control of discrimination alone")

    @property
    def shown(self) -> tuple[str, ...]:
        """The visualisations."""
        return self.methods or METHODS[self.kind]


@dataclass(frozen=True, eq=False)
class Made:
    """A study that was made."""

    folder: Path
    questions: Mapping[str, Question]
    key: Key


def make(
    plan: Plan,
    out: Path,
    told: Callable[[str], None] = print,
    *,
    simulated: bool = False,
    models: Sequence[Any] | None = None,
) -> Made:
    """Make a study in a folder, or go on where it was; the pages are written by `write_pages`.

    ``simulated`` says that no person is going to answer. ``models`` are those of the plan's names, already
    loaded. Raises VlxError where the data or the models do not serve.
    """
    opened = list(models) if models is not None else _opened(plan)
    claim(out, {**asdict(plan), "weights": [weights_digest(one) for one in opened]})
    found, unknown = shown_images(data_folder(plan.data, plan.split), plan.seed, plan.classes)
    left_out = {"images of which some category is damaged or difficult": unknown}
    (questions, facts) = (_discrimination if plan.kind == "discrimination" else _trust)(
        plan, opened, found, out, told, left_out
    )
    orders = assigned(questions, plan.ratings, plan.per_rater, plan.checks, plan.seed)
    codes = opaque([one.name for one in questions], plan.seed)
    tokens = _tokens(out, len(orders), simulated)
    key = Key(
        plan.kind,
        digest(asdict(plan), facts),
        {
            token: tuple(codes[one.question, one.turned] for one in mine)
            for token, mine in zip(tokens, orders, strict=True)
        },
        {code: (name, turned) for (name, turned), code in codes.items()},
        {one.name: about(one) for one in questions},
        {**asdict(plan), "methods": list(plan.shown), **facts},
        left_out,
        simulated,
    )  # fmt: skip
    write_key(out, key)
    return Made(out, {one.name: one for one in questions}, key)


def _opened(plan: Plan) -> list[Any]:
    from vlx.load import load

    return [load(name, device=plan.device) for name in plan.models]


def _discrimination(
    plan: Plan,
    models: Sequence[Any],
    found: Sequence[Shown],
    out: Path,
    told: Callable[[str], None],
    left_out: dict[str, int],
) -> tuple[list[Question], Facts]:
    two = [one for one in found if len(one.items) == 2]
    left_out["images that do not show exactly two categories"] = len(found) - len(two)
    known = _known(models, two)
    left_out["images of a category that the model does not have"] = len(two) - len(known)
    chosen = {one.id: one for one in known[: -(-plan.pairs // 2)]}
    if not chosen:
        raise VlxError(
            f"{plan.data} has no image of exactly two categories that are classes of "
            f"{' and '.join(plan.models)} ({len(two)} of exactly two): give other --data, or say by "
            "--classes which classes they are"
        )
    order = list(chosen)

    def drawn(name: str) -> Facts:
        model = models[order.index(name) % len(models)]
        return _kept(discrimination_of(model, chosen[name], plan.shown))

    rows = kept_rows(out / "questions.jsonl", order, drawn, told)
    questions = [one for row in rows for one in _read(row)]
    pairs = list(dict.fromkeys(one.group for one in questions))[: plan.pairs]
    questions = [one for one in questions if one.group in pairs]
    checks = for_checks(found, set(chosen), _CHECKS, plan.seed)
    names = sorted({name for one in found for name in one.names})
    plain: list[Question] = []
    for number, (one, at) in enumerate(checks):
        others = [name for name in names if name not in one.names]
        if others:
            other = others[seed_of(plan.seed, f"other {one.id}") % len(others)]
            plain.append(renamed(discrimination_check(one, at, other), f"check {number}"))
    return [*questions, *plain], {"images": len(chosen)}


def _trust(
    plan: Plan,
    models: Sequence[Any],
    found: Sequence[Shown],
    out: Path,
    told: Callable[[str], None],
    left_out: dict[str, int],
) -> tuple[list[Question], Facts]:
    both = [*models, weaker(models[0], plan.noise, plan.seed)] if len(models) == 1 else list(models)
    names = [*plan.models, f"{plan.models[0]} with noise of {plan.noise:g} SD on its weights"][:2]
    some = {one.id: one for one in found[: plan.compared]}
    of: dict[str, ClassNames] = {}
    for one in found:
        for item in one.items:
            assert item.classes is not None
            of.setdefault(item.category, item.classes)
    categories = sorted(of)
    listed = [of[one] for one in categories]
    rows = kept_rows(
        out / "scores.jsonl", list(some), lambda name: scored(both, some[name], categories, listed)
    )
    worth = qualities(rows, categories)
    if worth[1] > worth[0]:  # the better one stands first, whatever the order they were given in
        both, names, worth = both[::-1], names[::-1], worth[::-1]
    right = {name: agreed(row) for name, row in zip(some, rows, strict=True)}
    agreeing = [name for name in some if right[name]]
    left_out["images on which not both models are right by their likeliest class"] = len(some) - len(agreeing)
    chosen = agreeing[: plan.pairs]
    if not chosen:
        raise VlxError(
            f"{names[0]} and {names[1]} are both right on none of {len(some)} images: nothing to ask"
        )

    def drawn(name: str) -> Facts:
        return _kept(trust_of(both, some[name], right[name], plan.shown))

    asked = [one for row in kept_rows(out / "questions.jsonl", chosen, drawn, told) for one in _read(row)]
    checks = for_checks(found, set(chosen), _CHECKS, plan.seed)
    plain = [renamed(trust_check(one, at), f"check {n}") for n, (one, at) in enumerate(checks)]
    better = {"better": names[0], "weaker": names[1], "average precision": worth, "compared on": len(rows)}
    return [*asked, *plain], {"images": len(chosen), **better}


def _known(models: Sequence[Any], images: Sequence[Shown]) -> list[Shown]:
    """The images of which every model has every category."""
    if not images:
        return []
    labels = [labels_of(read_image(model, images[0].image())) for model in models]
    return [
        one
        for one in images
        if all(item.classes and classes_of(item.classes, names) for item in one.items for names in labels)
    ]


def _kept(questions: Sequence[Question]) -> Facts:
    return {one.name: row_of(one) for one in questions}


def _read(row: Facts) -> list[Question]:
    return [question_of(name, facts) for name, facts in row.items()]


def _tokens(out: Path, count: int, simulated: bool) -> list[str]:
    """The codes of raters' links: those of the folder, or new ones that cannot be guessed."""
    if simulated:
        return [f"simulated-rater-{at:03}" for at in range(1, count + 1)]
    path = out / "raters.txt"
    kept = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return (kept + [secrets.token_hex(8) for _ in range(count)])[:count]
