"""Named tensors from whatever a PyTorch project saves: a state_dict, one among others, modules pickled whole.

A checkpoint of training holds the weights under a name of the project's choice, an averaged copy of them,
the state of the optimiser and more; and wrappers put names in front of the network's own: ``module.``,
``_orig_mod.``, ``model.``. What is read are the weights under the network's own names.
"""

import re
import warnings
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vlx.adapters.files.pickle.reader import Standin, read_torch, state_of
from vlx.adapters.files.source import check_there
from vlx.adapters.files.weights import load_weights
from vlx.errors import CheckpointError, Notice

_OWN = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights")
"""What people call the weights of the model itself, in a checkpoint that holds more."""
_COPY = re.compile(
    r"(?<![a-z])(ema|swa)(?![a-z])|averag|teacher|momentum|shadow|target|encoder_k|key_encoder"
)
"""What they call copies of it: those are read where nothing else is there."""
_TRAINING = re.compile(
    r"optim|sched|scaler|rng_|_rng|callbacks|loops|hyper_?param|hparams|criterion|normalizer|_extra_state$"
)
"""What is no network's."""
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Names that DataParallel, torch.compile, FSDP and checkpointing put in, wherever they wrap."""
_COUNTS = ("n_averaged", "total_ops", "total_params")
"""Counts that tools of torch and of others leave among the weights."""

_DEPTH, _MOST, _LONGEST = 4, 100_000, 300
_MODULE = 1_000  # what looking into a pickled module counts for
_NEARLY = 0.8  # of the names of a network: a copy of it


@dataclass(frozen=True, eq=False)
class Part:
    """Named tensors that a checkpoint holds, with their place in it: nothing, or as ``ema.module``."""

    place: str
    tensors: Mapping[str, Tensor]


def read_state(path: str | Path, wanted: Collection[str] = ()) -> dict[str, Tensor]:
    """The named tensors of a file; nothing in it is run.

    ``wanted`` are names that the network has, where they are known: of several parts and prefixes the one
    is read that leads to most of them. Else it is the part that is called as people call the model's own.
    Warns where the file holds a copy of it too. Raises CheckpointError for a file that is missing, damaged,
    hostile, or holds something else.
    """
    file = check_there(path)
    held = load_weights(file) if file.suffix == ".safetensors" else read_torch(file)
    return state_in(held, str(path), wanted)


def state_in(value: object, source: str, wanted: Collection[str] = ()) -> dict[str, Tensor]:
    """The named tensors of what a file holds, or a part of it; ``source`` names it in errors."""
    parts = parts_of(value)
    if not parts:
        if not isinstance(value, Mapping):
            try:
                return state_of(value)
            except CheckpointError as error:
                raise CheckpointError(f"{source}: {error}") from None
        held = ", ".join(str(name)[:40] for name in list(value)[:4]) or "nothing"
        raise CheckpointError(f"{source} holds no named tensors, but {held}: save model.state_dict()")
    found = [one for part in parts for one in _under(part, frozenset(wanted))]
    most = max((one.names for one in found), default=0)
    if most == 0 or most < len(wanted) / 2:
        return _by_its_name(parts, source)
    best = min((one for one in found if one.names == most), key=lambda one: one.copy)
    others = [one.told for one in found if one.names >= _NEARLY * most and one is not best]
    if others:
        _say(source, best.told, others)
    return {
        name.removeprefix(best.prefix): tensor
        for name, tensor in _bare(best.part.tensors, wanted).items()
        if name.startswith(best.prefix)
    }


def parts_of(value: object) -> list[Part]:
    """Every set of named tensors in what a file holds, those that are called the model's own first.

    Raises CheckpointError for a file that refers to more than it can hold.
    """
    found: list[Part] = []
    waiting, seen = deque([("", value)]), 0
    while waiting:
        place, one = waiting.popleft()
        fields = _fields(one, place)
        seen += 1 + len(fields) + (_MODULE if _is_module(one) else 0)
        if seen > _MOST:
            raise CheckpointError("the checkpoint refers to more parts than a file of training holds")
        tensors = _tensors(one, fields)
        if tensors and (not place or any(tensor.ndim for tensor in tensors.values())):
            found.append(Part(place, tensors))
        elif place.count(".") < _DEPTH:
            waiting += [
                (f"{place}.{name}".lstrip("."), inner)
                for name, inner in fields.items()
                if isinstance(name, str) and len(name) <= _LONGEST and not _TRAINING.search(name.lower())
                if isinstance(inner, Mapping | Standin)
            ]
    return sorted(found, key=lambda part: (bool(_COPY.search(part.place.lower())), _rank(part)))


def unwrapped(names: Collection[str]) -> Iterator[dict[str, str]]:
    """Ways to read names of tensors, each as the network's own name for a name of the file.

    First without what wrappers put in, then without the one word in front that most of them share.
    """
    own = {".".join(_unwrapped(name)): name for name in names if name.rpartition(".")[2] not in _COUNTS}
    while own:
        yield own
        first, count = Counter(name.partition(".")[0] for name in own).most_common(1)[0]
        if count < _NEARLY * len(own):
            return
        own = {name[len(first) + 1 :]: full for name, full in own.items() if name.startswith(f"{first}.")}


@dataclass(frozen=True, eq=False)
class _Found:
    """Names of a network in a part of a file, behind a prefix."""

    part: Part
    prefix: str
    names: int

    @property
    def copy(self) -> bool:
        return bool(_COPY.search(f"{self.part.place}.{self.prefix}".lower()))

    @property
    def told(self) -> str:
        return ".".join(filter(None, (self.part.place, self.prefix.rstrip(".")))) or "its first weights"


def _under(part: Part, wanted: frozenset[str]) -> list[_Found]:
    """The prefixes behind which a part holds wanted names."""
    counts = Counter[str]()
    for name in _bare(part.tensors, wanted):
        words = name.split(".")
        for at in range(len(words)):
            if ".".join(words[at:]) in wanted:
                counts[".".join([*words[:at], ""])] += 1
    return [_Found(part, prefix, count) for prefix, count in counts.items()]


def _by_its_name(parts: Sequence[Part], source: str) -> dict[str, Tensor]:
    best, *others = parts
    alike = [part for part in others if len(part.tensors) >= _NEARLY * len(best.tensors)]
    unnamed = [p for p in others if _rank(p) == _rank(best) == len(_OWN) and not _COPY.search(p.place)]
    if unnamed:
        places = ", ".join(part.place for part in parts[:4])
        raise CheckpointError(
            f"{source} holds {len(parts)} sets of named tensors ({places}): save one of them"
        )
    if alike:
        _say(source, best.place, [part.place for part in alike])
    return _bare(best.tensors)


def _say(source: str, best: str, others: Sequence[str]) -> None:
    warnings.warn(f"{source} holds {best} and {', '.join(others[:3])}: {best} is read", Notice, stacklevel=4)


def _rank(part: Part) -> int:
    """How surely a part is called the model's own, the surest 0."""
    return min((_OWN.index(word) for word in part.place.split(".") if word in _OWN), default=len(_OWN))


