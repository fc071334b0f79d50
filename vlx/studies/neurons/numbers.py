"""The tables of the study, made of decisions and names."""

from collections import Counter
from collections.abc import Mapping, Sequence

from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome, summarise, summarise_all
from vlx.studies.found import Number, Table, number_of
from vlx.studies.neurons.agreement import (
    KINDS,
    NAMED,
    OTHER,
    PERMUTED,
    RANDOM,
    SHUFFLED_NAMES,
    SHUFFLED_WEIGHTS,
    stable,
)
from vlx.studies.neurons.explained import Telling
from vlx.studies.neurons.named import Named
from vlx.studies.neurons.names import DETECTOR, PAPER, Names, called, detectors
from vlx.studies.neurons.zeroed import ALIKE, BEARERS, ELSEWHERE, GROUPS
from vlx.studies.neurons.zeroed import RANDOM as RANDOM_UNITS

Columns = Mapping[str, Sequence[Outcome]]
_CONTROLS = (OTHER, RANDOM, SHUFFLED_NAMES, PERMUTED, SHUFFLED_WEIGHTS)
_NOT_DISSECTED = "not_dissected"


def hits_table(columns: Columns, images: Sequence[str], how: Telling, seed: int) -> Table:
    """How often neurons name what is decided for."""
    kept = {name: some for name, some in columns.items() if not _missing(some)}
    found = summarise_all(kept, dict.fromkeys(kept, images), seed=seed)
    numbers = [number_of(name, one, control=name in _CONTROLS) for name, one in found.items()]
    for control in (OTHER, SHUFFLED_NAMES):
        less = [difference(a, b, "control") for a, b in zip(columns[NAMED], columns[control], strict=True)]
        one = summarise(less, images, seed=seed)
        numbers.append(number_of(f"{NAMED} minus {control}", one))
    return Table(
        f"Share of decisions for which one of the {how.count} most persuasive neurons is named by what is "
        "decided for",
        tuple(numbers),
        f"A neuron has a name where its IoU is above {how.iou:g}; names of an image are found without it "
        "and the eighth of the images that it was drawn into. Random neurons: the exact probability that "
        "as many units, drawn at random, hit; shuffled names: the same of names handed out anew among the "
        "neurons that have one. Persuasive for what the image does not show: the neurons of another "
        "decision at the same place, of the same category. Names from the labels of other images: each "
        "activation compared with the labels of another image. Shuffled weights: importances and names of "
        "a model whose weights stand in random order. Intervals draw images.",
    )  # fmt: skip


def kinds_title(side: str) -> str:
    """What the table of kinds of names is called."""
    return f"What the names of {side} neurons are"


def kinds_table(
    side: str, columns: Columns, chance: Columns, images: Sequence[str], seed: int
) -> Table | None:
    """What the names on one side are, beside those of all detectors; None where no neuron there is named."""
    if all(one.value is None for one in columns[KINDS[0]]):
        return None
    found = summarise_all(columns, dict.fromkeys(columns, images), seed=seed)
    other = summarise_all(chance, dict.fromkeys(chance, images), seed=seed)
    numbers = [number_of(kind, found[kind]) for kind in KINDS]
    numbers += [number_of(f"{kind}, {SHUFFLED_NAMES}", other[kind], control=True) for kind in KINDS]
    return Table(
        kinds_title(side),
        tuple(numbers),
        "The mean share over decisions with a named neuron on that side. Shuffled names: the share among all "
        "detectors.",
    )


def detectors_table(of: Named, shuffled: Named | None) -> Table:
    """How many units detect what, beside names that must mean nothing."""
    rows: list[Number] = []
    sources: list[tuple[str, Names, bool]] = [("", of.names, False), (f", {PERMUTED}", of.permuted, True)]
    if shuffled is not None:
        sources.append((f", {SHUFFLED_WEIGHTS}", shuffled.names, True))
    for end, names, control in sources:
        for least in (DETECTOR, PAPER):
            rows.append(_count(f"IoU above {least:g}{end}", len(detectors(names, least)), names, control))
        distinct = {called(names, unit, PAPER) for unit in detectors(names, PAPER)}
        rows.append(_count(f"different names, IoU above {PAPER:g}{end}", len(distinct), names, control))
        by = Counter(one.category for unit in detectors(names, PAPER) if (one := called(names, unit, PAPER)))
        for category in of.data.categories:
            rows.append(_count(f"{category}, IoU above {PAPER:g}{end}", by[category], names, control))
    rows.append(_count("nowhere active", of.found.dead, of.names, False))
    if shuffled is not None:
        rows.append(_count(f"nowhere active, {SHUFFLED_WEIGHTS}", shuffled.found.dead, shuffled.names, True))
    return Table(
        "Units that are detectors",
        tuple(rows),
        "Of n units. A unit's name is the concept of the highest IoU between its activation above its "
        "threshold and the concept's labels, over all images, its activation counted in those with labels "
        "of the concept's category (Bau et al. 2017). Both codes of Network Dissection call it a detector "
        "above .04, the paper tells names above .05.",
    )


