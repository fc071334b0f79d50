"""The public files that evaluations read: their usual names, what they serve, and who publishes them."""

from dataclasses import dataclass

from vlx.eval.data import content


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
_QUESTIONS = "accuracy, deletion, insertion, occlusion and sanity of VQA models"
_PLACES = ("", "annotations/", "questions/")


def _below(*names: str) -> tuple[str, ...]:
    """The names in the folder itself and in the sub-folders where archives unpack them."""
    return tuple(f"{folder}{name}" for name in names for folder in _PLACES)


CAPTIONS = Source(
    content.CAPTIONS,
    "captions_val2014.json",
    _below("captions.json", "captions_*.json"),
    "pointing; deletion, insertion, occlusion and sanity of captioners",
    _COCO,
)
INSTANCES = Source(
    content.INSTANCES,
    "instances_val2014.json",
    _below("instances.json", "instances_*.json"),
    "pointing; boxes, where there are no region captions; images of classifiers",
    _COCO,
)
DENSECAP = Source(
    content.DENSECAP,
    "results.json",
    ("results.json", "densecap/results.json", "vis/data/results.json"),
    "boxes",
    "run_model.lua of https://github.com/jcjohnson/densecap writes it",
)
REGIONS = Source(
    content.REGIONS,
    "region_descriptions.json",
    ("region_descriptions.json", "*/region_descriptions.json"),
    "boxes, where there are no DenseCap results",
    "Visual Genome publishes it at https://homes.cs.washington.edu/~ranjay/visualgenome",
)
QUESTIONS_1 = Source(
    content.QUESTIONS.format(1),
    "OpenEnded_mscoco_val2014_questions.json",
    _below("questions.json", "OpenEnded_mscoco_*_questions.json"),
    f"attention; {_QUESTIONS}",
    f"{_VQA}/vqa_v1_download.html",
)
ANSWERS_1 = Source(
    content.ANSWERS.format(1),
    "mscoco_val2014_annotations.json",
    _below("annotations.json", "mscoco_*_annotations.json"),
    "accuracy; types and human answers of VQA v1 questions",
    f"{_VQA}/vqa_v1_download.html",
)
QUESTIONS_2 = Source(
    content.QUESTIONS.format(2),
    "v2_OpenEnded_mscoco_val2014_questions.json",
    _below("v2_OpenEnded_mscoco_*_questions.json"),
    _QUESTIONS,
    f"{_VQA}/download.html",
)
ANSWERS_2 = Source(
    content.ANSWERS.format(2),
    "v2_mscoco_val2014_annotations.json",
    _below("v2_mscoco_*_annotations.json"),
    "accuracy; types and human answers of VQA v2 questions",
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
    "images", "a folder images, val2014, VG_100K or the like", (),
    "everything", "the owners named above publish them beside their files",
)  # fmt: skip

SOURCES = (
    CAPTIONS, INSTANCES, DENSECAP, REGIONS, QUESTIONS_1, ANSWERS_1, QUESTIONS_2, ANSWERS_2, ATTENTION, IMAGES,
)  # fmt: skip
