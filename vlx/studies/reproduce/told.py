"""Findings of a reproduction, and numbers as they are told in a sentence."""

from collections.abc import Sequence

from vlx.eval.measures.statistics import Summary
from vlx.studies.found import Findings, Number, Picture, Table, number_of
from vlx.studies.reproduce.asked import OPTIONS, USED, Asked, Role
from vlx.studies.reproduce.named import named

_BUILT_IN = (
    "the built-in world of drawn scenes and its own small models stand for the paper's data and networks: "
    "orders can be compared, numbers cannot"
)


def spoken(one: Number) -> str:
    """A number with its interval.

    >>> from vlx.studies.found import Number
    >>> spoken(Number("hits", 0.75, 4, (0.5, 1.0)))
    '0.750 [0.500, 1.000]'
    """
    if one.value is None:
        return "nothing that can be measured"
    ends = "" if one.interval is None else " [" + ", ".join(f"{end:.3f}" for end in one.interval) + "]"
    return f"{one.value:.3f}{ends}"


def compared(name: str, one: Summary) -> Number:
    """A difference as a row."""
    return number_of(name, one)


def findings(
    name: str,
    asked: Asked,
    answer: str,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    *,
    notes: Sequence[str] = (),
    models: Sequence[Role] = ("classifier",),
) -> Findings:
    """What one table or figure gives, with what differs from the paper."""
    used = [f"{asked.model(role)} stands for {USED[role]}" for role in models]
    world = [_BUILT_IN] if not asked.data else []
    settings = {**asked.settings(), **{OPTIONS[role].strip("-"): asked.model(role) for role in models}}
    of = named(name)
    return Findings(
        study=name,
        title=of.title,
        question=of.question,
        answer=answer,
        tables=tuple(tables),
        settings=settings,
        pictures=tuple(pictures),
        notes=(*world, *used, *notes),
    )
