"""The models of the built-in scenes, from the weights that come with the package."""

import json
from pathlib import Path
from typing import Any

import vlx.scenes
from vlx.adapters.files.weights import fit_weights, load_weights, ready
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.nets.recurrent import CaptionNetwork, caption_network
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.classifier import Classifier
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.family import Family, by_name_alone
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.site import Layer
from vlx.scenes.classes import SceneClassifier, fixed, gap_classifier, vgg_classifier
from vlx.scenes.cnn import FC, small_vgg
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.plan import SIDE
from vlx.scenes.texts import caption_vocabulary_of, question_vocabulary_of

ASSETS = Path(vlx.scenes.__file__).parent / "assets"
PREPROCESS = Preprocess(Squash((SIDE, SIDE)), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def load_captioner(
    *, layer: Layer | None = None, device: str = "cpu", folder: str | Path = ASSETS
) -> CNNLSTMCaptioner:
    """The captioner of the built-in scenes: a small VGG and an LSTM as in neuraltalk2."""
    facts = _facts(Path(folder) / "captioner.json", ("words", "embedding", "hidden", "steps"))
    network = caption_network(
        small_vgg(), FC[1], len(facts["words"]), embedding=facts["embedding"], hidden=facts["hidden"]
    )
    _load(network, Path(folder), "captioner.safetensors", device)
    return CNNLSTMCaptioner(
        network,
        caption_vocabulary_of(facts["words"]),
        PREPROCESS,
        layer=layer,
        steps=facts["steps"],
        name="scenes/captioner",
    )


def load_vqa(
    *,
    layer: Layer | None = None,
    device: str = "cpu",
    folder: str | Path = ASSETS,
    weights: str = "vqa",
) -> DeeperLSTM:
    """The VQA model of the built-in scenes: deeper LSTM Q + norm I at a small size.

    With ``weights="question-only"`` the control that never saw an image.
    """
    facts = _facts(Path(folder) / "vqa.json", ("words", "answers", "embedding", "hidden", "joint"))
    network = QuestionNetwork(
        small_vgg(), FC[1], len(facts["words"]), len(facts["answers"]),
        embedding=facts["embedding"], hidden=facts["hidden"], joint=facts["joint"],
    )  # fmt: skip
    _load(network, Path(folder), f"{weights}.safetensors", device)
    return DeeperLSTM(
        network,
        question_vocabulary_of(facts["words"]),
        facts["answers"],
        PREPROCESS,
        layer=layer,
        name=f"scenes/{weights}",
    )


def load_classifier(
    *, layer: Layer | None = None, device: str = "cpu", folder: str | Path = ASSETS
) -> Classifier:
    """The classifier of the built-in scenes: a small VGG with fc6, fc7 and fc8, a sigmoid for each class.

    Its classes are the COCO categories that scenes show, by their names.
    """
    return _classifier(vgg_classifier(), "classifier", layer, device, Path(folder))


def load_gap_classifier(
    *, layer: Layer | None = None, device: str = "cpu", folder: str | Path = ASSETS
) -> Classifier:
    """Its sister, whose last maps are averaged: the form that class activation maps need."""
    return _classifier(gap_classifier(), "classifier-gap", layer, device, Path(folder))


def _classifier(
    network: SceneClassifier, name: str, layer: Layer | None, device: str, folder: Path
) -> Classifier:
    below = fixed(load_weights(folder / "cnn.safetensors"))
    file = folder / f"{name}.safetensors"
    fit_weights(network, {**load_weights(file), **below}, str(file))
    return Classifier(
        ready(network, device),
        [one.name for one in CATEGORIES],
        PREPROCESS,
        layer=layer,
        name=f"scenes/{name}",
        multi_label=True,
    )


def _load(network: CaptionNetwork | QuestionNetwork, folder: Path, name: str, device: str) -> None:
    cnn = {f"cnn.{key}": value for key, value in load_weights(folder / "cnn.safetensors").items()}
    fit_weights(network, {**load_weights(folder / name), **cnn}, str(folder / name))
    ready(network, device)


def _facts(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or damaged: {error}") from None
    missing = [key for key in keys if not isinstance(facts, dict) or key not in facts]
    if missing:
        raise CheckpointError(f"{path} does not say {', '.join(missing)}")
    return facts


SCENES = (
    Family(
        {
            "scenes/captioner": "captions of the built-in scenes: "
            "small VGG-like CNN + LSTM, as in neuraltalk2",
        },
        open=by_name_alone(load_captioner),
    ),
    Family(
        {"scenes/vqa": "answers about the built-in scenes: deeper LSTM Q + norm I at a small size"},
        open=by_name_alone(load_vqa),
    ),
    Family(
        {
            "scenes/classifier": "COCO categories in the built-in scenes, several at once: "
            "small VGG with fully connected layers",
        },
        open=by_name_alone(load_classifier),
    ),
    Family(
        {"scenes/classifier-gap": "the same from averaged maps (CAM's form)"},
        open=by_name_alone(load_gap_classifier),
    ),
)
"""What `vlx.load` opens by name."""
