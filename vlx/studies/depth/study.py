"""Study of depth (paper B.1, G): where the maps of a class lie, from the pixels up to the last layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlx.errors import ImageError, TextError, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.class_sources import class_items
from vlx.eval.items.item import Item, checked, drawn
from vlx.eval.items.models import type_of, weights_digest
from vlx.eval.items.opened import LeftOut
from vlx.eval.items.options import Options
from vlx.eval.runs.request import data_folder
from vlx.images.files import open_image
from vlx.load import load
from vlx.methods.values import Method, method_named
from vlx.studies.depth.drawn import layers_figure
from vlx.studies.depth.maps import Read, layers_of
from vlx.studies.depth.measured import row_of
from vlx.studies.depth.tables import Depth, answer_of, over_layers, sets, steps
from vlx.studies.found import Findings, Picture, Table
from vlx.studies.kept import Facts, claim, digest, kept_rows
from vlx.studies.page import write_findings
from vlx.studies.truths import case_of_classes


@dataclass(frozen=True)
class DepthSettings:
    """Which classifiers are measured over their layers, on what."""

    models: tuple[str, ...] = ("scenes/classifier-gap",)
    """Classifiers by name."""
    data: str = "scenes"
    """A folder with images and instance masks, or VOC's boxes."""
    methods: tuple[str, ...] = ("grad_cam", "hires_cam")
    """The first is drawn, and said first."""
    layers: tuple[str | int, ...] = ()
    """None takes all at which a network has all that it knows of the image."""
    limit: int | None = 60
    """Images, drawn by the seed; None takes all."""
    radius: float | int = 0.0
    """Pointing: how far from its object a maximum is a hit, in pixels; 0 asks for a pixel of it."""
    seed: int = 0
    device: str = "cpu"
    pictures: int = 2
    """Images of which each model's maps are drawn."""


def depth_study(
    settings: DepthSettings,
    out: Path,
    told: Callable[[str], None] = print,
    *,
    models: Mapping[str, Any] | None = None,
) -> Findings:
    """Measure each classifier at each of its layers, write what was found below ``out``; goes on.

    ``models`` serve in the place of those that the settings name. Raises VlxError for a model or data that do
    not serve.
    """
    opened = _opened(settings) if models is None else dict(models)
    for name, model in opened.items():
        if type_of(model) != "classifier":
            raise VlxError(f"{name} is no classifier: for one that answers or captions give --image")
    methods = [method_named(name) for name in settings.methods]
    images = _images(settings)
    weights = {name: weights_digest(model)[:16] for name, model in opened.items()}
    facts = {**asdict(settings), "models": list(opened), "methods": list(settings.methods)}
    facts |= {"layers": list(settings.layers), "weights": weights}
    del facts["pictures"]
    claim(out, facts)
    tables, answers, pictures = list[Table](), list[str](), list[Picture]()
    left_out: dict[str, int] = {}
    for name, model in opened.items():
        of = f" ({name})" if len(opened) > 1 else ""
        rows = _rows(model, images, methods, settings, out / f"rows-{digest(name)}.jsonl", told)
        for row in rows.values():
            if "left_out" in row:
                left_out[row["left_out"]] = left_out.get(row["left_out"], 0) + 1
            for layer, why in row.get("refused", {}).items():
                left_out[f"{layer}{of}: {why}"] = left_out.get(f"{layer}{of}: {why}", 0) + 1
        depth = Depth(rows)
        if not depth.rows:
            raise VlxError(f"none of {len(rows)} images has a class of {name}: {', '.join(left_out)}")
        tables += over_layers(depth, settings.methods, of, settings.radius)
        tables += [make(depth, method, of) for method in settings.methods for make in (sets, steps)]
        answers.append(answer_of(depth, settings.methods, name))
        pictures += _pictures(name, model, images, depth, methods[0], settings)
    found = Findings(
        "depth",
        "Maps over the depth of a network",
        "Where do the maps of a class lie at each layer, and what does a down-sampling change?",
        " ".join(answers),
        tuple(tables),
        facts,
        tuple(pictures),
        left_out,
        NOTES,
    )
    write_findings(out, found)
    return found


NOTES = (
    "The paper shows maps and no numbers: they get progressively worse at earlier layers (B.1), and in a "
    "ResNet of 200 layers fail before the last set of blocks (G).",
    "A layer is where a network has all that it knows of the image: of a residual network each block's sum.",
    "Below the last layer the mean of the gradients over all places, which Grad-CAM weighs channels by, "
    "loses what the gradients say of single places; HiResCAM multiplies them place by place, and is the same "
    "at a last layer that is averaged.",
)


def _opened(settings: DepthSettings) -> dict[str, Any]:
    if not settings.models:
        raise VlxError("no model to measure: give at least one")
    return {name: load(name, device=settings.device) for name in settings.models}


def _images(settings: DepthSettings) -> dict[str, list[Item]]:
    options = Options(limit=settings.limit, seed=settings.seed)
    items = [item for item in checked(class_items(data_folder(settings.data), options)) if not item.left_out]
    found: dict[str, list[Item]] = {}
    for item in drawn(items, settings.limit, settings.seed):
        found.setdefault(item.cluster, []).append(item)
    if not found:
        raise VlxError(f"{settings.data} has no image with objects")
    return found


def _rows(
    model: Any,
    images: Mapping[str, Sequence[Item]],
    methods: Sequence[Method],
    settings: DepthSettings,
    path: Path,
    told: Callable[[str], None],
) -> dict[str, Facts]:
    layers: list[str | int] = []

    def made(name: str) -> Facts:
        try:
            case = case_of_classes(model, images[name], seed=settings.seed)
        except (ImageError, DataError, TextError):
            return {"left_out": "damaged"}
        if isinstance(case, LeftOut):
            return {"left_out": case.reason}
        if not layers:
            layers.extend(layers_of(model, lambda _model: case.passed, settings.layers))
        return row_of(model, case, layers, methods, settings.radius)

    return dict(zip(images, kept_rows(path, list(images), made, told), strict=True))


def _reads(item: Item) -> Read:
    photo = open_image(item.image)
    return lambda model: model.read([photo])


def _pictures(
    name: str,
    model: Any,
    images: Mapping[str, Sequence[Item]],
    depth: Depth,
    method: Method,
    settings: DepthSettings,
) -> list[Picture]:
    found: list[Picture] = []
    several = sorted(depth.rows, key=lambda one: len(depth.rows[one]["classes"]) < 2)
    for one in several[: settings.pictures]:
        case = case_of_classes(model, images[one], seed=settings.seed)
        if isinstance(case, LeftOut):
            continue
        targets = [(thing.name, thing.target) for thing in case.things[:3]]
        png, _ = layers_figure(model, _reads(images[one][0]), depth.layers, targets, method)
        classes = ", ".join(name for name, _ in targets)
        found.append(Picture(f"{name}: {classes} at every layer, image {one}", png))
    return found
