"""What makes an evaluation: its items, how a batch of them becomes rows, and what it says it measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder
from vlx.eval.items.control_maps import CONTROLS, RANDOM_WEIGHTS
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType, types_of
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Numbers, Row
from vlx.eval.measures.drawn import Statistic
from vlx.eval.measures.statistics import Outcome
from vlx.methods.values import Method
from vlx.passes.targets import Target

Across = Callable[[Mapping[str, Sequence[Outcome]], Sequence[str]], Mapping[str, Sequence[Outcome]]]
"""From the columns of all items of a method, with their images, to further ones."""


@dataclass(frozen=True, eq=False)
class Task:
    """One evaluation as a value."""

    name: str
    title: str
    """For a heading, with what a number of it means."""
    model_types: tuple[ModelType, ...]
    """The models it is for; one that does several of these things is taken for the first."""
    items: Callable[[DataFolder, ModelType, Options], list[Item]]
    target: Callable[[Options, Opened, int], Target | LeftOut]
    """What is explained of the item at a position."""
    rows: Callable[[Models, Sequence[Item], Sequence[Method], Options], list[Row]]
    protocol: Callable[[Options, ModelType], str]
    """One sentence or several, printed beside every number."""
    controls: tuple[str, ...] = CONTROLS
    """Columns of what knows nothing, beside the score."""
    wrong: bool = False
    """Whether an item names a category, so that maps of words of absent ones are scored beside its own."""
    extras: tuple[str, ...] = ()
    """Columns of the method's map beyond its score."""
    facts: tuple[str, ...] = ()
    """Columns that are the same for every method, beyond the controls."""
    said: Mapping[str, str] = field(default_factory=dict[str, str])
    """How a table calls a column, where its name with blanks does not do."""
    shared: tuple[str, ...] = ("mean_activation", "centre_prior", "random_map")
    """Controls that are the same for every method."""
    median: bool = False
    """Whether the median stands for the scores, as for ratios, of which a few huge ones make the mean."""
    people: bool = False
    """Whether maps are compared with what people did: built-in scenes simulate them, and a title says so."""
    span: tuple[float, float] | None = None
    """The lowest and the highest score there can be; None where there is no highest."""
    methods: tuple[Method, ...] = ()
    """What stands in the place of the methods that are asked for, where none of them matters."""
    statistics: Callable[[Sequence[Numbers], int], Mapping[str, Statistic]] | None = None
    """What is asked for where it is no mean over items: numbers of all rows and a seed, by their labels."""
    kept: tuple[str, ...] = ()
    """Columns that stand with every item and in no table: `across` reads them."""
    across: Across | None = None
    """Further rows of the table, found from all items of a method at once, such as those at a threshold
    that is chosen on other images."""
    across_shared: tuple[str, ...] = ()
    """Those of them that are the same for every method."""
    by_category: bool = False
    """Whether the mean over categories is the field's number, so that every row of the table has one."""
    shuffled_by_choice: bool = False
    """Whether it can be asked without the control of shuffled weights."""
    costly: bool = False
    """Whether an item takes hundreds of runs, so that an evaluation of everything takes few images."""

    def takes(self, models: Models, *, questions: bool = True) -> Models:
        """Models as this evaluation takes them; without ``questions`` one that also captions does that.

        Raises VlxError where it is for others.
        """
        does = types_of(models.trained)
        served = [one for one in self.model_types if one in does]
        if not questions and len(served) > 1:
            served = [one for one in served if one != "responder"]
        if not served:
            wanted = " or ".join(self.model_types)
            name = getattr(models.trained, "name", type(models.trained).__name__)
            raise VlxError(f"{self.name} needs a {wanted}, and {name} is a {does[0]}")
        return replace(models, taken_as=served[0])

    @property
    def comparable(self) -> bool:
        """Whether the score and its controls are scores alike, so that they can be subtracted."""
        return bool(self.shared)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column with an outcome, in the order of the table, then those that stand in none."""
        wrong = (OWN_MINUS_WRONG,) if self.wrong else ()
        return (SCORE, *self.controls, *wrong, *self.extras, *self.facts, *self.kept)

    def options_for(self, options: Options) -> Options:
        """The options as this evaluation takes them: wrong words are for one that has them, and so on."""
        taken = options if self.wrong else replace(options, wrong=0)
        return taken if self.shuffled_by_choice else replace(taken, shuffled=True)

    def columns_for(self, options: Options) -> tuple[str, ...]:
        """The columns of a run with these options: what is not asked for has none."""
        absent = {OWN_MINUS_WRONG: not options.wrong, RANDOM_WEIGHTS: not options.shuffled}
        return tuple(one for one in self.columns if not absent.get(one))

    def of_people(self, options: Options) -> bool:
        """Whether people decide what is measured: they looked at the images, or gave the answers."""
        return self.people or options.answer == "human"

    def told(self, options: Options, model_type: ModelType, simulated: bool) -> tuple[str, str]:
        """Title and protocol; people that are simulated are called so."""
        title, protocol = self.title, self.protocol(options, model_type)
        if not (simulated and self.of_people(options)):
            return title, protocol
        who = (
            "attention maps and answers"
            if self.people and options.answer == "human"
            else ("attention maps" if self.people else "answers")
        )
        title = f"Simulated {title[0].lower()}{title[1:]}" if self.people else title
        return title, f"{protocol}. The {who} are simulated: of no person"

    def label(self, column: str, method: str) -> str:
        """How a table calls a column of a method."""
        if column == SCORE and column not in self.said:
            return method
        name = self.said.get(column, column.replace("_", " "))
        alike = (*self.shared, *self.facts, *self.across_shared)
        return name if column in alike else f"{method}, {name}"
