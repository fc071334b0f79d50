"""What a person asks for, and what it takes before the first batch: data, model, items, settings."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import torch

from vlx.errors import Notice, VlxError
from vlx.eval.data.folder import DataFolder, look
from vlx.eval.data.published import QUESTIONS_1, QUESTIONS_2
from vlx.eval.items.item import Item, checked, digest, drawn
from vlx.eval.items.models import Models, in_precision, set_precision, weights_digest, with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.fingerprints import model_digests
from vlx.eval.runs.isolated import allowed_methods
from vlx.eval.runs.methods import chosen_methods, told
from vlx.eval.runs.settings import Settings, Shard
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method, grad_cam
from vlx.scenes import held_out_scenes

VERSIONS = (
    "vlx", "torch", "torchvision", "transformers", "tokenizers", "numpy", "scipy", "Pillow", "pycocotools",
    "nltk",
)  # fmt: skip
"""Packages that a row may depend on."""
SCENES = "scenes"
"""The data that come with the package; ``scenes/voc`` and the like are the same, laid out otherwise."""


@dataclass(frozen=True)
class Request:
    """What a person asks for, the same for every evaluation."""

    model: str
    data: str = SCENES
    methods: tuple[Method | str, ...] = ("grad_cam",)
    """By themselves, such as `vlx.occlusion_with`, or by their names; of none those that an evaluation
    usually compares (`Task.usual`), as far as the model allows them."""
    layer: str | int | None = None
    split: str | None = None
    batch: int = 16
    device: str = "cpu"
    precision: str = "float32"
    threads: int | None = None
    """CPU threads of one worker; None takes what torch would."""
    damaged: float = 0.05
    options: Options = field(default_factory=Options)
    shard: Shard | None = None
    engine: Literal["local", "ray"] = "local"
    workers: int = 1
    """Of Ray, each with a model of its own."""
    progress: bool = True


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run that could begin."""

    models: Models
    items: Sequence[Item]
    methods: Sequence[Method]
    settings: Settings
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """The methods usually compared that the model does not allow, with the reasons."""


def prepare(task: Task, request: Request, loaded: Models | None = None) -> Prepared:
    """Load the model unless it is, list the items and fix the settings; CPU threads are those of now."""
    methods = chosen_methods(task, request.methods) if request.methods or task.methods else []
    models = loaded or load_models(request)
    task.takes(models)
    folder = data_folder(request.data, request.split)
    models = task.takes(models, questions=asks(folder))
    items = items_for(task, models, request, folder)
    left_out: dict[str, str] = {}
    if not methods and not task.usual:
        methods = [grad_cam]
    elif not methods:
        options = task.options_for(request.options)
        methods, left_out = allowed_methods(task, request.model, models, items, task.usual, options)
        for name, why in left_out.items():
            warnings.warn(f"{task.name}: {name} is not measured: {why}", Notice, stacklevel=2)
    settings = settings_for(task, request, models, items, methods, torch.get_num_threads())
    return Prepared(models, items, methods, settings, left_out)


def data_folder(data: str, split: str | None = None) -> DataFolder:
    """The folder of some data; ``scenes`` is the held-out part of the built-in world.

    ``scenes/ilsvrc``, ``scenes/kaggle`` and ``scenes/voc`` are the same, laid out as those data are; a folder
    of this name comes first.
    """
    if data.startswith(f"{SCENES}/") and not os.path.isdir(data):
        return look(held_out_scenes(layout=data.removeprefix(f"{SCENES}/")), split)
    if data != SCENES:
        return look(data, split)
    world = held_out_scenes()
    if not (world / "instances.json").is_file():
        raise VlxError(
            f"no scenes in {world}: write some with vlx scenes generate, and give --data their folder"
        )
    return look(world)


def load_models(request: Request) -> Models:
    """The model in its precision, with its copies under shuffled weights."""
    from vlx.load import load

    model = load(request.model, layer=request.layer, device=request.device)
    return with_controls(set_precision(model, request.precision), request.options.seed)


def controlled(model: Any, request: Request) -> Models:
    """A model, or a copy in the precision that is asked for, with its copies under shuffled weights."""
    return with_controls(in_precision(model, request.precision), request.options.seed)


def asks(folder: DataFolder) -> bool:
    """Whether a data folder holds questions."""
    return folder.has(QUESTIONS_1) or folder.has(QUESTIONS_2)


def items_for(task: Task, models: Models, request: Request, folder: DataFolder) -> list[Item]:
    """The items to measure, in their order. Raises VlxError where the data do not serve."""
    found = task.items(folder, models.type, task.options_for(request.options))
    items = drawn(checked(found), request.options.limit, request.options.seed)
    if not items:
        raise VlxError(f"{request.data} holds nothing to measure for {task.name}")
    return items


def settings_for(
    task: Task,
    request: Request,
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    threads: int,
) -> Settings:
    """Everything that decides what the rows will be, but for the bytes of images and human maps.

    Those stand with each batch (see `vlx.eval.items.files`).
    """
    return Settings(
        task=task.name,
        model=request.model,
        model_type=models.type,
        weights=weights_digest(models.trained),
        layer=str(getattr(models.trained, "layer", "")),
        methods=tuple(map(told, methods)),
        items=digest(items),
        count=len(items),
        batch=request.batch,
        device=_device(request.device),
        precision=request.precision,
        threads=threads,
        damaged=request.damaged,
        options=task.options_for(request.options),
        versions={name: version_of(name) for name in VERSIONS},
        more=model_digests(models.trained),
        simulated=task.of_people(request.options) and data_folder(request.data, request.split).simulated,
    )


def _device(name: str) -> str:
    """What computes: digits may differ between two model_types of GPU."""
    device = torch.device(name)
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def version_of(package: str) -> str:
    """The version of a package, or that it is not installed.

    >>> version_of("no such package")
    'not installed'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
