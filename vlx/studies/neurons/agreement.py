"""Whether the names of a decision's neurons agree with what is known of the image, beside what knows nothing.

Chance is exact where it can be: of k of U units drawn at random, of which m bear a name, at least one does
with probability 1 - C(U - m, k) / C(U, k).
"""

from collections.abc import Callable, Mapping, Sequence
from math import comb

from vlx.eval.measures.statistics import Outcome
from vlx.studies.neurons.concepts import Concept, MaskData, Masks
from vlx.studies.neurons.decisions import Decision
from vlx.studies.neurons.explained import Neuron, Telling, Told, tell
from vlx.studies.neurons.names import Names, called

OWN = "what is decided for"
ON_IT = "what lies on it, such as its colour"
SAME_HERE = "another of its category that the image shows"
ELSE_HERE = "something else that the image shows"
SAME_ABSENT = "another of its category that the image does not show"
ELSE_ABSENT = "something else that the image does not show"
KINDS = (OWN, ON_IT, SAME_HERE, ELSE_HERE, SAME_ABSENT, ELSE_ABSENT)
"""What a name can be, beside what is decided and what the image shows."""

NAMED = "persuasive neurons"
INHIBITIVE = "inhibitive neurons"
OTHER = "persuasive for what the image does not show"
RANDOM = "random neurons"
SHUFFLED_NAMES = "shuffled names"
PERMUTED = "names from the labels of other images"
SHUFFLED_WEIGHTS = "shuffled weights"
_NO_CONCEPT = Outcome(None, "no_concept_of_that_name")
_NO_NAMES = Outcome(None, "no_named_neuron")


def same(name: Concept, concept: Concept, categories: Sequence[str]) -> bool:
    """Whether a name means a concept of the data: names from elsewhere may be of other categories.

    >>> from vlx.studies.neurons.concepts import Concept
    >>> dog = Concept("object", "dog")
    >>> same(Concept("animal", "dog"), dog, ["object", "colour"])
    True
    >>> same(Concept("colour", "orange"), Concept("object", "orange"), ["object", "colour"])
    False
    """
    alike = name.shown.casefold() == concept.shown.casefold()
    return alike and (name.category == concept.category or name.category not in categories)


def hit(neurons: Sequence[Neuron], concept: Concept, categories: Sequence[str]) -> bool:
    """Whether any of some neurons is named by a concept."""
    return any(
        one.name is not None and same(Concept(one.category, one.name), _shown(concept), categories)
        for one in neurons
    )


def _shown(concept: Concept) -> Concept:
    return Concept(concept.category, concept.shown)


def chance(units: int, named: int, drawn: int) -> float:
    """The probability that at least one of some units drawn at random bears a name.

    >>> chance(units=4, named=1, drawn=2), chance(4, 0, 2), chance(4, 4, 0)
    (0.5, 0.0, 0.0)
    """
    return 1 - comb(units - named, drawn) / comb(units, drawn)


def hits(
    one: Decision,
    data: MaskData,
    names: Names,
    how: Telling,
    *,
    permuted: Names | None = None,
    shuffled: Decision | None = None,
    shuffled_names: Names | None = None,
) -> dict[str, Outcome]:
    """Whether neurons name what is decided for, by whose neurons and names; left out where it is no concept.

    ``permuted`` are names from other images' labels; ``shuffled`` is the decision in the model with shuffled
    weights, and ``shuffled_names`` are those of its neurons.
    """
    kinds = [NAMED, INHIBITIVE, OTHER, RANDOM, SHUFFLED_NAMES, PERMUTED, SHUFFLED_WEIGHTS]
    if one.own is None:
        return dict.fromkeys(kinds, _NO_CONCEPT)
    own = data.concepts[one.own]

    def outcome(neurons: Sequence[Neuron]) -> Outcome:
        return Outcome(float(hit(neurons, own, data.categories)))

    mine = tell(one.importance, names, how, one.activity)
    bearers = sum(
        (name := called(names, unit, how.iou)) is not None and same(name, own, data.categories)
        for unit in range(len(names))
    )
    detectors = sum(called(names, unit, how.iou) is not None for unit in range(len(names)))
    taken = len(mine.persuasive)
    found = {
        NAMED: outcome(mine.persuasive),
        INHIBITIVE: outcome(mine.inhibitive),
        OTHER: Outcome(None, "no_other"),
        RANDOM: Outcome(chance(detectors if how.order == "filter" else len(names), bearers, taken)),
        SHUFFLED_NAMES: Outcome(chance(detectors, bearers, sum(x.name is not None for x in mine.persuasive))),
        PERMUTED: Outcome(None, "not_dissected"),
        SHUFFLED_WEIGHTS: Outcome(None, "not_dissected"),
    }
    if one.other_importance is not None:
        found[OTHER] = outcome(tell(one.other_importance, names, how, one.activity).persuasive)
    if permuted is not None:
        found[PERMUTED] = outcome(tell(one.importance, permuted, how, one.activity).persuasive)
    if shuffled is not None and shuffled_names is not None:
        found[SHUFFLED_WEIGHTS] = outcome(
            tell(shuffled.importance, shuffled_names, how, shuffled.activity).persuasive
        )
    return found