def _bare(tensors: Mapping[str, Tensor], wanted: Collection[str] = ()) -> dict[str, Tensor]:
    """Tensors without what wrappers put into their names, but for what a network itself calls so."""
    own = {word for name in wanted for word in name.split(".")}
    return {
        ".".join(_unwrapped(name, own)): tensor
        for name, tensor in tensors.items()
        if name.rpartition(".")[2] not in _COUNTS
    }


def _unwrapped(name: str, own: Collection[str] = ()) -> list[str]:
    return [word for word in name.split(".") if word not in _WRAPPERS or word in own]


def _fields(value: object, place: str) -> Mapping[object, object]:
    """The fields of a dict, of an object of some class derived from one, or of a file that is a list."""
    if isinstance(value, tuple | list) and not place:
        return {str(at): one for at, one in enumerate(value)}
    if isinstance(value, Standin):
        return value.items
    return value if isinstance(value, Mapping) else {}


def _is_module(value: object) -> bool:
    return isinstance(value, Standin) and isinstance(value.state, dict) and "_modules" in value.state


def _tensors(value: object, fields: Mapping[object, object]) -> Mapping[str, Tensor]:
    """The tensors of a state_dict or of a module; none of anything else."""
    if _is_module(value):
        try:
            return state_of(value)
        except CheckpointError:
            return {}
    if isinstance(value, tuple | list):
        return {}
    named = {name: one for name, one in fields.items() if not str(name).endswith("_extra_state")}
    tensors = {name: one for name, one in named.items() if isinstance(name, str) and isinstance(one, Tensor)}
    plain = sum(isinstance(one, int | float | str | None) for one in named.values())  # an epoch among them
    return tensors if len(tensors) + plain == len(named) and len(tensors) > plain else {}
