"""The study of section 4.2 of the paper: networks that learn from different seeds, on held-out images.

Everything is kept in one folder, which belongs to its settings: seeds, checkpoints, counts, and the summary.
What is done there is not done again.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from vlx.errors import VlxError
from vlx.eval.items.models import weights_digest
from vlx.eval.measures.maps import Mask
from vlx.eval.measures.seeds import Quality, quality
from vlx.images.files import write_whole
from vlx.methods.values import Method, class_activation_map, method_named
from vlx.segmentation.cues import Cues, aligned, read_cues, read_sec_cues, write_cues
from vlx.segmentation.network import Segmenter, network_named
from vlx.segmentation.pictures import (
    Pictures,
    batch_of,
    need_apart,
    pixels_of,
    true_labels,
)
from vlx.segmentation.recipe import Recipe
from vlx.segmentation.scores import Counts, counts_of, segmented
from vlx.segmentation.seeding import background_seeds, class_seeds, quality_of
from vlx.segmentation.sheet import write_sheet
from vlx.segmentation.train import Training, train

MASKS, CUES, CAM = "masks", "cues", "cam"
"""Sources that need no map: true masks, as full supervision, and a file of SEC's; CAM has its own model."""


@dataclass(frozen=True, eq=False)
class Study:
    """What is compared, on what, and where it is kept."""

    recipe: Recipe
    sources: tuple[str, ...]
    """Of seeds: methods by their names, ``cam``, ``cues``, ``masks``."""
    train: Pictures
    test: Pictures
    out: Path
    open_model: Callable[[str], Any]
    """Loads a model by name."""
    model: str = ""
    """Whose maps are seeds, and whose saliency is the background's."""
    cam_model: str = ""
    """Whose class activation maps are seeds of ``cam``."""
    cues: tuple[Path, Path] | None = None
    """SEC's pickle and its list of images."""
    seed: int = 0
    every: int = 100
    device: str = "cpu"
    weights: bool = True
    """Whether the segmentation networks begin with published weights."""
    pictures: int = 0
    """Examples that are drawn."""
    told: Callable[[str], None] = print
    _models: dict[str, Any] = field(default_factory=dict[str, Any])

    def opened(self, name: str) -> Any:
        """A model, loaded once."""
        if name not in self._models:
            self._models[name] = self.open_model(name)
        return self._models[name]


@dataclass(frozen=True, eq=False)
class Found:
    """What came out for one source of seeds."""

    source: str
    quality: Quality
    """Of the seeds, over the images that were learned from."""
    counts: Counts
    """Of the segmentations of held-out images."""


def carried_out(study: Study) -> list[Found]:
    """Make the seeds, train a network on each, and count what it finds.

    Raises VlxError for what cannot be.
    """
    if not study.sources:
        raise VlxError("no seeds to learn from: give grad_cam, cam, cues or masks")
    _need_models(study)
    need_apart(study.train, study.test)
    _claim(study.out / "settings.json", _settings(study), "a study of other settings")
    nothing = _Nothing(study)
    every = {source: _seeds(study, source, nothing) for source in dict.fromkeys(study.sources)}
    found: list[Found] = []
    networks: dict[str, Segmenter] = {}
    for source, cues in every.items():
        networks[source], counts = _learned(study, source, cues)
        found.append(Found(source, quality(quality_of(study.train, cues)), counts))
    if study.pictures:
        _draw(study, every, networks)
    return found


def _need_models(study: Study) -> None:
    asks = [one for one in study.sources if one not in (MASKS, CUES)]
    if CUES in study.sources and study.cues is None:
        raise VlxError("seeds of a file need --cues FILE and --cues-list FILE")
    if asks and not study.model:
        raise VlxError(f"seeds of {asks[0]} need --model, a classifier of the classes of the data")
    if CAM in asks and not study.cam_model:
        raise VlxError("seeds of cam need --cam-model, a classifier that averages its last maps")
    for one in asks:
        if one != CAM:
            method_named(one)


