"""What a classifier of one's own looks at beside the object of a class, on any data with masks.

The categories of the masks are the attributes. Nothing is known of a bias here: what the map of a class lays
on another category is set against what knows nothing of the class.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlx.errors import VlxError, near_names
from vlx.eval.data.class_masks import ClassMasks, Masked, Overlaid, labels_of, read_masks, shown
from vlx.eval.data.classes import matched, names_of, plain_name
from vlx.eval.items.control_maps import activation_maps
from vlx.eval.items.item import Damage, seed_of
from vlx.eval.items.models import type_of
from vlx.eval.measures.area import area_share, energy
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.maps import Map, Mask
from vlx.eval.runs.request import data_folder
from vlx.explain import explain
from vlx.images.files import open_image
from vlx.passes.targets import label
from vlx.show.colours import overlay, shared_scale
from vlx.studies.bias.figures import Panel, sheet
from vlx.studies.bias.own_tables import GROUND, OwnRow, findings_of_own, most_looked_at
from vlx.studies.found import Findings, Picture
from vlx.studies.kept import claim, digest, kept_rows
from vlx.studies.page import write_findings

WRONG = 4
"""Classes that an image does not show, whose maps are set against that of the class."""
_PICTURES = 3
_BATCH = 8


@dataclass(frozen=True)
class OwnSettings:
    """Everything that decides the numbers."""

    model: str
    """A classifier, as `vlx.load` takes it."""
    data: str
    """A folder with masks, or ``scenes``."""
    of: tuple[str, ...]
    """The classes that are looked into, by categories of the data."""
    method: str = "grad_cam"
    layer: str | None = None
    split: str | None = None
    limit: int | None = None
    """This many images of a class at most, drawn by the seed."""
    seed: int = 0
    device: str = "cpu"


def own_study(settings: OwnSettings, out: Path, told: Callable[[str], None] = print) -> Findings:
    """Look at where a classifier's evidence for a class lies, and write what was found to ``out``.

    What was measured before is kept: a study that stopped goes on. Raises VlxError where model, data and
    class do not fit, and for a folder that holds another study.
    """
    from vlx.load import load

    bench = Bench(settings, load(settings.model, layer=settings.layer, device=settings.device))
    plain = {**asdict(settings), "of": list(settings.of), "layer": str(bench.layer), "images": bench.digest}
    claim(out, {"study": "bias of one's own", **plain})
    names = list(bench.items)
    found = dict(zip(names, kept_rows(out / "own.jsonl", names, bench.row, told), strict=True))
    rows = [OwnRow(bench.items[name][0], bench.items[name][1].id, row) for name, row in found.items()]
    pictures = [one for of in settings.of for one in bench.pictures(of, rows)]
    findings = findings_of_own(settings.of, rows, plain, pictures, WRONG, bench.damage.total)
    write_findings(out, findings)
    return findings


class Bench:
    """A model, the images of some classes, and where everything is in them."""

    def __init__(self, settings: OwnSettings, model: Any) -> None:
        if type_of(model) != "classifier":
            raise VlxError(
                f"{settings.model} is no classifier: the bias of a class is looked for in classifiers"
            )
        self.settings, self.model, self.damage = settings, model, _Damage()
        self.layer = getattr(model, "layer", "")
        folder = data_folder(settings.data, settings.split)
        self.masks: ClassMasks = read_masks(folder, self.damage)
        if not settings.of:
            raise VlxError(f"name the class that is looked into with --of, as --of {self._example()!r}")
        self.items = {f"{of}/{one.id}": (of, one) for of in settings.of for one in self._images(of)}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes of the model."""
        blank = Image.new("RGB", (64, 64))
        return tuple(self.model.read([blank]).readings[0].choices.names)

    @property
    def digest(self) -> str:
        """What tells these images from others."""
        return digest(sorted(self.items))

    def row(self, name: str) -> dict[str, Any]:
        """What one image tells: of each category in it the shares of several maps, and what hiding it "
        "does.
        """
        of, one = self.items[name]
        try:
            image, labels = open_image(one.path), labels_of(one.truth, len(self.masks.names))
        except VlxError:
            return {"left_out": "damaged_record"}
        if labels.shape != (image.height, image.width):
            return {"left_out": "mask_of_other_size"}
        own, planes = self._maps(of, one, image)
        there = [0, *shown(labels)]
        centre = centre_prior(labels.shape)
        masks = {place: labels == place for place in there}
        hidden = self._hidden(image, {place: mask for place, mask in masks.items() if place}, own)
        parts: dict[str, Any] = {}
        for place, mask in masks.items():
            shares = {"own": planes["own"][0], "centre": centre, "activation": planes["activation"][0]}
            wrong = [energy(plane, mask).value for plane in planes["wrong"]]
            known = [value for value in wrong if value is not None]
            parts[self._called(place)] = {
                **{key: energy(plane, mask).value for key, plane in shares.items()},
                "wrong": float(np.mean(known)) if known else None,
                "area": area_share(mask).value,
                **hidden.get(place, {}),
            }
        return {"class": self.labels[own], "parts": parts}

    def pictures(self, of: str, rows: Sequence[OwnRow]) -> list[Picture]:
        """Some images with the class's map and that of a class that is not there."""
        chosen = most_looked_at(of, rows)[:_PICTURES]
        drawn: list[list[Panel]] = []
        for part, image_id in chosen:
            one = self.items[f"{of}/{image_id}"][1]
            image = open_image(one.path)
            own, planes = self._maps(of, one, image)
            pairs = [(self.labels[own], planes["own"][0], part)]
            if planes["wrong"]:
                pairs.append(("another class", planes["wrong"][0], "not in the image"))
            drawn.append(
                [
                    Panel(image, "image", f"{of}, {part}"),
                    *(
                        Panel(overlay(image, plane, shared_scale([plane])), name, said)
                        for name, plane, said in pairs
                    ),
                ]
            )
        if not drawn:
            return []
        title = f"{of}: where its map has most on another category, and the map of a class that is not there"
        return [Picture(title, sheet(drawn))]

    def _maps(self, of: str, one: Masked, image: Image.Image) -> tuple[int, dict[str, list[Map]]]:
        passed = self.model.read([image])
        scores: list[float] = passed.scores[0, 0].tolist()
        own = max(self._places(of), key=scores.__getitem__)
        wrong = [max(places, key=scores.__getitem__) for places in self._absent(of, one)]
        (made,) = explain(passed, [label(place) for place in (own, *wrong)], self.settings.method)
        planes = [made.map(at).astype(float) for at in range(len(wrong) + 1)]
        return own, {"own": planes[:1], "wrong": planes[1:], "activation": activation_maps(passed, [0])}

    def _absent(self, of: str, one: Masked) -> list[tuple[int, ...]]:
        """Categories that the image does not show and the model has, in a random order; else other "
        "classes.
        """
        mine = set(self._places(of))
        there = set(shown(labels_of(one.truth)))
        names = [name for at, name in enumerate(self.masks.names, 1) if at not in there]
        mixed = random.Random(seed_of(self.settings.seed, f"wrong {of}/{one.id}"))
        some = (self._places(name) for name in mixed.sample(names, len(names)))
        found = list(islice((places for places in some if places and not mine & set(places)), WRONG))
        if not found:
            rest = [(at,) for at in range(len(self.labels)) if at not in mine]
            found = mixed.sample(rest, min(WRONG, len(rest)))
        return found

    def _hidden(self, image: Image.Image, masks: Mapping[int, Mask], own: int) -> dict[int, dict[str, float]]:
        """By how much the class's logit less the mean of all falls as a part, or its mirror, is hidden."""
        pixels = np.asarray(image)
        filled = pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)
        some = [
            Image.fromarray(np.where(one[..., None], filled, pixels))
            for mask in masks.values()
            for one in (mask, mask[:, ::-1])
        ]
        found = [self._score([image], own)[0]]
        for at in range(0, len(some), _BATCH):
            found += self._score(some[at : at + _BATCH], own)
        whole, *rest = found
        return {
            place: {"hidden": whole - rest[2 * at], "mirrored": whole - rest[2 * at + 1]}
            for at, place in enumerate(masks)
        }

    def _score(self, images: Sequence[Image.Image], own: int) -> list[float]:
        scores = self.model.read(images).scores[:, 0].detach().double()
        return (scores[:, own] - scores.mean(1)).tolist()

    def _images(self, of: str) -> list[Masked]:
        names = {plain_name(name): at for at, name in enumerate(self.masks.names, 1)}
        place = names.get(plain_name(of))
        if place is None:
            raise VlxError(
                f"{self.settings.data} has no category {of!r}{near_names(of, list(self.masks.names))}"
            )
        if not self._places(of):
            raise VlxError(f"no class of {self.settings.model} is called {' or '.join(names_of(of)[:4])}")
        found = [one for one in self.masks.images if not one.lost and _shows(one, place)]
        if not found:
            raise VlxError(f"no image of {self.settings.data} shows {of}")
        limit = self.settings.limit
        if limit is None or limit >= len(found):
            return found
        return random.Random(self.settings.seed).sample(found, limit)

    def _places(self, category: str) -> tuple[int, ...]:
        return matched(names_of(category), self.labels)

    def _called(self, place: int) -> str:
        return self.masks.names[place - 1] if place else GROUND

    def _example(self) -> str:
        return next((name for name in self.masks.names if self._places(name)), "a category")


class _Damage(Damage):
    """Counts what could not be read."""

    @property
    def total(self) -> int:
        """How many records."""
        return len(self.items)


def _shows(one: Masked, place: int) -> bool:
    if isinstance(one.truth, Overlaid):
        return any(at == place for at, _ in one.truth.instances)
    return place in shown(labels_of(one.truth))
