"""What a checkpoint is told to be, by the names and sizes of what it holds, and the files it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vlx.adapters.files.folders import only_file
from vlx.adapters.files.shapes import Shapes


@dataclass(frozen=True)
class File:
    """A file that a model needs.

    >>> File("model.pth", ("*.pth",), "the weights").told
    'model.pth: the weights'
    """

    name: str
    """As its authors publish it, with … for what differs."""
    patterns: tuple[str, ...]
    """Names that are taken for it."""
    use: str = ""
    """What it is for."""

    @property
    def told(self) -> str:
        """Its name and what it is for."""
        return f"{self.name}: {self.use}" if self.use else self.name

    def find(self, folder: str | Path) -> Path:
        """The one such file in a folder; raises CheckpointError where there is none, or more than one."""
        return only_file(folder, *self.patterns)

    def beside(self, file: Path) -> list[Path]:
        """All such files in the folder of another file."""
        return sorted(path for pattern in self.patterns for path in file.parent.glob(pattern))


@dataclass(frozen=True)
class Need:
    """A file that should lie beside a checkpoint."""

    file: File
    words: int | None = None
    """How many words it should hold, where the checkpoint tells."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint is, as far as it tells."""

    family: str
    vocabulary: int | None = None
    """How many words the model has."""
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, eq=False)
class Contents:
    """What a checkpoint holds, one of these three."""

    value: object = None
    """Of a Torch7 file or a pickle."""
    tensors: Shapes = field(default_factory=dict[str, tuple[int, ...]])
    """Of a state_dict or of TensorFlow's variables."""
    blobs: Shapes = field(default_factory=dict[str, tuple[int, ...]])
    """Of a caffemodel: ``conv1.0`` are the weights of layer ``conv1``, ``conv1.1`` its bias."""

    @property
    def table(self) -> Mapping[object, object]:
        """The value, if it is a table or a dict; else an empty one."""
        return self.value if isinstance(self.value, dict) else {}

    def matrix(self, name: str) -> tuple[int, int] | None:
        """The sizes of a tensor that has two."""
        sizes = self.tensors.get(name, ())
        return (sizes[0], sizes[1]) if len(sizes) == 2 else None

    def lengths(self, *names: str) -> list[int] | None:
        """The lengths of the vectors under some names of the table, if all are there."""
        vectors = [self.table.get(name) for name in names]
        found = [len(one) for one in vectors if isinstance(one, torch.Tensor) and one.dim() == 1]
        return found if len(found) == len(names) else None


Detect = Callable[[Contents], Checkpoint | None]
"""What a checkpoint of one family is; None for one of another."""


def nothing(_held: Contents) -> Checkpoint | None:
    """The detector of a family whose checkpoints are not told from others."""
    return None


def whole_numbers(fields: Mapping[object, object], **names: str) -> dict[str, int]:
    """Those fields that are whole numbers, under other names: ``ours="theirs"``.

    >>> whole_numbers({"rnn_size": 512, "drop": 0.5}, hidden="rnn_size", dropout="drop")
    {'hidden': 512}
    """
    found = {ours: fields.get(theirs) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int)}


def short_text(fields: Mapping[object, object], name: str) -> str:
    """The first letters of a field that is a text; else nothing.

    >>> short_text({"cnn": "vgg16"}, "cnn"), short_text({}, "cnn")
    ('vgg16', '')
    """
    found = fields.get(name)
    return found[:40] if isinstance(found, str) else ""
