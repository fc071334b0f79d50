"""The study: name the neurons of a layer, tell decisions in these names, and see whether they are true.

Paper section 7 and appendix F, where it is shown on examples; here it is also measured.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.data.published import QUESTIONS_1, QUESTIONS_2
from vlx.eval.data.vqa import Question, read_questions
from vlx.eval.items.models import shuffled as shuffled_weights
from vlx.eval.items.models import type_of
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import data_folder
from vlx.images.files import write_whole
from vlx.studies.found import Findings, Picture, Table
from vlx.studies.kept import Facts, claim, kept_rows
from vlx.studies.neurons.agreement import (
    INHIBITIVE,
    KINDS,
    NAMED,
    SHUFFLED_NAMES,
    chance,
    hit,
    hits,
    same,
    shares,
)
from vlx.studies.neurons.broden import is_broden
from vlx.studies.neurons.concepts import Labelled, MaskData
from vlx.studies.neurons.decisions import Decision, again, decisions_in, row_of
from vlx.studies.neurons.drawn import study_pictures
from vlx.studies.neurons.explained import tell
from vlx.studies.neurons.named import Named, Neurons, all_facts, both_data, named, open_model
from vlx.studies.neurons.names import PAPER, called, detectors
from vlx.studies.neurons.numbers import (
    classes_table,
    detectors_table,
    hits_table,
    kinds_table,
    stability_table,
    zeroed_table,
)
from vlx.studies.neurons.says import answer, means_of, notes
from vlx.studies.neurons.zeroed import falls, groups_of
from vlx.studies.page import write_findings

Progress = Callable[[str], None]


def neurons_study(settings: Neurons, out: Path, told: Progress = print) -> Findings:
    """Measure textual explanations over a data set, write the findings to a folder and return them.

    A run that stopped goes on. Raises VlxError where the model or the data do not serve, and where the folder
    holds a study of other settings.
    """
    with repeatable(settings.threads):
        model = open_model(settings)
        data, masks = both_data(settings)
        facts = all_facts(settings, model, data, masks)
        claim(out, facts)
        of = named(model, masks, settings, out, told)
        write_whole(out / of.table.name, of.table.read_bytes())
        other = _shuffled(model, masks, settings, out, told)
        run = _Run(settings, out, data, of, other, told)
        found = replace(run.findings(), settings=facts)
    write_findings(out, found)
    return found


def _shuffled(model: Any, masks: MaskData, settings: Neurons, out: Path, told: Progress) -> Named | None:
    """The model with shuffled weights, dissected; None where it can give nothing to dissect."""
    try:
        copy = shuffled_weights(model, settings.seed)
        return named(copy, masks, settings, out, told, brought=False)
    except VlxError as error:
        told(f"without the control of shuffled weights: {error}")
        return None


def asked_of(settings: Neurons) -> Mapping[str, Sequence[Question]]:
    """The questions of a data folder by image, where it has any."""
    if is_broden(settings.data):
        return {}
    folder = data_folder(settings.data, settings.split)
    source = next((one for one in (QUESTIONS_1, QUESTIONS_2) if folder.has(one)), None)
    found: dict[str, list[Question]] = {}
    for one in () if source is None else read_questions(folder.path(source), lambda _: None).values():
        found.setdefault(str(one.image_id), []).append(one)
    return found


class _Run:
    """What one study has at hand."""

    def __init__(
        self, settings: Neurons, out: Path, data: MaskData, of: Named, other: Named | None, told: Progress
    ) -> None:
        self.settings, self.out, self.data, self.of, self.other = settings, out, data, of, other
        self.own_data = of.data is data
        self.told = told
        self.images = {one.id: one for one in data.images}
        self.left_out: Counter[str] = Counter(data.left_out)

    def findings(self) -> Findings:
        """All rows, then all tables."""
        asked = asked_of(self.settings) if type_of(self.of.model) == "vqa" else {}
        if type_of(self.of.model) == "vqa" and not asked:
            raise VlxError(f"{self.data.name} has no questions, whose answers a VQA model decides")
        make = row_of(self.of.model, self.data, asked, self.settings.seed)
        rows = self._rows("decisions", lambda image: make(image))
        mine = {name: decisions_in(name, row) for name, row in rows.items()}
        decisions = [one for some in mine.values() for one in some]
        if not decisions:
            raise VlxError(
                f"{self.settings.model} decides nothing of {self.data.name} that could be told: "
                f"{dict(self.left_out)}"
            )
        shuffled = self._of_shuffled(rows)
        lost = self._falls(mine)
        tables = self._tables(decisions, shuffled, lost)
        return Findings(
            "neurons",
            "Textual explanations",
            "Which concepts do the neurons detect that persuade and inhibit a decision, and is that true?",
            self._answer(tables),
            tables,
            {},
            tuple(self._pictures(decisions)),
            {
                name: count
                for name, count in (self.left_out + Counter(self.of.found.left_out)).items()
                if count
            },
            self._notes(decisions),
        )

    def names(self, image: str, of: Named | None = None) -> Any:
        """Names that an image had no part in; where other data name neurons it never has."""
        of = of or self.of
        return of.without(image) if self.own_data else of.names

    def _rows(self, file: str, make: Callable[[Labelled], Facts]) -> dict[str, Facts]:
        """One row an image, those that cannot be read left out."""

        def safely(name: str) -> Facts:
            try:
                return make(self.images[name])
            except VlxError as error:
                return {"left_out": type(error).__name__, "detail": " ".join(str(error).split())[:300]}

        names = list(self.images)
        rows = kept_rows(self.out / f"{file}.jsonl", names, safely, _every(self.told, file, 25))
        found: dict[str, Facts] = {}
        for name, row in zip(names, rows, strict=True):
            if "left_out" in row:
                self.left_out[f"{file}: {row['left_out']}"] += 1
            else:
                found[name] = row
        return found

    def _of_shuffled(self, rows: Mapping[str, Facts]) -> list[Decision | None]:
        """The same decisions in the model with shuffled weights, in the order of those of the trained one."""
        count = {name: len(row["decisions"]) for name, row in rows.items()}
        if self.other is None:
            return [None] * sum(count.values())
        model, found = self.other.model, list[Decision | None]()
        made = self._rows(
            "shuffled", lambda image: again(model, image, rows[image.id]) if image.id in rows else _NONE
        )
        for name, how_many in count.items():
            mine = decisions_in(name, made[name]) if name in made else []
            found += mine if len(mine) == how_many else [None] * how_many
        return found

    def _falls(self, mine: Mapping[str, Sequence[Decision]]) -> list[Facts]:
        """What each decision loses without some units, in the order of the decisions."""
        how, seed = self.settings.telling, self.settings.seed

        def groups(one: Decision) -> dict[str, list[int]]:
            return groups_of(one, self.data, self.names(one.image), how, seed)

        rows = self._rows("zeroed", lambda image: falls(self.of.model, image, mine.get(image.id, ()), groups))
        nothing: Facts = {"left_out": "not_run"}
        found: list[Facts] = []
        for name, some in mine.items():
            own = rows.get(name, {"falls": []})["falls"]
            found += own if len(own) == len(some) else [nothing] * len(some)
        return found

    def _tables(
        self, decisions: Sequence[Decision], shuffled: Sequence[Decision | None], lost: Sequence[Facts]
    ) -> tuple[Table, ...]:
        how, seed = self.settings.telling, self.settings.seed
        images = [one.image for one in decisions]
        each = [
            hits(
                one, self.data, self.names(one.image), how,
                permuted=self.of.permuted if self.of.given is None else None,
                shuffled=other,
                shuffled_names=None if self.other is None else self.names(one.image, self.other),
            )
            for one, other in zip(decisions, shuffled, strict=True)
        ]  # fmt: skip
        columns = {name: [one[name] for one in each] for name in each[0]}
        sides = self._sides(decisions)
        unit = "nats" if type_of(self.of.model) == "captioner" else "a difference of logits"
        chance, persuasive, inhibitive = sides[SHUFFLED_NAMES], sides[NAMED], sides[INHIBITIVE]
        optional = (
            kinds_table("persuasive", persuasive, chance, images, seed),
            kinds_table("inhibitive", inhibitive, chance, images, seed),
            zeroed_table(lost, images, unit, seed),
            self._classes(decisions),
            stability_table(self.of, seed),
        )
        return (
            hits_table(columns, images, how, seed),
            detectors_table(self.of, self.other),
            *(one for one in optional if one is not None),
        )

    def _sides(self, decisions: Sequence[Decision]) -> dict[str, dict[str, list[Outcome]]]:
        found: dict[str, dict[str, list[Outcome]]] = {
            side: {kind: [] for kind in KINDS} for side in (NAMED, INHIBITIVE, SHUFFLED_NAMES)
        }
        masks: dict[str, Any] = {}
        for one in decisions:
            if one.image not in masks:
                masks = {one.image: self.images[one.image].masks()}
            mine = shares(one, self.data, masks[one.image], self.names(one.image), self.settings.telling)
            for side, kinds in mine.items():
                for kind, outcome in kinds.items():
                    found[side][kind].append(outcome)
        return found

    def _classes(self, decisions: Sequence[Decision]) -> Table | None:
        """Whether the mean importance of all decisions for a thing names it."""
        how, names = self.settings.telling, self.of.names
        named_own: dict[str, bool] = {}
        by_chance: dict[str, float] = {}
        for target, own, mean, active in means_of(decisions):
            concept = self.data.concepts[own]
            found = tell(mean, names, how, active).persuasive
            named_own[target] = hit(found, concept, self.data.categories)
            every = [called(names, unit, how.iou) for unit in range(len(names))]
            bearers = [one for one in every if one is not None]
            mine = sum(same(one, concept, self.data.categories) for one in bearers)
            by_chance[target] = chance(len(bearers), mine, sum(one.name is not None for one in found))
        return classes_table(named_own, by_chance, how, self.settings.seed)

    def _answer(self, tables: Sequence[Table]) -> str:
        return answer(tables, self.settings.count, len(detectors(self.of.names, PAPER)), len(self.of.names))

    def _notes(self, decisions: Sequence[Decision]) -> tuple[str, ...]:
        return notes(self.settings, self.of, self.other, self.data, decisions)

    def _pictures(self, decisions: Sequence[Decision]) -> list[Picture]:
        return study_pictures(self.settings, self.of, self.other, self.data, decisions, self.names)


_NONE: Facts = {"activity": [], "decisions": []}


def _every(told: Progress, what: str, step: int) -> Progress:
    """Hand on one line in so many, after what it is about."""
    seen = 0

    def some(line: str) -> None:
        nonlocal seen
        seen += 1
        if seen % step == 0:
            told(f"{what} {line}")

    return some
