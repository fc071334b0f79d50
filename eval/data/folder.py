"""What a data folder holds: which public files are there, which are missing, and who publishes them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.data.content import Content, content_of
from vlx.eval.data.photos import Photos, entries, folders_in, holds_images, photos_in
from vlx.eval.data.published import ANSWERS_1, ATTENTION, IMAGES, QUESTIONS_1, SOURCES, Source
from vlx.eval.data.records import DataError
from vlx.images.files import SUFFIXES

_GENERIC = {"captions", "instances", "results", "questions", "annotations"}
"""Names that other tools give to other files: what lies under them is taken by its content alone."""
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_MANY = 100  # more JSON files than this in a folder are one for each image: none is looked into
_SHOWN = 20
MARK = "vlx scenes"
"""Begins the description in every file of generated scenes."""


@dataclass(frozen=True)
class Declined:
    """A file that no evaluation reads."""

    path: Path
    says: str
    """What it is, or what is wrong with it."""
    named: str = ""
    """The source whose name it bears."""


@dataclass(frozen=True, eq=False)
class DataFolder:
    """The known files below a folder."""

    root: Path
    found: Mapping[str, tuple[Path, ...]]
    """For each source, by its name, what is there."""
    photos: Photos
    split: str | None = None
    """Where a source has several files, the one whose name holds this is meant, such as val2014."""
    declined: tuple[Declined, ...] = ()

    def has(self, source: Source) -> bool:
        """Whether there is any file of this kind."""
        return bool(self.found[source.name])

    def path(self, source: Source) -> Path:
        """The file of this kind.

        Raises DataError where there is none, naming its owner and what was not taken for it, or where there
        are several.
        """
        found = self.found[source.name]
        chosen = [path for path in found if self.split is None or self.split in self.name(path)]
        chosen = chosen or list(found)
        if not chosen:
            near = [one for one in self.declined if one.named in (source.name, "archive")]
            told = "".join(f"; not taken: {self.name(one.path)} ({one.says})" for one in near[:3])
            raise DataError(
                f"{self.root} has no {source.name} ({source.called}): {source.owner}{told}; "
                f"see vlx data check {self.root}"
            )
        if len(chosen) > 1:
            names = ", ".join(map(self.name, chosen))
            raise DataError(f"{self.root} has several {source.name} ({names}): pick one by --split")
        return chosen[0]

    def name(self, path: Path) -> str:
        """A path as it stands below the folder."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    @property
    def simulated(self) -> bool:
        """Whether these are scenes of vlx, in which people, their answers and attention, are simulated."""
        mark = f'"description": "{MARK}'
        return any(mark in _beginning(path) for path in self.found[QUESTIONS_1.name])

    def image(self, *names: str) -> Path:
        """The image file of the first of these names that exists, else the path where it is missed.

        Raises DataError for a name that leads out of the folder, and where several files would do.
        """
        return self.photos.find(names)


