"""What the maps of one's own classifier say, as tables: what its classes look at beside their objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlx.eval.data.classes import plain_name
from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome, Summary, summarise
from vlx.studies.found import Findings, Number, Picture, Table, number_of

GROUND = "no category"
"""Pixels that no mask covers."""
LEAST = 4
"""Images that a category has to be in, beside the class's own object, to be told of."""
ENOUGH = 8
"""Images that it has to be in to be named: of fewer, all may lie on one side of 0 by chance."""
CONTROLS = {
    "wrong": "maps of other classes",
    "area": "uniform map",
    "centre": "centre prior",
    "activation": "mean activation",
}


@dataclass(frozen=True)
class OwnRow:
    """What was measured of one class in one image."""

    of: str
    image: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One category beside a class."""

    name: str
    more: Summary
    """Share of the class's map less the mean share of other classes' maps; 95 % for all parts together."""

    @property
    def named(self) -> bool:
        """Whether it draws the class's evidence more than that of other classes."""
        surely = self.more.interval is not None and self.more.interval[0] > 0
        return surely and self.more.n >= ENOUGH


def parts_of(of: str, rows: Sequence[OwnRow]) -> list[Part]:
    """The categories that enough images of a class show, and its own; the most looked at first."""
    names = dict.fromkeys(name for row in rows if row.of == of for name in row.row.get("parts", {}))
    some = {name: _columns(of, name, rows) for name in names}
    kept = {name: mine for name, mine in some.items() if len(mine) >= LEAST}
    level = 1 - 0.05 / max(len(kept), 1)
    found = [
        Part(name, summarise([difference(one["own"], one["wrong"]) for one in mine], level=level))
        for name, mine in kept.items()
    ]
    return sorted(
        (one for one in found if one.more.mean is not None), key=lambda one: -(one.more.mean or 0.0)
    )


def most_looked_at(of: str, rows: Sequence[OwnRow]) -> list[tuple[str, str]]:
    """The other category that each image of a class has most of the map on beyond other classes' maps.

    With the image's id, the most first; what no mask covers is not meant.
    """
    found = [
        (own - wrong, name, row.image)
        for row in rows
        if row.of == of
        for name, part in row.row.get("parts", {}).items()
        if not _is_own(of, name)
        and name != GROUND
        and (own := part["own"]) is not None
        and (wrong := part["wrong"]) is not None
    ]
    first: dict[str, tuple[str, str]] = {}
    for _, name, image in sorted(found, reverse=True):
        first.setdefault(image, (name, image))
    return list(first.values())


def findings_of_own(
    classes: Sequence[str],
    rows: Sequence[OwnRow],
    settings: Mapping[str, Any],
    pictures: Sequence[Picture],
    wrong: int,
    damaged: int,
) -> Findings:
    """What the numbers are and what they say."""
    lost: dict[str, int] = {"damaged_record": damaged}
    for row in rows:
        if "left_out" in row.row:
            lost[row.row["left_out"]] = lost.get(row.row["left_out"], 0) + 1
    return Findings(
        "bias",
        "Bias of one's own classifier: what a class looks at beside its object",
        f"How much of the evidence for {' and for '.join(classes)} lies on other things in the image, more "
        "than of the evidence for classes that are not there, and does the score fall when these are hidden?",
        " ".join(_answer(of, rows) for of in classes),
        tuple(table for of in classes for table in _tables(of, rows, wrong)),
        settings,
        tuple(pictures),
        lost,
        (
            "A category that stands beside a class in the data may be looked at because it belongs to what "
            "the class means, or lies so near that a place of the map holds both; hiding it, beside hiding "
            "its mirror image, tells whether the score depends on it.",
            "The class explained is the likeliest of those that the model has of the category.",
        ),
    )


def _tables(of: str, rows: Sequence[OwnRow], wrong: int) -> tuple[Table, ...]:
    found = parts_of(of, rows)
    more = [
        number_of(f"{at}. {_called(of, part.name)}{' *' if part.named else ''}", part.more)
        for at, part in enumerate(found, 1)
    ]
    shares: list[Number] = []
    hidden: list[Number] = []
    for part in found:
        mine, name = _columns(of, part.name, rows), _called(of, part.name)
        shares.append(number_of(name, summarise([one["own"] for one in mine])))
        shares += [
            number_of(f"{name}: {told}", summarise([one[key] for one in mine]), control=True)
            for key, told in CONTROLS.items()
        ]
        if part.name == GROUND:
            continue
        hidden += [
            number_of(
                f"{name}, more than its mirror image",
                summarise([difference(one["hidden"], one["mirrored"]) for one in mine]),
            ),
            number_of(f"{name} hidden", summarise([one["hidden"] for one in mine])),
            number_of(
                f"{name}: its mirror image hidden", summarise([one["mirrored"] for one in mine]), control=True
            ),
        ]
    kept = f"Categories in {LEAST} or more of the images that show {of}"
    return (
        Table(
            f"{of}: share of the evidence, more than of other classes",
            tuple(more),
            f"{kept}, ranked: the share of the positive part of the class's map that lies on them less the "
            f"mean share of the maps of up to {wrong} classes that the image does not show. A star: the "
            "whole interval, by image and of 95 % for all categories together, lies above 0, "
            f"in {ENOUGH} images or more.",
        ),
        Table(
            f"{of}: share of the evidence on each category",
            tuple(shares),
            f"{kept}; beside it what knows nothing of the class, on the same masks. Intervals by image.",
        ),
        Table(
            f"{of}: what hiding takes from the score",
            tuple(hidden),
            "By how much the logit of the class less the mean of all logits falls as the category's pixels "
            "are filled with the mean colour of the image, and as the same shape is, mirrored to the other "
            "side, which may fall on the object itself. Intervals by image.",
        ),
    )


def _answer(of: str, rows: Sequence[OwnRow]) -> str:
    found = parts_of(of, rows)
    count = sum(row.of == of and "parts" in row.row for row in rows)
    beside = [part for part in found if not _is_own(of, part.name) and part.name != GROUND]
    named = [part for part in beside if part.named]
    own = next((part for part in found if _is_own(of, part.name)), None)
    base = "" if own is None or own.more.mean is None else f" (its object {own.more.mean:+.3f})"
    if not beside:
        return (
            f"{of}: no other category is in {LEAST} or more of its {count} images, so that none can be told."
        )
    if not named:
        first = beside[0]
        return (
            f"{of}, {count} images: of {len(beside)} other categories none surely draws its evidence; the "
            f"first is {first.name}, {first.more.mean:+.3f} of its map beyond other classes' maps{base}."
        )
    told = ", ".join(f"{part.name} {part.more.mean:+.3f}" for part in named)
    return f"{of}, {count} images: it looks at {told} of its map beyond other classes' maps{base}."


def _columns(of: str, name: str, rows: Sequence[OwnRow]) -> list[dict[str, Outcome]]:
    mine = [row.row["parts"][name] for row in rows if row.of == of and name in row.row.get("parts", {})]
    keys = ("own", *CONTROLS, "hidden", "mirrored")
    return [{key: _outcome(part.get(key)) for key in keys} for part in mine]


def _outcome(value: float | None) -> Outcome:
    return Outcome(None, "no_evidence") if value is None else Outcome(value)


def _called(of: str, name: str) -> str:
    return f"{name} (its object)" if _is_own(of, name) else name


def _is_own(of: str, name: str) -> bool:
    return plain_name(of) == plain_name(name)