class _Nothing:
    """The background cells of all images, made when they are first asked for."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._made: list[Mask] | None = None

    def __call__(self) -> list[Mask]:
        if self._made is None:
            study = self._study
            layer = study.recipe.background_layer
            model = study.opened(study.model)
            model = model if layer is None else model.at(layer)
            study.told(
                f"background seeds of {len(study.train.images)} images: {study.model} at {model.layer}"
            )
            self._made = background_seeds(study.train, model, study.recipe.grid)
        return self._made


def _seeds(study: Study, source: str, nothing: Callable[[], list[Mask]]) -> Cues:
    """The seeds of a source, kept in the folder once they are made."""
    path = study.out / "seeds" / f"{source}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    _claim(path.with_suffix(".json"), _made_of(study, source), f"seeds of {source} from other models")
    if path.is_file():
        return aligned(read_cues(path), study.train.ids)
    study.told(f"seeds: {source}")
    if source == MASKS:
        made = true_labels(study.train, study.recipe.grid)
    elif source == CUES:
        assert study.cues is not None
        classes = len(study.train.names)
        made = aligned(read_sec_cues(*study.cues, classes=classes, grid=study.recipe.grid), study.train.ids)
    else:
        name = study.cam_model if source == CAM else study.model
        made = class_seeds(study.train, study.opened(name), _method(source), nothing(), study.recipe.grid)
    write_cues(path, made)
    return made


def _made_of(study: Study, source: str) -> str:
    """The models that decide the seeds of a source, as text."""
    names = [] if source in (MASKS, CUES) else [study.model, *([study.cam_model] if source == CAM else [])]
    return json.dumps([[name, weights_digest(study.opened(name))] for name in names])


def _method(source: str) -> Method:
    return class_activation_map if source == CAM else method_named(source)


def _learned(study: Study, source: str, cues: Cues) -> tuple[Segmenter, Counts]:
    recipe, folder = study.recipe, study.out / source
    settings = hashlib.sha256(_settings(study).encode() + cues.labels.tobytes() + cues.shown.tobytes())
    with torch.random.fork_rng([]):
        torch.manual_seed(study.seed)
        network = network_named(recipe.network, len(study.train.names), weights=study.weights)
    training = Training(
        recipe, source == MASKS, len(study.train.images),
        partial(batch_of, study.train, cues, side=recipe.side),
        folder / "checkpoint.pt", settings.hexdigest(), study.seed, study.every, study.device,
    )  # fmt: skip

    def tell(done: int, losses: Mapping[str, float]) -> None:
        if done % study.every == 0 or done == recipe.steps:
            parts = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            study.told(f"{source}: step {done} of {recipe.steps}: {parts}")

    train(network, training, tell)
    kept = folder / "counts.npz"
    counts = _read_counts(kept, settings.hexdigest())
    if counts is None:
        state = {name: one.contiguous().cpu() for name, one in network.state_dict().items()}
        save_file(state, folder / "network.safetensors")
        counts = counts_of(network, study.test, recipe.side, study.device)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, counts=counts, settings=np.array(settings.hexdigest()))
        write_whole(kept, buffer.getvalue())
    return network, counts


def _read_counts(path: Path, settings: str) -> Counts | None:
    try:
        with np.load(path, allow_pickle=False) as held:
            return held["counts"] if str(held["settings"]) == settings else None
    except (OSError, ValueError, KeyError):
        return None


def _settings(study: Study) -> str:
    """Everything that decides the numbers, as text."""
    told = {
        "recipe": asdict(study.recipe),
        "seed": study.seed,
        "weights": study.weights,
        "train": _digest(study.train),
        "test": _digest(study.test),
        "torch": torch.__version__,
    }
    return json.dumps(told, indent=1, sort_keys=True)


def _digest(pictures: Pictures) -> str:
    told = json.dumps([pictures.names, pictures.ids, pictures.shown])
    return hashlib.sha256(told.encode()).hexdigest()


def _claim(path: Path, settings: str, what: str) -> None:
    """Make a file that of these settings. Raises VlxError where it is of others."""
    if path.is_file() and path.read_text(encoding="utf-8") != settings + "\n":
        raise VlxError(f"{path.parent} holds {what}: give --out another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (settings + "\n").encode())


def _draw(study: Study, every: Mapping[str, Cues], networks: Mapping[str, Segmenter]) -> None:
    names: Sequence[str] = ["true classes", *every]
    few = range(min(study.pictures, len(study.train.images)))
    rows = [
        (study.train.images[at].path, [study.train.truth(at), *(cues.labels[at] for cues in every.values())])
        for at in few
    ]
    path = write_sheet(study.out / "seeds.png", names, rows)
    rows = []
    for at in range(min(study.pictures, len(study.test.images))):
        image, truth = study.test.images[at], study.test.truth(at)
        pixels = pixels_of(image, study.recipe.side).to(study.device)
        size = (truth.shape[0], truth.shape[1])
        rows.append((image.path, [truth, *(segmented(one, pixels, size) for one in networks.values())]))
    other = write_sheet(study.out / "segmentations.png", names, rows)
    study.told(f"examples: {path}, {other}")