def _count(name: str, count: int, names: Names, control: bool) -> Number:
    return Number(name, float(count), len(names), control=control, digits=0)


def stability_table(of: Named, seed: int) -> Table | None:
    """Whether units have the same name in two halves of the images; None where no unit has two."""
    same, by_chance = stable(*of.halves, PAPER)
    if by_chance is None:
        return None
    found = number_of("the same name in both halves", summarise(same, seed=seed))
    rows = [found, Number("the same, names handed out anew", by_chance, len(same), control=True)]
    if of.given is not None:
        rows.append(_agreement_with_given(of, seed))
    return Table(
        "Stability of names",
        tuple(rows),
        f"Of the units that both halves of the images name by an IoU above {PAPER:g}. Chance: the sum over "
        "names of the product of their shares in both halves. The interval draws units.",
    )


def _agreement_with_given(of: Named, seed: int) -> Number:
    """Of units that the table and the data both name, how many by the same word."""
    assert of.given is not None
    pairs = [(called(of.given, unit, PAPER), called(of.own, unit, PAPER)) for unit in range(len(of.given))]
    same = [
        float(one.shown.casefold() == other.shown.casefold())
        for one, other in pairs
        if one is not None and other is not None
    ]
    return number_of("the name of the table is that of these data", summarise(same, seed=seed))


def zeroed_table(
    falls: Sequence[Mapping[str, object]], images: Sequence[str], unit: str, seed: int
) -> Table | None:
    """How far scores fall without neurons; None where no decision could be run without some."""
    if all("left_out" in one for one in falls):
        return None

    def column(name: str) -> list[Outcome]:
        return [
            Outcome(None, str(one["left_out"])) if "left_out" in one else _value(one.get(name))
            for one in falls
        ]

    names = (*GROUPS, ELSEWHERE)
    found = summarise_all({name: column(name) for name in names}, dict.fromkeys(names, images), seed=seed)
    controls = (ALIKE, RANDOM_UNITS, ELSEWHERE)
    numbers = [number_of(name, found[name], control=name in controls) for name in names]
    less = [difference(a, b, "control") for a, b in zip(column(BEARERS), column(ALIKE), strict=True)]
    numbers.append(number_of(f"{BEARERS} minus {ALIKE}", summarise(less, images, seed=seed)))
    return Table(
        f"How far the score falls ({unit}) when neurons are set to 0",
        tuple(numbers),
        "The activations of some units are set to 0 at every place, and the part above the layer is run "
        "again. Of the decisions for which some unit bears the name of what is decided for, found without "
        "the image. As active: for each unit the one of another name whose mean activation in the image is "
        "nearest. The last control is the fall of the score of what the image does not show, without the "
        "same neurons. Intervals draw images.",
    )


def _value(value: object) -> Outcome:
    return Outcome(float(value)) if isinstance(value, float | int) else Outcome(None, "no_other")


def classes_table(
    by_class: Mapping[str, bool], chance: Mapping[str, float], how: Telling, seed: int
) -> Table | None:
    """Whether the mean importance over all images of a class names it."""
    if not by_class:
        return None
    names = list(by_class)
    own = summarise([float(by_class[name]) for name in names], seed=seed)
    other = summarise([chance[name] for name in names], seed=seed)
    return Table(
        "Share of classes, answers or words that the mean of importances over all their decisions names",
        (
            number_of(f"the {how.count} most persuasive neurons", own),
            number_of(f"the same, {SHUFFLED_NAMES}", other, control=True),
        ),
        "The importances of all decisions for the same thing are averaged, and the neurons of the highest "
        "mean told. Names are of all images. The interval draws classes.",
    )


def _missing(column: Sequence[Outcome]) -> bool:
    return all(one.left_out == _NOT_DISSECTED for one in column)