def kinds_of(one: Decision, data: MaskData, masks: Masks) -> Callable[[Concept], str]:
    """What a name is to a decision about an image with these masks; the decision is for a concept."""
    assert one.own is not None
    own, mine = data.concepts[one.own], masks.get(one.own)

    def kind(name: Concept) -> str:
        if same(name, own, data.categories):
            return OWN
        place = next((at for at, x in enumerate(data.concepts) if same(name, x, data.categories)), None)
        alike = place is not None and data.concepts[place].category == own.category
        if place is None or place not in masks:
            return SAME_ABSENT if alike else ELSE_ABSENT
        if alike:
            return SAME_HERE
        return ON_IT if mine is not None and bool((mine & masks[place]).any()) else ELSE_HERE

    return kind


def shares(
    one: Decision, data: MaskData, masks: Masks, names: Names, how: Telling
) -> Mapping[str, dict[str, Outcome]]:
    """Of the named neurons on either side, and of all detectors, the share whose name is of each kind."""
    if one.own is None:
        return {side: dict.fromkeys(KINDS, _NO_CONCEPT) for side in (NAMED, INHIBITIVE, SHUFFLED_NAMES)}
    kind = kinds_of(one, data, masks)
    mine: Told = tell(one.importance, names, how, one.activity)
    everything = [called(names, unit, how.iou) for unit in range(len(names))]
    of_all = [kind(name) for name in everything if name is not None]
    return {
        NAMED: _shares([kind(_concept(x)) for x in mine.persuasive if x.name is not None]),
        INHIBITIVE: _shares([kind(_concept(x)) for x in mine.inhibitive if x.name is not None]),
        SHUFFLED_NAMES: _shares(of_all),
    }


def _concept(one: Neuron) -> Concept:
    return Concept(one.category, one.name or "")


def _shares(kinds: Sequence[str]) -> dict[str, Outcome]:
    if not kinds:
        return dict.fromkeys(KINDS, _NO_NAMES)
    return {kind: Outcome(kinds.count(kind) / len(kinds)) for kind in KINDS}


def stable(first: Names, second: Names, least: float) -> tuple[list[float], float | None]:
    """Of units that two halves of the images both name, which have the same name; and how often by chance.

    Chance is that of names handed out anew among these units: the sum over names of the product of their
    shares. None where no unit has two names.

    >>> from vlx.studies.neurons.concepts import Concept
    >>> from vlx.studies.neurons.names import Name
    >>> dog, cat = Name(Concept("object", "dog"), 0.5), Name(Concept("object", "cat"), 0.5)
    >>> stable((dog, cat, None), (dog, dog, dog), 0.05)
    ([1.0, 0.0], 0.5)
    """
    pairs = [
        (one, other)
        for unit in range(len(first))
        if (one := called(first, unit, least)) is not None
        and (other := called(second, unit, least)) is not None
    ]
    if not pairs:
        return [], None
    left, right = [one for one, _ in pairs], [other for _, other in pairs]
    by_chance = sum(left.count(name) * right.count(name) for name in set(left)) / len(pairs) ** 2
    return [float(one == other) for one, other in pairs], by_chance
