"""Score the built-in captioner on its held-out scenes: the evaluations of ``vlx evaluate``, in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder, look
from vlx.eval.items.item import checked, drawn
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.runs.summary import Measured, measured
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method, grad_cam, guided_grad_cam
from vlx.scenes import held_out_scenes
from vlx.scenes.models import load_captioner

BATCH = 20
METHODS = (grad_cam, guided_grad_cam)


def score(
    task: Task,
    models: Models,
    folder: DataFolder,
    options: Options,
    methods: Sequence[Method] = METHODS,
) -> Measured:
    """The summaries of methods and controls over the same items, nothing kept on disk."""
    items = drawn(checked(task.items(folder, models.type, options)), options.limit, options.seed)

    def rows() -> Iterator[Row]:
        for at in tqdm(range(0, len(items), BATCH), desc=task.name, leave=False):
            yield from task.rows(models, items[at : at + BATCH], methods, options)

    return measured(task, rows(), task.protocol(options, models.type), options.seed)


def held_out_scores(limit: int | None = None, world: Path | None = None) -> list[Measured]:
    """Box ratio and word pointing on the held-out scenes, methods beside their controls.

    ``limit`` is how many scenes, drawn at random but always the same; ``world`` is a folder of other ones.
    Raises VlxError where it holds no scenes.
    """
    world = world or held_out_scenes()
    if not (world / "instances.json").is_file():
        raise VlxError(f"no scenes in {world}: write some with vlx scenes generate")
    models, folder = with_controls(load_captioner()), look(world)
    options = Options(limit=limit, captions=1)
    return [score(task, models, folder, options) for task in (BOXES, POINTING)]
