"""Settings of a run, and the folder that belongs to them alone."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.models import ModelType
from vlx.eval.items.options import Options
from vlx.images.files import write_whole

SETTINGS = "settings.json"
_NO_ROW = frozenset({"damaged"})  # decide when a run ends
_KEYS = {"model_type": "kind"}  # fields that the file calls otherwise
_CLASSES = ("localisation", "classes-pointing", "classes-reject", "seeds")
_ONLY_OF = {
    "steps": ("deletion", "insertion"),
    "threshold": ("localisation",),
    "connectivity": ("localisation",),
    "radius": ("classes-pointing", "classes-reject"),
    "crop": _CLASSES,
    "classes": _CLASSES,
    "foreground": ("seeds",),
    "background": ("seeds",),
    "saliency": ("seeds",),
}  # options that the settings of other tasks have never held
_LATER = {"wrong": 0}
"""Options that came later, with what settings mean that lack them: they hold one only where it is another."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the rows are; two runs with the same settings give the same rows."""

    task: str
    model: str
    model_type: ModelType
    """``kind`` in the file."""
    weights: str
    """A fingerprint of the model's weights."""
    layer: str
    methods: tuple[str, ...]
    items: str
    """A fingerprint of the items."""
    count: int
    batch: int
    device: str
    precision: str
    threads: int
    """CPU threads of one worker; sums may be rounded differently with another number."""
    damaged: float
    """The largest share of items with a damaged image or record. It decides when a run ends, and no row."""
    options: Options
    versions: Mapping[str, str]
    more: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fingerprints of what no other setting tells, such as how the model reads. The file has no such key
    where there is none."""
    simulated: bool = False
    """Whether people decide what is measured and the data simulate them."""

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        told["options"] = {
            name: value
            for name, value in told["options"].items()
            if self.task in _ONLY_OF.get(name, (self.task,)) and (name, value) not in _LATER.items()
        }
        if not self.simulated:
            del told["simulated"]
        return {_KEYS.get(name, name): value for name, value in told.items() if name != "more" or value}

    @property
    def fingerprint(self) -> str:
        """Of all settings that decide rows; the bytes of images and human maps stand with each batch."""
        return fingerprint_of(self.plain)

    @property
    def batches(self) -> int:
        """How many batches all items make."""
        return -(-self.count // self.batch)


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th batch, from the ``index``-th on (counted from 1)."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise VlxError(f"shard {self.index}/{self.count}: give 1/3, 2/3 and 3/3 for three shards")

    def of(self, batches: int) -> range:
        """The numbers of its batches."""
        return range(self.index - 1, batches, self.count)


def parse_shard(text: str) -> Shard:
    """The shard that ``2/7`` means. Raises VlxError for anything else."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise VlxError(f"no shard {text!r}: give i/n, such as 1/4")
    return Shard(int(index), int(count))


def fingerprint_of(settings: Mapping[str, Any]) -> str:
    """A fingerprint of settings as JSON holds them, but of those that only decide when a run ends."""
    return hashlib.sha256(json.dumps(deciding(settings), sort_keys=True).encode()).hexdigest()


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of settings as JSON holds them that decide what the rows are."""
    return {name: value for name, value in settings.items() if name not in _NO_ROW}


def read_settings(out: Path) -> tuple[dict[str, Any], Shard]:
    """The settings and the shard of the results in a folder. Raises VlxError where there are none."""
    try:
        told: Any = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
        return dict(told["settings"]), Shard(*told["shard"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VlxError(f"{out} holds no results of vlx evaluate ({error})") from None


def settings_of(plain: Mapping[str, Any]) -> Settings:
    """Settings from what JSON holds of them."""
    try:
        fields = {key: name for name, key in _KEYS.items()}
        facts: dict[str, Any] = {fields.get(key, key): value for key, value in plain.items()}
        options: dict[str, Any] = {**_LATER, **plain["options"]}
        facts |= {"methods": tuple(plain["methods"]), "options": Options(**options)}
        return Settings(**facts)
    except (KeyError, TypeError) as error:
        raise VlxError(f"these settings are of another version of vlx ({error})") from None


def agree(out: Path, settings: Settings, shard: Shard) -> None:
    """Make sure that a folder without batches, or with batches of these settings, is taken.

    Raises VlxError for any other. Settings without a batch are those of a run that was refused: they bind
    nobody.
    """
    if not any((out / "parts").glob("*.json")):
        return
    if not (out / SETTINGS).exists():
        raise VlxError(f"{out} holds batches without their settings: give --out another folder")
    there, part = read_settings(out)
    mine = {**_each(deciding(settings.plain)), "shard": f"{shard.index}/{shard.count}"}
    theirs = {**_each(deciding(there)), "shard": f"{part.index}/{part.count}"}
    other = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    if other:
        pairs = [f"{name} {_short(theirs.get(name))} there, {_short(mine.get(name))} now" for name in other]
        raise VlxError(f"{out} holds other settings ({'; '.join(pairs)}): give --out another folder")


def claim(out: Path, settings: Settings, shard: Shard) -> None:
    """Write the settings into a folder with which they `agree`."""
    agree(out, settings, shard)
    told = {"settings": settings.plain, "shard": [shard.index, shard.count]}
    text = (json.dumps(told, indent=1) + "\n").encode()
    path = out / SETTINGS
    if not path.is_file() or path.read_bytes() != text:
        write_whole(path, text)


def _each(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with each option by itself, so that a line can tell which one is another."""
    options = {f"option {name}": value for name, value in dict(settings.get("options", {})).items()}
    return {name: value for name, value in settings.items() if name != "options"} | options


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
