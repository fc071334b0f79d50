"""What a data folder holds: which public files are there, which are missing, and who publishes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.data.records import DataError, inside
from vlx.images.files import SUFFIXES


@dataclass(frozen=True)
class Source:
    """One kind of file that evaluations read."""

    name: str
    called: str
    """Its usual name, for a person."""
    patterns: tuple[str, ...]
    """How it may be called below a data folder."""
    serves: str
    """What it is needed for."""
    owner: str
    """Who publishes it, and where."""


_COCO = "COCO publishes it at https://cocodataset.org/#download"
_VQA = "VQA publishes it at https://visualqa.org"
_QUESTIONS = "occlusion and sanity of VQA models"


def _below(*names: str) -> tuple[str, ...]:
    """The names in the folder itself and in the sub-folders where archives unpack them."""
    return tuple(f"{folder}{name}" for name in names for folder in ("", "annotations/", "questions/"))


CAPTIONS = Source(
    "COCO captions",
    "captions_val2014.json",
    _below("captions.json", "captions_*.json"),
    "pointing; occlusion and sanity of captioners",
    _COCO,
)
INSTANCES = Source(
    "COCO instances",
    "instances_val2014.json",
    _below("instances.json", "instances_*.json"),
    "pointing; images of classifiers",
    _COCO,
)
DENSECAP = Source(
    "DenseCap results",
    "results.json",
    ("results.json", "densecap/results.json", "vis/data/results.json"),
    "boxes",
    "run_model.lua of https://github.com/jcjohnson/densecap writes it",
)
REGIONS = Source(
    "Visual Genome regions",
    "region_descriptions.json",
    ("region_descriptions.json", "*/region_descriptions.json"),
    "boxes, where there are no DenseCap results",
    "Visual Genome publishes it at https://homes.cs.washington.edu/~ranjay/visualgenome",
)
QUESTIONS_1 = Source(
    "VQA v1 questions",
    "OpenEnded_mscoco_val2014_questions.json",
    _below("questions.json", "OpenEnded_mscoco_*_questions.json"),
    f"attention; {_QUESTIONS}",
    f"{_VQA}/vqa_v1_download.html",
)
ANSWERS_1 = Source(
    "VQA v1 annotations",
    "mscoco_val2014_annotations.json",
    _below("annotations.json", "mscoco_*_annotations.json"),
    "types and human answers of VQA v1 questions",
    f"{_VQA}/vqa_v1_download.html",
)
QUESTIONS_2 = Source(
    "VQA v2 questions",
    "v2_OpenEnded_mscoco_val2014_questions.json",
    _below("v2_OpenEnded_mscoco_*_questions.json"),
    _QUESTIONS,
    f"{_VQA}/download.html",
)
ANSWERS_2 = Source(
    "VQA v2 annotations",
    "v2_mscoco_val2014_annotations.json",
    _below("v2_mscoco_*_annotations.json"),
    "types and human answers of VQA v2 questions",
    f"{_VQA}/download.html",
)
ATTENTION = Source(
    "VQA-HAT maps",
    "a folder vqahat_val",
    ("attention", "vqahat_val", "vqahat_train", "vqahat/vqahat_val"),
    "attention",
    "its authors publish them at https://computing.ece.vt.edu/~abhshkdz/vqa-hat",
)
IMAGES = Source(
    "images", "a folder images, val2014, VG_100K or the like",
    (
        "images", "val2014", "train2014", "test2015", "val2017", "train2017", "VG_100K", "VG_100K_2",
        "vis/data",
        "images/val2014", "images/train2014", "images/val2017", "images/train2017",
    ),
    "everything", "the owners named above publish them beside their files",
)  # fmt: skip

SOURCES = (
    CAPTIONS, INSTANCES, DENSECAP, REGIONS, QUESTIONS_1, ANSWERS_1, QUESTIONS_2, ANSWERS_2, ATTENTION, IMAGES,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DataFolder:
    """The known files below a folder."""

    root: Path
    found: Mapping[str, tuple[Path, ...]]
    """For each source, by its name, what is there."""
    split: str | None = None
    """Where a source has several files, the one whose name holds this is meant, such as val2014."""

    def has(self, source: Source) -> bool:
        """Whether there is any file of this kind."""
        return bool(self.found[source.name])

    def path(self, source: Source) -> Path:
        """The file of this kind.

        Raises DataError where there is none, naming its owner, or where there are several.
        """
        found = self.found[source.name]
        chosen = [path for path in found if self.split is None or self.split in path.name] or list(found)
        if not chosen:
            raise DataError(
                f"{self.root} has no {source.name} ({source.called}): {source.owner}; "
                f"see vlx data check {self.root}"
            )
        if len(chosen) > 1:
            names = ", ".join(path.name for path in chosen)
            raise DataError(f"{self.root} has several {source.name} ({names}): pick one by --split")
        return chosen[0]

    def image(self, *names: str) -> Path:
        """The image file of the first of these names that exists, else the path where it is missed.

        Raises DataError for a name that leads out of the folder.
        """
        folders = (*self.found[IMAGES.name], self.root)
        paths = [inside(folder, name) for name in names for folder in folders]
        return next((path for path in paths if path.is_file()), paths[0])


def look(root: str | Path, split: str | None = None) -> DataFolder:
    """Find the known files in a data folder. Raises DataError where there is no such folder.

    >>> from vlx.scenes import held_out_scenes
    >>> look(held_out_scenes()).has(IMAGES)
    True
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one with data, or scenes for the built-in world")
    found = {source.name: _matches(folder, source.patterns) for source in SOURCES}
    if any(path.suffix.lower() in SUFFIXES for path in folder.iterdir()):
        found[IMAGES.name] = (*found[IMAGES.name], folder)
    return DataFolder(folder, found, split)


def check(folder: DataFolder) -> list[str]:
    """Lines for a person: what was found, what is missing, what for, and where its owner publishes it.

    >>> from vlx.scenes import held_out_scenes
    >>> check(look(held_out_scenes()))[0]
    'found    COCO captions: captions.json'
    """
    lines: list[str] = []
    for source in SOURCES:
        found = folder.found[source.name]
        if found:
            names = ", ".join(path.relative_to(folder.root).as_posix() for path in found)
            lines.append(f"found    {source.name}: {names}{_held(source, found)}")
        else:
            lines.append(f"missing  {source.name} ({source.called}), for {source.serves}: {source.owner}")
    return lines


def _held(source: Source, found: Iterable[Path]) -> str:
    """How many files the folders of a source hold."""
    if source not in (ATTENTION, IMAGES):
        return ""
    count = sum(1 for folder in found for path in folder.iterdir() if path.is_file())
    return f" ({count} files)"


def _matches(folder: Path, patterns: Iterable[str]) -> tuple[Path, ...]:
    hits = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return tuple(dict.fromkeys(hits))
