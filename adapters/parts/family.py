"""A family of models as `vlx.load` knows it: the names it goes by, the files it needs, how it is opened."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vlx.adapters.parts.checkpoint import Detect, File, nothing
from vlx.passes.site import Layer


@runtime_checkable
class Open(Protocol):
    """Opens a model; ``where`` is what follows the prefix in its name."""

    def __call__(self, where: str, /, *, layer: Layer | None = None, device: str = "cpu") -> Any:
        """The model, on its device; raises CheckpointError for files that are missing or do not fit."""
        ...


@dataclass(frozen=True, eq=False)
class Family:
    """A family of models that are opened by name: one row of the catalogue.

    >>> family = Family({"caffe:FILE": "a network of Caffe"}, open=by_name_alone(dict))
    >>> family.prefix, family.takes("caffe:vgg.caffemodel")
    ('caffe:', True)
    """

    forms: Mapping[str, str]
    """The forms of its names, what is to be replaced in capitals (``caffe:FILE``), with a line on each."""
    open: Open
    files: tuple[File, ...] = ()
    """The files that a published model consists of."""
    detect: Detect = nothing
    spreads: bool = False
    """Whether a model may be spread over devices: whether it takes ``device="auto"``."""

    @property
    def prefix(self) -> str:
        """What its names begin with; a form without anything to be replaced is all of the name."""
        return re.split("[A-Z]", next(iter(self.forms)), maxsplit=1)[0]

    def takes(self, name: str) -> bool:
        """Whether a name is one of this family's."""
        return name == self.prefix if self.prefix in self.forms else name.startswith(self.prefix)


def from_folder(load: Callable[..., Any], files: Sequence[File]) -> Open:
    """The opener of a family whose files lie in one folder; ``load`` takes them in this order."""

    def opened(folder: str, *, layer: Layer | None = None, device: str = "cpu") -> Any:
        return load(*(file.find(folder) for file in files), layer=layer, device=device)

    return opened


def by_name_alone(load: Callable[..., Any]) -> Open:
    """The opener of a model that comes with the package."""

    def opened(_where: str, *, layer: Layer | None = None, device: str = "cpu") -> Any:
        return load(layer=layer, device=device)

    return opened
