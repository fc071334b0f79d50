"""The tables of the study of adversarial noise, and the answer that they give."""

from collections.abc import Mapping, Sequence

from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome, summarise
from vlx.studies.adversarial.attack import Attack
from vlx.studies.adversarial.measured import outcome
from vlx.studies.found import Number, Table, number_of
from vlx.studies.kept import Facts
from vlx.studies.truths import WRONG


class Columns:
    """Columns of the rows of images, and of the objects in them, with what they belong to."""

    def __init__(self, rows: Mapping[str, Facts]) -> None:
        self.rows = rows
        self.images = list(rows)
        self.clusters = [name for name, row in rows.items() for _ in row["things"]]

    def number(self, name: str, column: Sequence[Outcome], *, control: bool = False) -> Number:
        """The mean of a column, whose items are images or the objects in them."""
        clusters = self.images if len(column) == len(self.images) else self.clusters
        return number_of(name, summarise(column, clusters), control=control)

    def of_images(self, key: str) -> list[Outcome]:
        """One value an image."""
        return [
            outcome(float(row[key]) if isinstance(row[key], bool) else row[key]) for row in self.rows.values()
        ]

    def of_things(self, key: str, method: str | None = None, *, known: bool = False) -> list[Outcome]:
        """One value an object; with ``known`` of those alone that the model told before."""
        found: list[Outcome] = []
        for row in self.rows.values():
            for one in row["things"]:
                value = one[key] if method is None else one[method][key]
                found.append(
                    outcome(value) if one["known"] or not known else Outcome(None, "not_told_before")
                )
        return found

    def of_targets(self, key: str, method: str) -> list[Outcome]:
        """One value an image, of the target's map."""
        return [outcome(row["targets"][method][key]) for row in self.rows.values()]


def _less(after: Sequence[Outcome], before: Sequence[Outcome]) -> list[Outcome]:
    return [difference(one, other, "before") for one, other in zip(after, before, strict=True)]


def reached(table: Columns, size: float | int, steps: int) -> Table:
    """How far the attack gets."""
    enough = Attack().enough
    rounded = [Outcome(float(row["rounded"] > enough)) for row in table.rows.values()]
    fooled = [outcome(float(row["noise"] > enough)) for row in table.rows.values()]
    numbers = (
        table.number("target reached", table.of_images("reached")),
        table.number("target above .9999 after rounding to 8 bits", rounded),
        table.number("target is the likeliest", table.of_images("first")),
        table.number("probability of the target, before", table.of_images("before")),
        table.number("probability of the target, after", table.of_images("after")),
        table.number("probability of what is true, before", table.of_things("probability before")),
        table.number("probability of what is true, after", table.of_things("probability after")),
        table.number("steps", table.of_images("steps")),
        table.number("noise of the same size: target above .9999", fooled, control=True),
        table.number(
            "noise of the same size: probability of the target", table.of_images("noise"), control=True
        ),
        table.number(
            "noise of the same size: probability of what is true",
            table.of_things("probability noise"), control=True,
        ),
    )  # fmt: skip
    return Table(
        "What the attack reaches, a share of the images or a mean",
        numbers,
        f"Projected gradient towards the target: at most {steps} steps by the sign of the gradient, from "
        f"a random point of the box of {size:g}/255 around the image; it ends where the target has more "
        "than .9999 and, with a sigmoid for each class, every true class less than .5. Noise changes every "
        f"colour by {size:g}/255 up or down.",
    )


def pointing(table: Columns, method: str, of: str, radius: float | int) -> Table:
    """Whether maxima lie on the true objects."""

    def hits(key: str, *, known: bool = False) -> list[Outcome]:
        return table.of_things(key, method, known=known)

    before, after, noise = hits("hit before"), hits("hit after"), hits("hit noise")
    numbers = (
        table.number(f"true object's map, before{of}", before),
        table.number(f"true object's map, after{of}", after),
        table.number(f"after minus before{of}", _less(after, before)),
        table.number(
            f"true object's map, before, of what the model told before{of}", hits("hit before", known=True)
        ),
        table.number(
            f"true object's map, after, of what the model told before{of}", hits("hit after", known=True)
        ),
        table.number(f"own minus wrong, before{of}", hits("own minus wrong hit before")),
        table.number(f"own minus wrong, after{of}", hits("own minus wrong hit after")),
        table.number(
            f"own minus wrong, after minus before{of}",
            _less(hits("own minus wrong hit after"), hits("own minus wrong hit before")),
        ),
        table.number(f"true object's map, noise of the same size{of}", noise),
        table.number(f"noise minus before{of}", _less(noise, before)),
        table.number(f"target's map, before{of}", hits("goal before"), control=True),
        table.number(f"target's map, after{of}", hits("goal after"), control=True),
        table.number("mean activation, before", table.of_things("activation before"), control=True),
        table.number("mean activation, after", table.of_things("activation after"), control=True),
        table.number("centre point", table.of_things("centre"), control=True),
        table.number("random pixel", table.of_things("pixel"), control=True),
        table.number("random map", table.of_things("random"), control=True),
    )
    near = f"within {radius:g} pixels of" if radius else "on"
    return Table(
        f"Share of maps whose maximum lies {near} the true object{of}",
        numbers,
        "One map for each true class, answer or word, on the pixels of the image; the same object and mask "
        f"before and after. Own minus wrong: less the mean of up to {WRONG} maps of what is neither there "
        "nor the target, on the same mask. Intervals draw images.",
    )


