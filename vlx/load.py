"""Load a model by its name. Together with the command line, the place that knows all adapters."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlx.errors import VlxError, near_names

_KNOWN = {
    "scenes/captioner": "captions of the built-in scenes: small VGG-like CNN + LSTM, as in neuraltalk2",
    "scenes/vqa": "answers about the built-in scenes: deeper LSTM Q + norm I at a small size",
    "torchvision/NAME": "any torchvision classifier by its name, with its published ImageNet weights",
    "torchvision/NAME:FILE": "the same network with your own weights (.safetensors, or a .pth state_dict)",
    "neuraltalk2:FILE": "neuraltalk2's checkpoint, model_id….t7",
    "vqa-lstm-cnn:FOLDER": "deeper LSTM Q + norm I: lstm….t7, data_prepro.json and a VGG-19",
    "hiecoatten:FOLDER": "hierarchical co-attention: model….t7, vqa_data_prepro.json and a VGG-19 or ResNet",
    "im2txt:PREFIX": "Show and Tell: a TensorFlow checkpoint, word_counts.txt beside it",
    "ruotianluo:FOLDER": "ImageCaptioning.pytorch: model.pth, infos….pkl and resnet….pth",
    "sgrvinod:FOLDER": "a tutorial's attention captioner: BEST_checkpoint….pth.tar and WORDMAP….json",
    "udacity:FOLDER": "a captioner of the Udacity course: encoder, decoder and vocab.pkl",
    "yunjey:FOLDER": "a captioner of yunjey's tutorial: encoder, decoder and vocab.pkl",
    "caffe:FILE": "a classifier's .caffemodel: VGG, AlexNet, CaffeNet, GoogLeNet, SqueezeNet",
    "hf:NAME": "a model of Hugging Face's transformers from the hub, such as hf:Salesforce/blip-vqa-base",
    "hf:FOLDER": "the same from a local folder; weights are read from safetensors only",
    "python:MODULE:FUNCTION": "a model of your own: what FUNCTION() of MODULE returns, which is run",
}


def known_models() -> Mapping[str, str]:
    """The names that `load` takes, with a line on each."""
    return dict(_KNOWN)


def load(name: str, *, layer: str | int | None = None, device: str = "cpu") -> Any:
    """Load a captioner, a VQA model or a classifier by name; see `known_models`.

    ``layer`` overrides the model's default layer, by dotted name or index. Raises VlxError for
    an unknown name, LayerError for an unknown layer, CheckpointError for a bad weight file.
    """
    if device == "auto" and not name.startswith(("hf:", "python:")):
        raise VlxError(f"device auto spreads a model of transformers (hf:…), not {name}: use cpu, cuda, mps")
    if name == "scenes/captioner":
        from vlx.scenes.models import load_captioner

        return load_captioner(layer=layer, device=device)
    if name == "scenes/vqa":
        from vlx.scenes.models import load_vqa

        return load_vqa(layer=layer, device=device)
    if name.startswith("hf:"):
        from vlx.adapters.huggingface import load_huggingface

        return load_huggingface(name[3:], layer=layer, device=device)
    if name.startswith("python:"):
        return _own(name, layer, device)
    family, colon, where = name.partition(":")
    if colon and "/" not in family:
        from vlx.adapters.catalogue import open_published

        return open_published(family, where, layer=layer, device=device)
    family, _, rest = name.partition("/")
    if family == "torchvision" and rest:
        from vlx.adapters.families.torchvision import load_torchvision

        network, _, weights = rest.partition(":")
        return load_torchvision(network, weights or None, layer=layer, device=device)
    raise VlxError(f"no model {name!r}{near_names(name, _KNOWN)}")


def _own(name: str, layer: str | int | None, device: str) -> Any:
    """What a user's function makes, with ``layer`` and ``device`` where it takes them.

    The working directory is searched too.
    """
    _, _, where = name.partition(":")
    module_name, _, function = where.partition(":")
    if not (module_name and function):
        raise VlxError(f"no model {name!r}: give a module and a function, as python:my_models:captioner")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise VlxError(f"{name}: {error}") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    make = getattr(module, function, None)
    if not callable(make):
        raise VlxError(f"{name}: no function {function!r}{near_names(function, vars(module))}")
    asked = {"layer": layer, "device": None if device == "cpu" else device}
    wanted = {key: value for key, value in asked.items() if value is not None}
    unknown = wanted.keys() - inspect.signature(make).parameters.keys()
    if unknown:
        raise VlxError(
            f"{name} takes no {' and no '.join(sorted(unknown))}: let {function}() take it by name"
        )
    return make(**wanted)
