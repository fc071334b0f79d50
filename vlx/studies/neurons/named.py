"""A model with names for the units of its layer: dissected once and kept, or brought in a table."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.models import type_of, weights_digest
from vlx.eval.runs.request import data_folder
from vlx.studies.kept import Facts, claim, digest
from vlx.studies.neurons.broden import is_broden, read_broden
from vlx.studies.neurons.concepts import MaskData, drawn_images, of_categories
from vlx.studies.neurons.dissect import Dissection, dissect, load_dissection, save_dissection
from vlx.studies.neurons.explained import Order, Telling
from vlx.studies.neurons.features import QUESTION, reader
from vlx.studies.neurons.names import PAPER, Names, names_from, read_names, write_names
from vlx.studies.neurons.of_folder import folder_masks
from vlx.studies.neurons.tally import TOP_SHARE


@dataclass(frozen=True)
class Neurons:
    """The settings of the study; the defaults need no download."""

    model: str = "scenes/classifier"
    data: str = "scenes"
    """Whose decisions are explained: a folder, Broden's among them, or the built-in scenes."""
    masks: str | None = None
    """Whose labels name neurons; None takes those of ``data``."""
    names: Path | None = None
    """A table of names made elsewhere (NetDissect's result.csv or tally.csv), in the place of own ones."""
    categories: tuple[str, ...] = ()
    """Of concepts; none given, all."""
    layer: str | int | None = None
    split: str | None = None
    limit: int | None = None
    """Images whose decisions are explained, and those that name neurons, at most."""
    least_images: int = 1
    """Concepts of fewer images name nothing."""
    share: float = TOP_SHARE
    """Of all places, those above a unit's threshold."""
    anchored: bool = True
    """Whether activations are upsampled from where the places look, else by a plain resize of the grid."""
    count: int = 5
    iou: float = PAPER
    order: Order = "select"
    weighted: bool = False
    question: str = QUESTION
    """What a VQA model is asked where only its features count."""
    examples: int = 4
    """Decisions that are drawn."""
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None

    @property
    def telling(self) -> Telling:
        """How decisions are told."""
        return Telling(self.count, self.iou, self.order, self.weighted)


@dataclass(frozen=True, eq=False)
class Named:
    """A dissected model."""

    model: Any
    data: MaskData
    """Whose labels named the units."""
    found: Dissection
    given: Names | None
    """Names that were brought; they take the place of own ones."""
    least_images: int
    table: Path
    """Where the names stand as NetDissect writes them."""

    @cached_property
    def names(self) -> Names:
        """Of all images."""
        return self.given or self.own

    @cached_property
    def own(self) -> Names:
        """Those that the dissection found, also where others were brought."""
        return names_from(self.found.counts, self.data.concepts, self.least_images)

    @cached_property
    def permuted(self) -> Names:
        """From the labels of other images."""
        return names_from(self.found.permuted, self.data.concepts, self.least_images)

    @cached_property
    def halves(self) -> tuple[Names, Names]:
        """Of one half of the images, and of the other."""
        first, second = self.found.halves()
        return tuple(names_from(one, self.data.concepts, self.least_images) for one in (first, second))  # type: ignore[return-value]

    def without(self, image: str) -> Names:
        """Names that an image had no part in: from the parts to which it does not belong."""
        if self.given is not None or image not in self.found.part_of:
            return self.names
        part = self.found.part_of[image]
        if part not in self._without:
            self._without[part] = names_from(self.found.without(image), self.data.concepts, self.least_images)
        return self._without[part]

    @cached_property
    def _without(self) -> dict[int, Names]:
        return {}


def mask_data(name: str, split: str | None, categories: tuple[str, ...] = ()) -> MaskData:
    """Images with labels: Broden's folder, any other data folder, or the built-in scenes."""
    found = read_broden(name, split=split) if is_broden(name) else folder_masks(data_folder(name, split))
    return replace(of_categories(found, categories), name=name)


def open_model(settings: Neurons) -> Any:
    """The model of some settings; raises VlxError for one whose decisions are not explained."""
    from vlx.load import load

    model = load(settings.model, layer=settings.layer, device=settings.device)
    type_of(model)
    return model


def named(
    model: Any,
    data: MaskData,
    settings: Neurons,
    folder: Path,
    told: Callable[[str], None],
    *,
    brought: bool = True,
) -> Named:
    """Dissect a model, or read what was kept of it in a folder; a table of names is read where one is given.

    Without ``brought`` it is not, as for a model of shuffled weights.
    """
    if settings.names is not None:
        read_names(settings.names)  # before anything takes long
    layer = str(getattr(model, "layer", "layer"))
    facts = dissection_facts(model, data, settings)
    place = folder / "names" / digest(facts)
    claim(place, facts)
    kept = place / "dissection.npz"
    if kept.is_file():
        found = load_dissection(kept)
    else:
        found = dissect(
            reader(model, settings.question), data, seed=settings.seed, share=settings.share,
            anchored=settings.anchored, told=told,
        )  # fmt: skip
        save_dissection(kept, found)
    table = place / f"{_safe(layer)}-result.csv"
    write_names(table, found.counts, data.concepts, settings.least_images)
    units = len(found.thresholds)
    given = read_names(settings.names, units) if settings.names is not None and brought else None
    return Named(model, data, found, given, settings.least_images, table)


def dissection_facts(model: Any, data: MaskData, settings: Neurons) -> Facts:
    """Everything that decides a dissection."""
    return {
        "model": settings.model,
        "weights": weights_digest(model),
        "layer": str(getattr(model, "layer", "")),
        "labels": data.digest,
        "images": digest([one.id for one in data.images]),
        "categories": list(data.categories),
        "share": settings.share,
        "anchored": settings.anchored,
        "question": settings.question,
        "seed": settings.seed,
    }


def all_facts(settings: Neurons, model: Any, data: MaskData, masks: MaskData) -> Facts:
    """Everything that decides a study, of JSON's types."""
    facts = {**asdict(replace(settings, device="", threads=None)), **dissection_facts(model, masks, settings)}
    del facts["device"], facts["threads"]
    facts["names"] = None if settings.names is None else digest(_read(settings.names))
    facts["data_images"] = digest(data.digest, [one.id for one in data.images])
    return facts


def both_data(settings: Neurons) -> tuple[MaskData, MaskData]:
    """The images whose decisions are explained, and those that name neurons; mostly the same."""
    data = mask_data(settings.data, settings.split, settings.categories)
    if settings.masks is None:
        drawn = drawn_images(data, settings.limit, settings.seed)
        return drawn, drawn
    masks = mask_data(settings.masks, None, settings.categories)
    return tuple(drawn_images(one, settings.limit, settings.seed) for one in (data, masks))  # type: ignore[return-value]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise VlxError(f"{path}: cannot be read ({error.strerror})") from None


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)[:80]
