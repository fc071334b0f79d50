"""A captioner that somebody else trained, on real photos: ``python -m benchmarks.real_captioner DATA``.

DATA holds ``captioner/`` (MobileNetV2 and an LSTM trained on Flickr8k, with its code), ``coco-80/`` (photos
with captions and instance masks), ``densecap-14/`` (photos with region captions) and ``photos/``. Prints
word pointing and the box ratio with controls, pointing by the word's probability and by category, and with
``--out`` draws the captions of some photos. With DATA in the environment variable ``REAL_CAPTIONER`` it is a
model of the command line: ``--model python:benchmarks.real_captioner:captioner``. It is also an example of an
adapter for somebody's model.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import vlx
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.item import Item, checked
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.collected import measured
from vlx.eval.runs.summary import markdown
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.task import Task
from vlx.images.preprocess import Preprocess, Squash, stack_images
from vlx.show.report import write_report

BATCH = 20
LAST, BLOCK = "encoder.cnn", "encoder.cnn.14"
"""The last feature maps (7 x 7 x 1280), and those of the last block at 14 x 14 (x 96)."""
METHODS = (
    vlx.grad_cam, vlx.hires_cam, vlx.integrated_gradients, vlx.guided_backprop, vlx.guided_grad_cam,
)  # fmt: skip
DRAWN = (vlx.grad_cam, vlx.guided_grad_cam)
BESIDE = (SCORE, "mean_activation", "centre_prior", "random_weights")


class Whole(torch.nn.Module):
    """Encoder and decoder as one module."""

    def __init__(self, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        return self.decoder(self.encoder(pixels), ids)


class Flickr8k:
    """The adapter: START is 0, END 1, an unknown word 2."""

    prepare = Preprocess(Squash((224, 224)), mean=(128 / 255,) * 3, std=(128 / 255,) * 3)

    def __init__(self, encoder: Any, decoder: Any, words: Sequence[str], layer: str = LAST) -> None:
        self.model, self.words, self.layer = Whole(encoder, decoder), words, layer

    def at(self, layer: str) -> "Flickr8k":
        """The same model, explained at another layer."""
        return Flickr8k(self.model.encoder, self.model.decoder, self.words, layer)

    @staticmethod
    def split(caption: str) -> list[str]:
        """The words of a caption, as it was trained on them."""
        return caption.lower().replace(".", " ").replace(",", " ").split()

    def read(self, images: Sequence[Any], captions: Sequence[str]) -> vlx.Pass:
        pixels, frames = stack_images(self.prepare, images, next(self.model.parameters()))
        said = [self.split(caption) for caption in captions]
        ids = [[self.words.index(word) if word in self.words else 2 for word in row] for row in said]
        longest = max(map(len, ids))
        padded = torch.tensor([[0, *row, *[1] * (longest - len(row))] for row in ids])
        below = self.layer.removeprefix("encoder.")
        # The output of the image's step says START, and is left out.
        with vlx.capture(
            self.model, self.layer, vocabulary="decoder.linear", steps=lambda hidden: hidden[:, 1:]
        ) as seen:
            scores = self.scores(pixels, padded)
        readings = tuple(
            vlx.Reading(
                "caption",
                tuple(vlx.Word(word, (step,), (row[step],)) for step, word in enumerate(caption)),
                vlx.Choices(self.words),
                unknown=tuple(word for word in dict.fromkeys(caption) if word not in self.words),
            )
            for caption, row in zip(said, ids, strict=True)
        )
        return vlx.Pass(
            seen.features, scores, readings, frames, tuple(images),
            below=vlx.Below(
                pixels, lambda pixels: vlx.output_at(self.model.encoder, below, pixels),
                lambda pixels, item: self._rescored(pixels, padded[item]), cnn=self.model.encoder,
                colour=self.prepare.colour,
            ),
            shortcuts=seen.shortcuts, above=seen.above(self.scores, pixels, padded),
            model="Flickr8k captioner", layer=seen.layer,
        )  # fmt: skip

    def _rescored(self, pixels: Tensor, ids: Tensor) -> Tensor:
        with vlx.prepared(self.model), torch.no_grad():
            return self.scores(pixels, ids.expand(len(pixels), -1))[:, 1:]

    def scores(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Log-probabilities (batch, step, word) of the rows that are scored."""
        return vlx.log_probabilities(self.model(pixels, ids))

    @torch.no_grad()
    def generate(self, images: Sequence[Any], beam: int = 1) -> list[str]:
        pixels, _ = stack_images(self.prepare, images, next(self.model.parameters()))
        ids = torch.zeros(len(images), 1, dtype=torch.long)
        for _ in range(16):
            ids = torch.cat([ids, self.model(pixels, ids)[:, -1].argmax(-1, keepdim=True)], 1)
        rows = [row[1 : row.index(1)] if 1 in row else row[1:] for row in ids.tolist()]
        return [" ".join(self.words[index] for index in row) for row in rows]