def look(root: str | Path, split: str | None = None) -> DataFolder:
    """Find the known files in a data folder, by their names and their content.

    A file under another name is taken where no file has the usual one. Raises DataError where there is no
    such folder.

    >>> from vlx.scenes import held_out_scenes
    >>> [folder.name for folder in look(held_out_scenes()).photos.places]
    ['images']
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder}: {_no_folder(folder)}")
    found = {source.name: _matches(folder, source) for source in SOURCES}
    taken, declined = _sorted_out(folder, found)
    photos = photos_in(folder, split)
    here = (folder,) if holds_images(folder, None) else ()
    taken[IMAGES.name] = (*photos.places, *here)
    return DataFolder(folder, taken, photos, split, (*declined, *_left_lying(folder)))


def check(folder: DataFolder) -> list[str]:
    """Lines for a person: what was found, what is missing, what for, and where its owner publishes it.

    Below them stand the files that were looked at and not taken, with what they are.

    >>> from vlx.scenes import held_out_scenes
    >>> check(look(held_out_scenes()))[0]
    'found    COCO captions: captions.json'
    """
    lines: list[str] = []
    for source in SOURCES:
        found = folder.found[source.name]
        if found:
            made = ", simulated" if folder.simulated and source in (ANSWERS_1, ATTENTION) else ""
            names = ", ".join(map(folder.name, found))
            lines.append(f"found    {source.name}: {names}{_held(source, found)}{made}")
        else:
            lines.append(f"missing  {source.name} ({source.called}), for {source.serves}: {source.owner}")
    shown = [f"not read {folder.name(one.path)}: {one.says}" for one in folder.declined[:_SHOWN]]
    more = len(folder.declined) - len(shown)
    return [*lines, *shown, *([f"not read {more} other files"] if more else [])]


def _no_folder(path: Path) -> str:
    if path.is_file():
        packed = path.name.lower().endswith(_ARCHIVES)
        return f"{'an archive: unpack it and give' if packed else 'a file: give'} the folder"
    if path.is_symlink():
        return f"a link to {os.readlink(path)}, where nothing is"
    return "no such folder; give one with data, or scenes for the built-in world"


def _beginning(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(300)
    except OSError:
        return ""


def _held(source: Source, found: Iterable[Path]) -> str:
    """How many files the folders of a source hold."""
    if source not in (ATTENTION, IMAGES) and not source.holds:
        return ""
    held = [path for folder in found for path in folder.iterdir()]
    count = sum(map(os.path.isfile, held))
    lost = sum(os.path.islink(path) and not os.path.exists(path) for path in held)
    return f" ({count} files{f', {lost} links to nothing' if lost else ''})"


def _matches(folder: Path, source: Source) -> tuple[Path, ...]:
    ends = ("",) if source.plain else ("", ".gz")
    hits = [path for one in source.patterns for end in ends for path in sorted(folder.glob(f"{one}{end}"))]
    if source.holds:
        hits = [path for path in hits if any(name.lower().endswith(source.holds) for name in entries(path))]
    return tuple(dict.fromkeys(path for path in hits if not path.name.startswith(".")))


Looked = tuple[Path, Content, str]
"""A file, what it holds, and the source whose name it bears, if any."""


def _sorted_out(
    folder: Path, named: Mapping[str, tuple[Path, ...]]
) -> tuple[dict[str, tuple[Path, ...]], list[Declined]]:
    """The files of each source by name and content, and those that are none."""
    taken = {source.name: list(named[source.name]) if source.plain else [] for source in SOURCES}
    rest: list[Looked] = []
    for source in SOURCES:
        for path in () if source.plain else named[source.name]:
            found = content_of(path)
            if _fits(found, source, path):
                taken[source.name].append(path)
            else:
                rest.append((path, found, source.name))
    known = {path for paths in named.values() for path in paths}
    rest += [(path, content_of(path), "") for path in _further(folder) if path not in known]
    declined = _add_rest(taken, rest)
    return {name: tuple(paths) for name, paths in taken.items()}, declined


def _fits(found: Content, source: Source, path: Path) -> bool:
    """Whether a file is taken as the source whose name it bears; an official one is unless it is another."""
    if found.format == source.name:
        return True
    if path.name.partition(".")[0] in _GENERIC:
        return False
    return not found.sure or (found.format is not None and _kin(found.format, source.name))


def _add_rest(taken: dict[str, list[Path]], rest: Iterable[Looked]) -> list[Declined]:
    """Give files under other names to sources that have none; those that are left."""
    declined: list[Declined] = []
    other: dict[str, list[Path]] = {}
    for path, found, bears in rest:
        if found.format is not None:
            other.setdefault(found.format, []).append(path)
        elif found.sure or bears:
            declined.append(Declined(path, found.says, bears))
    for name, paths in other.items():
        if taken[name]:
            said = f"{name} too, which {taken[name][0].name} holds under their usual name"
            declined += [Declined(path, said) for path in paths]
        else:
            taken[name] = paths
    return declined


def _kin(first: str, second: str) -> bool:
    """Whether two names are those of versions of one thing."""
    return first.startswith("VQA") and second.startswith("VQA") and first.split()[-1] == second.split()[-1]


def _further(folder: Path) -> list[Path]:
    """JSON files under any name, in the folder and those just below it."""
    found: list[Path] = []
    for place in (folder, *folders_in(folder)):
        here = [place / name for name in entries(place) if name.lower().endswith((".json", ".json.gz"))]
        found += sorted(path for path in here if path.is_file()) if len(here) <= _MANY else []
    return found


def _left_lying(folder: Path) -> list[Declined]:
    """Archives that were not unpacked, and links that lead nowhere."""
    found: list[Declined] = []
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(_ARCHIVES):
            found.append(Declined(path, "an archive: unpack it", "archive"))
        elif path.is_symlink() and not os.path.exists(path) and path.suffix.lower() not in SUFFIXES:
            found.append(Declined(path, f"a link to {os.readlink(path)}, where nothing is", "archive"))
    return found
