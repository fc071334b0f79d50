"""The fields of what a Torch7 file holds, each an error in one line where it is not what it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.adapters.files.torch7.reader import Lua, Vec
from vlx.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class Field:
    """A value inside a file, and where it stands there."""

    value: object
    file: str
    """What the file should be, for errors: ``model.t7 is no checkpoint of neuraltalk2``."""
    where: str = ""

    def __getitem__(self, key: str | int) -> "Field":
        """A field of an object, or an entry of a table, a Hash or a Vec."""
        if key not in self:
            raise self.wrong("is missing", f"{self.where}.{key}")
        return Field(self._held[key], self.file, f"{self.where}.{key}")

    def __contains__(self, key: str | int) -> bool:
        return key in self._held

    @property
    def _held(self) -> Mapping[object, object]:
        """What can be asked for: the fields of an object, the entries of a table, those of a Vec from 1."""
        if isinstance(self.value, Vec):
            return {at: one for at, one in enumerate(self.value, 1) if one is not None}
        held = self.value.fields if isinstance(self.value, Lua) else self.value
        return cast(Mapping[object, object], held) if isinstance(held, Mapping) else {}

    @property
    def class_name(self) -> str:
        """The class of an object without its library: ``Linear`` for ``nn.Linear``; empty for no object."""
        return self.value.class_name.rpartition(".")[2] if isinstance(self.value, Lua) else ""

    def of(self, class_name: str) -> "Field":
        """Itself, if it is an object of this class."""
        if self.class_name != class_name:
            raise self.wrong(f"is no {class_name}")
        return self

    def entries(self) -> list["Field"]:
        """The entries 1, 2, 3 … of a table."""
        found: list[Field] = []
        held = self._held
        while len(found) + 1 in held:
            at = len(found) + 1
            found.append(Field(held[at], self.file, f"{self.where}.{at}"))
        return found

    def tensor(self, dimensions: int) -> Float[Tensor, "*shape"]:
        """A tensor of so many sides, in single precision."""
        if not (isinstance(self.value, Tensor) and self.value.ndim == dimensions and self.value.numel()):
            raise self.wrong(f"is no tensor of {dimensions} sides")
        return self.value.to(torch.float32)

    def whole(self) -> int:
        """A whole number that is not negative."""
        if not isinstance(self.value, int) or self.value < 0:
            raise self.wrong("is no whole number")
        return self.value

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            raise self.wrong("is no text")
        return self.value

    def wrong(self, what: str, where: str | None = None) -> CheckpointError:
        """The error that says what is wrong with this field, or with one inside it."""
        named = (self.where if where is None else where).removeprefix(".") or "what it holds"
        return CheckpointError(f"{self.file}: {named} {what}")
