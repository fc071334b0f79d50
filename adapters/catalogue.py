"""Open published models by family: which files each needs, and which of a folder they are."""

from pathlib import Path
from typing import Any

from vlx.adapters.files.folders import only_file
from vlx.errors import VlxError, near_names
from vlx.passes.site import Layer

FAMILIES = (
    "neuraltalk2",
    "vqa-lstm-cnn",
    "hiecoatten",
    "im2txt",
    "ruotianluo",
    "sgrvinod",
    "udacity",
    "yunjey",
    "caffe",
)
"""What each reads follows its name and a colon: see `vlx.load.known_models`."""

_VGG = ("*.caffemodel", "*vgg*.pth", "*.safetensors")


def open_published(family: str, where: str, *, layer: Layer | None = None, device: str = "cpu") -> Any:
    """Open a model of a published family from its file or folder.

    Raises CheckpointError where a file is missing, ambiguous, damaged or of another family, and VlxError
    for an unknown family.
    """
    place: dict[str, Any] = {"layer": layer, "device": device}
    match family:
        case "neuraltalk2":
            from vlx.adapters.families.neuraltalk2 import load_neuraltalk2

            return load_neuraltalk2(where, **place)
        case "vqa-lstm-cnn":
            from vlx.adapters.families.vqa_lstm_cnn import load_vqa_lstm_cnn

            texts = only_file(where, "data_prepro*.json")
            return load_vqa_lstm_cnn(only_file(where, "*lstm*.t7"), texts, only_file(where, *_VGG), **place)
        case "hiecoatten":
            from vlx.adapters.families.hiecoatten import load_hiecoatten

            cnn = only_file(where, "*.caffemodel", "resnet*.t7", "*.pth")
            texts = only_file(where, "vqa_data_prepro*.json")
            return load_hiecoatten(only_file(where, "model*.t7"), texts, cnn, **place)
        case "im2txt":
            from vlx.adapters.families.im2txt import load_im2txt

            return load_im2txt(where, only_file(Path(where).parent, "word_counts*.txt"), **place)
        case "caffe":
            from vlx.adapters.families.caffe import load_caffe

            return load_caffe(where, **place)
        case _:
            return _ported(family, where, place)


def _ported(family: str, where: str, place: dict[str, Any]) -> Any:
    """Open one of the models that were written in PyTorch."""
    match family:
        case "ruotianluo":
            from vlx.adapters.families.ruotianluo import load_ruotianluo

            found = (only_file(where, name) for name in ("model*.pth", "infos*.pkl", "resnet*.pth"))
            return load_ruotianluo(*found, **place)
        case "sgrvinod":
            from vlx.adapters.families.sgrvinod import load_sgrvinod

            return load_sgrvinod(only_file(where, "*.pth.tar"), only_file(where, "WORDMAP*.json"), **place)
        case "udacity" | "yunjey":
            from vlx.adapters.families.students import find_student_files, load_udacity, load_yunjey

            found = find_student_files(where)
            opened = load_udacity if family == "udacity" else load_yunjey
            return opened(found.encoder, found.decoder, found.vocabulary, **place)
        case _:
            raise VlxError(f"no published family {family!r}{near_names(family, FAMILIES)}")
