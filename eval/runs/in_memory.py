"""An evaluation in memory: the summaries alone, nothing kept on disk and nothing to go on from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from vlx.errors import VlxError, near_names
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.records import DataError
from vlx.eval.items.item import Item, checked, drawn
from vlx.eval.items.models import Models, ModelType, types_of, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.truth import Boxes, HumanFiles, Pixels, Present, Region, Segments
from vlx.eval.runs.collected import measured
from vlx.eval.runs.isolated import check_model, rows_of
from vlx.eval.runs.methods import chosen_methods
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import SCENES, asks, data_folder
from vlx.eval.runs.summary import Measured
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING, CLASSES_REJECT
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.seeds import SEEDS
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method, grad_cam

BATCH = 20


def evaluate(
    model: Any,
    data: str | Path | DataFolder | Sequence[Item] = SCENES,
    methods: Method | str | Sequence[Method | str] = grad_cam,
    *,
    task: Task | str | None = None,
    options: Options | None = None,
    batch: int = BATCH,
) -> Measured:
    """Score methods on a model that is in hand, beside their controls on the same items; nothing is written.

    ``model`` is any that explanations take, and is left as it is. ``data`` are a folder (see `vlx data
    check`), ``scenes`` for the built-in world, or items of your own. Methods are values, such as
    `vlx.grad_cam_with` and `vlx.occlusion_with` make them or your own `vlx.Method`, or names. ``task`` is
    an evaluation or its name; by default it is the first of boxes, pointing, attention, occlusion and
    sanity that the model and the data are for. ``batch`` items are read together.

    ``alone`` of the result has a summary for every row of the table, by its label; printed, the result is
    that table. Raises VlxError where model, data, task and methods do not go together.

    >>> from vlx.eval.items.options import Options
    >>> methods = [vlx.grad_cam, vlx.grad_cam_with(pool="max"), vlx.occlusion_with(size=64, stride=64)]
    >>> few = Options(limit=2, captions=1)
    >>> found = vlx.eval.evaluate(captioner, "scenes", methods, task="pointing", options=few)
    >>> [name for name in found.alone if name in {method.name for method in methods}]
    ['grad_cam', 'grad_cam_max_pool', 'occlusion_64_64']
    """
    if batch < 1:
        raise VlxError(f"a batch of {batch} items: give 1 or more")
    asked = options or Options()
    does = types_of(model)
    given = _given(data)
    evaluation = _task(task, does, given, replace(asked, wrong=0))
    chosen = evaluation.options_for(asked)
    named = chosen_methods(evaluation, methods)
    questions = asks(given) if isinstance(given, DataFolder) else any(map(_is_question, given))
    models = evaluation.takes(with_controls(model, chosen.seed), questions=questions)
    found = evaluation.items(given, models.type, chosen) if isinstance(given, DataFolder) else given
    items = drawn(checked(found), chosen.limit, chosen.seed)
    if not items:
        raise VlxError(f"the data hold nothing to measure for {evaluation.name}")
    with repeatable(None):
        return _measured(evaluation, models, items, chosen, named, batch)


def measure_in_memory(
    task: Task, models: Models, folder: DataFolder, options: Options, methods: Sequence[Method]
) -> Measured:
    """The summaries of methods and controls over the same items, as those of a run with batches of 20."""
    models, options = task.takes(models, questions=asks(folder)), task.options_for(options)
    items = drawn(checked(task.items(folder, models.type, options)), options.limit, options.seed)
    return _measured(task, models, items, options, methods, BATCH)


def _measured(
    task: Task,
    models: Models,
    items: Sequence[Item],
    options: Options,
    methods: Sequence[Method],
    batch: int,
) -> Measured:
    name = str(getattr(models.trained, "name", type(models.trained).__name__))
    check_model(task, name, models, items, methods, options)

    def rows() -> Iterator[Row]:
        for at in tqdm(range(0, len(items), batch), desc=task.name, leave=False):
            yield from rows_of(task, models, items[at : at + batch], methods, options)

    return measured(task, rows(), task.protocol(options, models.type), options.seed)


def _given(data: Any) -> DataFolder | list[Item]:
    """A data folder, or items. Raises VlxError for anything else."""
    if isinstance(data, DataFolder):
        return data
    if isinstance(data, str | Path):
        return data_folder(str(data))
    found = list(cast("Sequence[Any]", data)) if isinstance(data, Sequence) else [data]
    for one in found:
        if not isinstance(one, Item):
            raise VlxError(
                f"{one!r} is no item: give a data folder, or items made with vlx.eval.items.item.Item"
            )
    return cast("list[Item]", found)


def _is_question(item: Item) -> bool:
    return item.question_id is not None or bool(item.answer)


def _task(
    given: Task | str | None, does: Sequence[ModelType], data: DataFolder | list[Item], options: Options
) -> Task:
    """The evaluation that is named, or the first that serves; ``options`` are those of its items."""
    if isinstance(given, Task):
        return given
    names = {task.name: task for task in TASKS}
    if given is not None:
        if given not in names:
            raise VlxError(f"no evaluation {given!r}{near_names(given, names)}; known: {', '.join(names)}")
        return names[given]
    if not isinstance(data, DataFolder):
        truth = next((item.truth for item in data if item.truth is not None), None)
        classes = "classifier" in does
        by_truth: dict[type, Task] = {Region: BOXES, HumanFiles: ATTENTION}
        by_truth |= {Segments: CLASSES_POINTING if classes else POINTING}
        by_truth |= {Boxes: LOCALISATION, Present: CLASSES_REJECT, Pixels: SEEDS}
        return by_truth.get(type(truth), OCCLUSION) if truth is not None else OCCLUSION
    for task in TASKS:
        served: list[ModelType] = [one for one in task.model_types if one in does]
        try:
            if served and task.items(data, served[0], options):
                return task
        except DataError:
            continue  # its files are missing
    raise VlxError(f"{data.root} holds nothing that an evaluation of a {does[0]} reads: see vlx data check")
