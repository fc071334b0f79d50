"""What a checkpoint is, without running it: its family, vocabulary, sizes, layers, and what it lacks."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from vlx.adapters.catalogue import FAMILIES
from vlx.adapters.files.pickle.reader import read_pickle, read_torch
from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.shapes import Shapes, content, shapes_in
from vlx.adapters.files.source import Format, check_there, damaged, format_of
from vlx.adapters.files.states import parts_of, unwrapped
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, Need
from vlx.errors import CheckpointError

UNKNOWN = "unknown"
_MAGIC = 0x1950A86A20F9469CFC6C
_LARGEST_JSON = 16 << 20
_BY_SUFFIX = {
    ".t7": Format.T7,
    ".pkl": Format.PICKLE,
    ".pickle": Format.PICKLE,
    ".pth": Format.ZIP,
    ".pt": Format.ZIP,
    ".tar": Format.ZIP,
    ".ckpt": Format.ZIP,
    ".safetensors": Format.SAFETENSORS,
}


@dataclass(frozen=True)
class Inspected:
    """What is told of a checkpoint without running it.

    ``family`` is ``unknown`` where the file is of none that is known; ``holds`` says in a few words what
    is in it, and ``layers`` are the tensors that it holds, by name, with their shapes. ``vocabulary``
    counts words; ``missing`` are files that the model needs and that do not lie beside it, or do not fit.
    """

    path: Path
    format: str
    holds: str
    family: str
    vocabulary: int | None
    sizes: Mapping[str, int]
    layers: Shapes
    missing: tuple[str, ...]


def inspect(path: str | Path) -> Inspected:
    """Say what a checkpoint is; nothing of it is run.

    Known are those of the families in `vlx.adapters.catalogue`. For TensorFlow give the prefix or any of
    its files. Raises CheckpointError for a file that is missing, truncated, or hostile.
    """
    file = Path(path)
    tensorflow = re.search(r"\.(index|meta|data-\d{5}-of-\d{5})$", file.name)
    if tensorflow or (not file.is_file() and Path(f"{file}.index").is_file()):
        variables = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(file).items()}
        return _told(file, "TensorFlow checkpoint", "variables", _of_tensors(variables), variables)
    check_there(file, "checkpoint")
    format_ = format_of(file) or _BY_SUFFIX.get(file.suffix)
    if format_ is Format.SAFETENSORS:
        shapes = _safetensors(file)
        return _told(file, "safetensors", "tensors", _of_tensors(shapes), shapes)
    if format_ is Format.T7:
        value = read_t7(file)
        return _told(file, "Torch7", content(value), _known(Contents(value)), shapes_in(value))
    if format_ in (Format.ZIP, Format.LEGACY, Format.PICKLE):
        return _pickled(file, format_)
    if format_ is None and file.suffix == ".caffemodel":
        blobs = {
            f"{name}.{at}": blob
            for name, held in read_caffemodel(file).items()
            for at, blob in enumerate(held)
        }
        shapes = {name: tuple(blob.shape) for name, blob in blobs.items()}
        return _told(file, "caffemodel", "layers", _known(Contents(blobs=shapes)), shapes)
    return _told(file, format_.value if format_ else UNKNOWN, UNKNOWN, None, {})


def _pickled(file: Path, format_: Format) -> Inspected:
    name, value = "torch file", read_pickle(file) if format_ is Format.PICKLE else read_torch(file)
    if format_ is Format.PICKLE:
        name = "pickle"
        if isinstance(value, int) and value == _MAGIC:  # an older torch file of another protocol
            name, value = "torch file", read_torch(file)
    known = _known(Contents(value))
    if known is not None:
        return _told(file, name, content(value), known, shapes_in(value))
    shapes = _named_shapes(value)
    if shapes is None:
        return _told(file, name, content(value), None, shapes_in(value))
    return _told(file, name, content(value), _of_tensors(shapes), shapes)


def _known(held: Contents) -> Checkpoint | None:
    """What the first family that knows it says of it."""
    told = (family.detect(held) for family in FAMILIES)
    return next((one for one in told if one is not None), None)


def _of_tensors(shapes: Shapes) -> Checkpoint | None:
    """What named tensors are, whose names wrappers may have changed."""
    ways = ({own: shapes[name] for own, name in names.items()} for names in unwrapped(shapes))
    return next((known for way in ways if (known := _known(Contents(tensors=way)))), None)


def _named_shapes(value: object) -> Shapes | None:
    """The shapes of named tensors: of a state_dict, one inside a dict, or a module pickled whole."""
    try:
        parts = parts_of(value)
    except CheckpointError:
        return None
    return {name: tuple(tensor.shape) for name, tensor in parts[0].tensors.items()} if parts else None


def _safetensors(file: Path) -> Shapes:
    try:
        with safe_open(file, "pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(file, file.stat().st_size, "safetensors file", str(error)) from None


def _told(file: Path, format_: str, holds: str, known: Checkpoint | None, shapes: Shapes) -> Inspected:
    known = known or Checkpoint(UNKNOWN)
    missing = tuple(told for told in (_lacking(file, need) for need in known.needs) if told)
    layers = {_printable(name) or "(itself)": sizes for name, sizes in shapes.items()}
    name, holds = _printable(known.family), _printable(holds)
    return Inspected(file, format_, holds, name, known.vocabulary, known.sizes, layers, missing)


def _printable(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _lacking(file: Path, need: Need) -> str | None:
    """What to say of a file that is needed: that it is missing, or holds another number of words."""
    found = need.file.beside(file)
    if not found:
        return need.file.told
    counts = [_words(path) for path in found if path.suffix == ".json"]
    if need.words is None or not counts or need.words in counts:
        return None
    return f"{need.file.told} (the one beside it holds {counts[0] or 'no'} words, the model {need.words})"


def _words(file: Path) -> int | None:
    """How many words a JSON file holds: its ``ix_to_word``, or itself."""
    if file.stat().st_size > _LARGEST_JSON:
        return None
    try:
        held = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None
    words = held.get("ix_to_word", held) if isinstance(held, dict) else None
    return len(words) if isinstance(words, dict) else None