def captioner() -> Flickr8k:
    """The captioner of the folder in ``REAL_CAPTIONER``, as the command line loads it."""
    folder = os.environ.get("REAL_CAPTIONER")
    if not folder or not (Path(folder) / "captioner").is_dir():
        raise VlxError(f"REAL_CAPTIONER is {folder!r}: set it to a folder that holds captioner/")
    return load(Path(folder))


def load(data: Path) -> Flickr8k:
    """The captioner of the folder, by its own code."""
    sys.path.insert(0, str(data / "captioner"))
    import model as theirs  # pyright: ignore[reportMissingImports]

    return Flickr8k(*theirs.load())


def rows_of(task: Task, models: Models, items: Sequence[Item], options: Options) -> list[Row]:
    """Every row of every method."""
    found: list[Row] = []
    for at in tqdm(range(0, len(items), BATCH), desc=task.name):
        found += task.rows(models, items[at : at + BATCH], METHODS, options)
    return found


def evaluated(task: Task, models: Models, folder: Path, options: Options) -> list[Row]:
    """Print the table of an evaluation; returns its rows."""
    items = checked(task.items(look(folder), "captioner", options))
    rows = rows_of(task, models, items, options)
    print(markdown(measured(task, rows, task.protocol(options, "captioner"))))
    return rows


def probabilities(model: Flickr8k, rows: Sequence[Row], folder: Path) -> dict[str, float]:
    """The probability of each item's word, given the photo and the words before it."""
    options = Options()
    items = {item.id: item for item in checked(POINTING.items(look(folder), "captioner", options))}
    found: dict[str, float] = {}
    for row in rows:
        if row.item not in found and row.outcomes[SCORE].value is not None:
            item = items[row.item]
            run = model.read([vlx.open_image(item.image)], [item.text])
            at = next(step for step, one in enumerate(run.readings[0].words) if one.text == row.target)
            word = run.readings[0].words[at]
            found[row.item] = float(run.scores[0, word.steps[0], word.ids[0]].exp())
    return found


def broken_down(rows: Sequence[Row], group: Callable[[Row], str], least: int = 1) -> None:
    """Print the means of Grad-CAM and its controls over groups of items."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.method == "grad_cam" and row.outcomes[SCORE].value is not None:
            groups[group(row)].append(row)
    print(f"| {'group':24s} | n | " + " | ".join(("grad_cam", *BESIDE[1:])) + " |")
    print("|" + "---|" * (2 + len(BESIDE)))
    for name, some in sorted(groups.items(), key=lambda pair: (-len(pair[1]) if least > 1 else 0, pair[0])):
        if len(some) >= least:
            means = [_mean([row.outcomes[column] for row in some]) for column in BESIDE]
            print(f"| {name:24s} | {len(some)} | " + " | ".join(means) + " |")


def _mean(outcomes: Sequence[Outcome]) -> str:
    values = [one.value for one in outcomes if one.value is not None]
    return f"{np.mean(values):.3f}" if values else "–"


def draw(model: Flickr8k, photos: Sequence[Path], out: Path) -> None:
    """Figures of the captions of some photos, and a page of all of them."""
    made: list[list[vlx.Explanation]] = []
    for photo in photos:
        said = model.generate([vlx.open_image(photo)])[0]
        some = [
            vlx.explain_caption(model, photo, said, method=m) for m in (vlx.grad_cam, vlx.guided_grad_cam)
        ]
        some[0].save(out / photo.stem)
        made.append(some)
        print(f"{photo.name}: {said}")
    write_report(out / "report.html", made, "A captioner trained on Flickr8k", names=[p.name for p in photos])


def main() -> None:
    parser = argparse.ArgumentParser(description="A captioner that somebody else trained, on real photos.")
    parser.add_argument("data", type=Path, help="folder with captioner/, coco-80/, densecap-14/ and photos/")
    parser.add_argument("--out", type=Path, help="draw captions of photos into this folder")
    parser.add_argument("--photos", type=int, default=8, help="how many of them")
    parser.add_argument("--layer", default=LAST, help=f"its name in the model, such as {BLOCK}")
    given = parser.parse_args()
    model = load(given.data).at(given.layer)
    models = with_controls(model)
    coco = given.data / "coco-80"
    rows = evaluated(POINTING, models, coco, Options())
    shares = probabilities(model, rows, coco)
    print("\nGrad-CAM's pointing by the probability of the word:\n")
    edges = (0.0, 0.01, 0.1, 0.5, 1.0)

    def share(row: Row) -> str:
        at = next(at for at in range(1, len(edges)) if shares[row.item] <= edges[at])
        return f"{edges[at - 1]:g} to {edges[at]:g}"

    broken_down(rows, share)
    print("\nand by category, those of 8 words or more:\n")
    broken_down(rows, lambda row: row.category, least=8)
    print()
    evaluated(BOXES, models, given.data / "densecap-14", Options())
    if given.out:
        draw(model, sorted((given.data / "photos").glob("*.jpg"))[: given.photos], given.out)


if __name__ == "__main__":
    main()