def areas(table: Columns, method: str, of: str) -> Table:
    """How well whole maps tell the pixels of the true objects."""

    def found(key: str) -> list[Outcome]:
        return table.of_things(key, method)

    before, after = found("area before"), found("area after")
    return Table(
        f"Pixel ROC area of maps against the true object{of}",
        (
            table.number(f"area, before{of}", before),
            table.number(f"area, after{of}", after),
            table.number(f"area, after minus before{of}", _less(after, before)),
            table.number(f"area, own minus wrong, before{of}", found("own minus wrong area before")),
            table.number(f"area, own minus wrong, after{of}", found("own minus wrong area after")),
            table.number(f"area, noise of the same size{of}", found("area noise")),
            table.number(f"area, target's map, after{of}", found("area goal after"), control=True),
            table.number(
                "area, mean activation, before", table.of_things("area activation before"), control=True
            ),
            table.number(
                "area, mean activation, after", table.of_things("area activation after"), control=True
            ),
            table.number("area, random map", table.of_things("area random"), control=True),
        ),
        "The probability that a pixel of the object has a higher value than one outside; .5 knows nothing.",
    )


def likeness(table: Columns, method: str, of: str) -> Table:
    """How like the maps are to those before the attack."""

    def like(key: str) -> list[Outcome]:
        return table.of_things(key, method)

    return Table(
        f"Rank correlation with the true object's map before the attack{of}",
        (
            table.number(f"the same, after the attack{of}", like("like after")),
            table.number(f"the same, under noise of the same size{of}", like("like noise")),
            table.number(f"the target's map after the attack{of}", like("like goal")),
            table.number(f"maps of what is not there, before{of}", like("like wrong"), control=True),
            table.number(
                "mean activation after with that before", table.of_things("like activation"), control=True
            ),
        ),
        "Spearman's correlation on 14 x 14 cells of the image.",
    )


def targets(table: Columns, method: str, of: str) -> Table:
    """Where the map of the target lies."""
    return Table(
        f"Where the target's map lies after the attack{of}",
        (
            table.number(f"maximum on a true object{of}", table.of_targets("on true", method)),
            table.number(f"maximum on no object at all{of}", table.of_targets("background", method)),
            table.number(
                "mean activation on no object", table.of_images("background activation"), control=True
            ),
            table.number("centre point on no object", table.of_images("background centre"), control=True),
            table.number("random pixel on no object", table.of_images("background pixel"), control=True),
        ),
        "Shares of the images. In the paper's example the maps of the two likeliest classes lie on the "
        "background.",
    )


def answer_of(tables: Sequence[Table], method: str) -> str:
    """What the numbers of a method say, in a sentence or two; ``method`` is what their names end with."""
    named = {one.name: one for table in tables for one in table.numbers}
    of = method
    before, after = named[f"true object's map, before{of}"], named[f"true object's map, after{of}"]
    fell, noise = named[f"after minus before{of}"], named[f"noise minus before{of}"]
    centre, own = named["centre point"], named[f"own minus wrong, after{of}"]
    active = named["mean activation, after"]
    reached, first = named["target reached"], named["target is the likeliest"]
    if before.value is None or after.value is None or centre.value is None or reached.value is None:
        return "Too few maps have a maximum to say."
    ends = fell.interval
    least = after.value if after.interval is None else after.interval[0]
    beaten = [
        said for said, one in (("centre", centre), ("mean activation", active)) if least <= (one.value or 0)
    ]
    how = f"point at them no surer than {' and '.join(beaten)}" if beaten else "still point at them"
    sure = "" if ends is None or ends[0] > 0 or ends[1] < 0 else ", a difference that is not sure"
    lost = "" if fell.value is None else f" ({fell.value:+.2f}{sure}"
    lost += "" if noise.value is None or not lost else f"; noise of the same size {noise.value:+.2f}"
    lost += ")" if lost else ""
    text = (
        f"The target passed .9999 in {reached.value:.0%} of {reached.n} images and was the likeliest in "
        f"{first.value or 0:.0%}. The maps of the true objects {how}: {before.value:.2f} before, "
        f"{after.value:.2f} after{lost}, centre {centre.value:.2f}, mean activation {active.value or 0:.2f}"
    )
    if own.value is None or own.interval is None:
        return f"{text}."
    knows = "know" if own.interval[0] > 0 else "do not surely know"
    return f"{text}; they {knows} the object then: own minus wrong {own.value:+.2f}."
