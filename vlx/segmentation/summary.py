"""What a study found, as tables."""

from collections.abc import Sequence

import numpy as np

from vlx.segmentation.pictures import Pictures
from vlx.segmentation.scores import Counts, difference_with_interval, mean_iou_with_interval
from vlx.segmentation.study import CUES, MASKS, Found, Study


def markdown(study: Study, found: Sequence[Found]) -> str:
    """Two tables with their protocol: how good the seeds are, and how well the networks segment."""
    recipe, train, test = study.recipe, study.train, study.test
    lost = len(train.lost) + len(test.lost)
    parts = [
        "Segmentation from seeds (paper 4.2; SEC, arXiv 1603.06098)\n",
        _table(
            ("seeds", "precision", "recall", "IoU", "background precision", "background recall"),
            _seeds(found),
        ),
        f"Seeds of {len(train.images)} images to learn from, on {recipe.grid[0]} x {recipe.grid[1]} cells; "
        "one confusion matrix of all their pixels; means over classes that are there, without background.\n",
        _table(("learned from", "mean IoU", "95% interval", "images"), _networks(study, found)),
        f"Mean IoU over {len(test.names)} classes and background from one confusion matrix over held-out "
        "images (classes neither there nor found left out, 255 ignored); intervals draw images; no CRF after "
        f"the network. {_how(study)} {lost} damaged or missing images or masks left out.\n",
    ]
    return "\n".join(parts)


def _how(study: Study) -> str:
    recipe = study.recipe
    maps = ""
    if any(one not in (MASKS, CUES) for one in study.sources):
        layer = recipe.background_layer or "the layer explained"
        maps = (
            f" Foreground above 20 % of a map's maximum, of {study.model}"
            + (f" and for cam of {study.cam_model}" if study.cam_model else "")
            + f"; background the lowest 10 % of |gradient| of all classes at {layer}, 3 x 3 median; overlaps "
            "to the smaller region."
        )
    return (
        f"Recipe {recipe.name}: {recipe.network}, {recipe.steps} steps of {recipe.batch} images of "
        f"{recipe.side} x {recipe.side}, seed {study.seed}; seed, expand and constrain losses 1 : 1 : 1, "
        f"masks by cross-entropy.{maps}"
    )


def _seeds(found: Sequence[Found]) -> list[list[str]]:
    rows: list[list[str]] = []
    for one in found:
        told = one.quality
        values = [*told.mean(nothing=False), told.precision[0], told.recall[0]]
        rows.append([one.source, *(_number(value) for value in values)])
    return rows


def _networks(study: Study, found: Sequence[Found]) -> list[list[str]]:
    ids = study.test.ids
    rows = [[one.source, *_told(*mean_iou_with_interval(one.counts, ids)), str(len(ids))] for one in found]
    nothing = background_everywhere(study.test)
    rows.append(["background everywhere", *_told(*mean_iou_with_interval(nothing, ids)), str(len(ids))])
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            told = _told(*difference_with_interval(one.counts, other.counts, ids))
            rows.append([f"{one.source} minus {other.source}", *told, str(len(ids))])
    return rows


def background_everywhere(test: Pictures) -> Counts:
    """What a network finds that calls every pixel background."""
    counts = np.zeros((len(test.images), 3, len(test.names) + 1), dtype=np.int64)
    for at in range(len(test.images)):
        truth = test.truth(at)
        there = np.bincount(truth[truth != 255], minlength=counts.shape[2])
        counts[at, 1] = there
        counts[at, 0, 0], counts[at, 2, 0] = there[0], there.sum()
    return counts


def _told(value: float | None, interval: tuple[float, float] | None) -> list[str]:
    ends = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    return ["" if value is None else f"{value:.3f}", ends]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
