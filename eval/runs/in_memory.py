"""An evaluation in memory: the summaries alone, nothing kept on disk and nothing to go on from."""

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from vlx.eval.data.folder import DataFolder
from vlx.eval.items.item import checked, drawn
from vlx.eval.items.models import Models
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.runs.summary import Measured, measured
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method

BATCH = 20


def measure_in_memory(
    task: Task, models: Models, folder: DataFolder, options: Options, methods: Sequence[Method]
) -> Measured:
    """The summaries of methods and controls over the same items, as those of a run with batches of 20."""
    items = drawn(checked(task.items(folder, models.type, options)), options.limit, options.seed)

    def rows() -> Iterator[Row]:
        for at in tqdm(range(0, len(items), BATCH), desc=task.name, leave=False):
            yield from task.rows(models, items[at : at + BATCH], methods, options)

    return measured(task, rows(), task.protocol(options, models.type), options.seed)
