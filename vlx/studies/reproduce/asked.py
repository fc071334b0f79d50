"""What a reproduction runs on: data and models, those of the built-in world or one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder, look
from vlx.eval.data.published import Source
from vlx.eval.items.models import Models, with_controls
from vlx.eval.runs.request import Request, data_folder

Role = Literal["classifier", "averaging classifier", "captioner", "answerer"]
BUILT_IN: Mapping[Role, str] = {
    "classifier": "scenes/classifier",
    "averaging classifier": "scenes/classifier-gap",
    "captioner": "scenes/captioner",
    "answerer": "scenes/vqa",
}
OPTIONS: Mapping[Role, str] = {
    "classifier": "--classifier",
    "averaging classifier": "--averaging-classifier",
    "captioner": "--captioner",
    "answerer": "--answerer",
}
USED: Mapping[Role, str] = {
    "classifier": "VGG-16, as torchvision/vgg16",
    "averaging classifier": "VGG-16 with average pooling; any network that ends in one will do, as "
    "torchvision/googlenet",
    "captioner": "neuraltalk2, and Show and Tell for words",
    "answerer": "the model of Lu et al.",
}
"""What the paper used."""


class NotHere(VlxError):
    """What a table or figure needs and was not given: which files or models, and from whom."""


@dataclass(frozen=True)
class Needs:
    """The files that one table or figure needs, where it runs on data of one's own."""

    sources: tuple[tuple[Source, ...], ...]
    """Of each group any one will do."""
    paper: str
    """The data of the paper."""
    layout: str = "scenes"
    """How the built-in scenes are laid out for it."""

    def met(self, folder: DataFolder) -> bool:
        """Whether a folder has them."""
        return all(any(folder.has(one) for one in group) for group in self.sources)

    def told(self) -> str:
        """The files and their owners, for a person."""
        parts = [
            " or ".join(f"{one.name} ({one.called}; {one.owner})" for one in group) for group in self.sources
        ]
        return f"{'; '.join(parts)}. The paper: {self.paper}"


@dataclass(frozen=True, eq=False)
class Asked:
    """One reproduction, as a person asks for it."""

    out: Path
    data: tuple[str, ...] = ()
    """Folders; none for the built-in world."""
    models: Mapping[Role, str] = field(default_factory=dict[Role, str])
    """By what they are needed for; those of the built-in world where there is no folder."""
    answerers: tuple[str, ...] = ()
    """Models of questions that are set side by side; the first is measured."""
    images: int = 60
    """How many an evaluation draws, at most."""
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None

    def settings(self) -> dict[str, Any]:
        """Everything that decides the numbers."""
        from vlx import __version__

        models = {OPTIONS[role].strip("-"): self.models.get(role, "") for role in OPTIONS}
        return {
            "data": list(self.data) or ["scenes"],
            **({name: told for name, told in models.items() if told}),
            **({"answerers": list(self.answerers)} if len(self.answerers) > 1 else {}),
            "images": self.images,
            "seed": self.seed,
            "device": self.device,
            "vlx": __version__,
        }

    def model(self, role: Role) -> str:
        """The name of a model. Raises NotHere where data are given and it is not."""
        name = self.models.get(role)
        if name is None and self.data:
            raise NotHere(f"no {role} for these data: give {OPTIONS[role]} MODEL. The paper: {USED[role]}")
        return name or BUILT_IN[role]

    def folder(self, needs: Needs) -> str:
        """The first of the folders that has what is needed. Raises NotHere where none has."""
        if not self.data:
            return needs.layout
        for name in self.data:
            if needs.met(_looked(name)):
                return name
        raise NotHere(f"not in {', '.join(self.data)}: {needs.told()}")

    def need_folders(self) -> None:
        """Raise DataError where a folder is not there."""
        for name in self.data:
            _looked(name)

    def loaded(self, role: Role, layer: str | int | None = None) -> Models:
        """A model with its copies under shuffled weights, loaded once; at another layer made anew."""
        models = _loaded(self.model(role), self.device, self.seed)
        return models if layer is None else with_controls(models.trained.at(layer), self.seed)

    def request(self, role: Role, needs: Needs, **options: Any) -> Request:
        """An evaluation of a model on the data that serve."""
        from vlx.eval.items.options import Options

        limit = options.pop("limit", self.images)
        return Request(
            self.model(role),
            self.folder(needs),
            methods=tuple(options.pop("methods", ())),
            layer=options.pop("layer", None),
            device=self.device,
            threads=self.threads,
            options=Options(seed=self.seed, limit=limit, **options),
            progress=False,
        )

    def looked(self, needs: Needs) -> DataFolder:
        """The data that serve."""
        return data_folder(self.folder(needs))


@cache
def _looked(name: str) -> DataFolder:
    return look(name)


@lru_cache(maxsize=4)
def _loaded(name: str, device: str, seed: int) -> Models:
    from vlx.load import load

    return with_controls(load(name, device=device), seed)


def one_of(names: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """The names that are known, in the order of what is known. Raises VlxError for another."""
    from vlx.errors import near_names

    for name in names:
        if name not in known:
            raise VlxError(f"the paper has no {name!r}{near_names(name, known)}; see vlx reproduce list")
    return [name for name in known if name in names]
