"""Score the classifiers of the built-in scenes on scenes that they have not learned from."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from vlx.adapters.parts.classifier import Classifier
from vlx.scenes.models import load_classifier, load_gap_classifier
from vlx.scenes.training.log import Log

BATCH = 64
LOADERS = {"classifier": load_classifier, "classifier-gap": load_gap_classifier}


@dataclass(frozen=True)
class ClassScores:
    """How well the categories of scenes are told; categories that no scene shows are left out."""

    precisions: Mapping[str, float]
    """The average precision of each category."""
    recalls: Mapping[str, float]
    """The share of the scenes with a category in which its probability is above .5."""
    wrong: float
    """The share of what has a probability above .5 that is not there."""
    top_1: float
    """The share of scenes that show the likeliest category."""
    shares: Mapping[str, float]
    """The share of scenes that show a category: the average precision of one that ranks at random."""

    def lines(self) -> list[str]:
        """The scores, each beside what is reached without a look at the image."""
        low = sorted((value, name) for name, value in self.recalls.items() if value < 1)
        named = ", ".join(f"{name} {value:.2f}" for value, name in low)
        mean = _mean(self.recalls)
        return [
            f"mean average precision {_mean(self.precisions):.4f} of {len(self.precisions)} categories "
            f"(ranked at random: {_mean(self.shares):.4f})",
            f"likeliest category is there {self.top_1:.4f} (always the commonest: "
            f"{max(self.shares.values()):.4f})",
            f"recall at .5, mean of categories {mean:.4f}; not there of what is above .5 {self.wrong:.4f}",
            f"recall at .5 below 1: {named or 'none'}",
        ]


def report_classes(
    folder: Path, images: Mapping[int, Image.Image], present: Mapping[int, Set[str]], log: Log
) -> None:
    """Log the scores of the classifiers in a folder; of one that an earlier training left none."""
    for name, load in LOADERS.items():
        if not (folder / f"{name}.safetensors").is_file():
            log(f"no {name}.safetensors")
            continue
        model = load(folder=folder)
        log(f"{model.name}, categories of held-out scenes:")
        for line in class_scores(model, list(images.values()), [present[one] for one in images]).lines():
            log(f"  {line}")


def class_scores(
    model: Classifier, images: Sequence[Image.Image], present: Sequence[Set[str]]
) -> ClassScores:
    """Score a classifier on images whose categories are known."""
    parts = [model.read(images[at : at + BATCH]).scores[:, 0] for at in range(0, len(images), BATCH)]
    scores = np.concatenate([part.detach().double().cpu().numpy() for part in parts])
    return scores_of(scores, model.labels, present)


def scores_of(
    scores: Float[np.ndarray, "image label"], labels: Sequence[str], present: Sequence[Set[str]]
) -> ClassScores:
    """Score logits of some labels of images whose categories are known."""
    there = np.array([[name in shown for name in labels] for shown in present])
    said = scores > 0  # the logit of a probability of .5
    kept = {name: at for at, name in enumerate(labels) if there[:, at].any()}
    return ClassScores(
        {name: average_precision(scores[:, at], there[:, at]) for name, at in kept.items()},
        {name: float(said[there[:, at], at].mean()) for name, at in kept.items()},
        float(1 - there[said].mean()) if said.any() else 0.0,
        float(there[np.arange(len(there)), scores.argmax(1)].mean()),
        {name: float(there[:, at].mean()) for name, at in kept.items()},
    )


def average_precision(scores: Float[np.ndarray, " item"], there: Bool[np.ndarray, " item"]) -> float:
    """The mean, over the items that are there, of the precision among those that score as high or higher.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))  # (1 / 1 + 2 / 3) / 2
    0.8333333333333333
    """
    right = [float(there[scores >= one].mean()) for one in scores[there]]
    return sum(right) / len(right)


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / max(1, len(values))
