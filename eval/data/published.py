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
    holds: str = ""
    """Of folders, how the names of their files end; empty where JSON files are meant."""
    plain: bool = False
    """Whether it is known by its name alone: a folder, or a table that is no JSON."""


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
    "pointing; classes-pointing; localisation; seeds; boxes without region captions; images of classifiers",
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
    plain=True,
)
_ILSVRC = (
    "ImageNet publishes it at https://image-net.org/challenges/LSVRC, Kaggle at "
    "https://kaggle.com/c/imagenet-object-localization-challenge"
)


def _devkit(*names: str) -> tuple[str, ...]:
    """The names in the folder itself and where the devkit unpacks them."""
    return tuple(f"{folder}{name}" for name in names for folder in ("", "data/", "*/data/"))


ILSVRC_TRUTH = Source(
    "ILSVRC classes",
    "LOC_val_solution.csv or ILSVRC2012_validation_ground_truth.txt",
    ("LOC_val_solution.csv", *_devkit("*_validation_ground_truth.txt")),
    "localisation",
    _ILSVRC,
    plain=True,
)
ILSVRC_SYNSETS = Source(
    "ILSVRC synsets",
    "LOC_synset_mapping.txt or meta_clsloc.mat",
    ("LOC_synset_mapping.txt", *_devkit("map_clsloc.txt", "meta_clsloc.mat", "meta.mat", "synset_words.txt")),
    "localisation on ILSVRC",
    _ILSVRC,
    plain=True,
)
ILSVRC_BOXES = Source(
    "ILSVRC boxes",
    "a folder bbox/val of XML files",
    ("bbox/val", "*/bbox/val", "ILSVRC/Annotations/CLS-LOC/val", "Annotations/CLS-LOC/val"),
    "localisation on ILSVRC, where Kaggle's table is not there",
    _ILSVRC,
    holds=".xml",
    plain=True,
)
ILSVRC_BLACKLIST = Source(
    "ILSVRC blacklist",
    "ILSVRC2014_clsloc_validation_blacklist.txt",
    _devkit("*validation_blacklist.txt"),
    "localisation on ILSVRC: images whose boxes do not count",
    _ILSVRC,
    plain=True,
)
VOC_BOXES = Source(
    "VOC boxes",
    "a folder Annotations of XML files",
    ("Annotations", "*/Annotations", "VOCdevkit/*/Annotations"),
    "classes-pointing, classes-reject and localisation, of VOC or of your own images",
    "PASCAL VOC publishes it at http://host.robots.ox.ac.uk/pascal/VOC",
    holds=".xml",
    plain=True,
)
VOC_MASKS = Source(
    "VOC masks",
    "a folder SegmentationClass of palette files",
    ("SegmentationClass", "*/SegmentationClass", "VOCdevkit/*/SegmentationClass"),
    "seeds, and vlx train sec, of VOC or of your own images",
    "PASCAL VOC publishes it at http://host.robots.ox.ac.uk/pascal/VOC",
    holds=".png",
    plain=True,
)
IMAGES = Source(
    "images", "a folder images, val2014, VG_100K or the like", (),
    "everything", "the owners named above publish them beside their files",
)  # fmt: skip

SOURCES = (
    CAPTIONS, INSTANCES, DENSECAP, REGIONS, QUESTIONS_1, ANSWERS_1, QUESTIONS_2, ANSWERS_2, ATTENTION,
    ILSVRC_TRUTH, ILSVRC_SYNSETS, ILSVRC_BOXES, ILSVRC_BLACKLIST, VOC_BOXES, VOC_MASKS, IMAGES,
)  # fmt: skip
