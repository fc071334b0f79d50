"""Do maps know their word? ``python -m benchmarks.word_control DATA``, with the captioner of real_captioner.

Each visual word of a reference caption is explained as it stands, and with three other words put in its
place: frequent ones whose category is absent from the photo. All four maps are scored against the mask of the
word's own category. A map that lights up whatever stands out points as well for the wrong words as for the
right one, so what counts is own less wrong: 0 for every map that does not know its word, the centre of the
photo among them. Intervals of 95 % are from 2,000 draws of photos, the same for all methods. A recipe was
chosen on the photos of one half, and is shown on both. With ``--out`` the numbers of every word are kept in a
file, and a run that was cut off goes on from there.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

import vlx
from benchmarks.real_captioner import BLOCK, LAST, Flickr8k, load
from vlx.eval.data.coco import read_instances
from vlx.eval.data.folder import look
from vlx.eval.data.lexicon import visual_words
from vlx.eval.data.published import INSTANCES
from vlx.eval.items.item import Item, checked
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Segments, mask_of
from vlx.eval.measures.bootstrap import bootstrap_interval
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.pointing import pointing_hit
from vlx.eval.tasks.pointing import POINTING

WRONG, FREQUENT, DRAWS, STRIDE = 3, 14, 2_000, 4
SAME = {"bear": {"bear", "teddy bear"}}
"""A word that names several categories."""
Plane = Float[np.ndarray, "height width"]
Planes = Float[np.ndarray, "target height width"]


@dataclass(frozen=True)
class Said:
    """A visual word of a caption, and the words that are put in its place."""

    item: Item
    at: int
    wrong: tuple[str, ...]

    def targets(self) -> list[vlx.Target]:
        return [vlx.word(self.at), *(vlx.word(self.at, instead=word) for word in self.wrong)]


def head(model: Flickr8k, item: Item) -> tuple[int, str] | None:
    """The position and text of the item's word in its caption, where the model knows it."""
    tokens = model.split(item.text)
    mine = [found for found in visual_words(tokens) if found.category == item.category]
    if item.mention >= len(mine):
        return None
    at = mine[item.mention].head(tokens)
    return (at, tokens[at]) if tokens[at] in model.words else None


def frequent(model: Flickr8k, items: Sequence[Item]) -> dict[str, set[str]]:
    """The most frequent word of each of the categories that captions mention most, and what it names."""
    counts = Counter((item.category, found[1]) for item in items if (found := head(model, item)))
    words: dict[str, set[str]] = {}
    for (category, word), _ in counts.most_common():
        if all(category not in named for named in words.values()) and word not in words:
            words[word] = SAME.get(word, {category})
    return dict(list(words.items())[:FREQUENT])


def said_words(model: Flickr8k, folder: Path, seed: int) -> dict[Path, list[Said]]:
    """The words of every photo with those that are put in their place, drawn by the seed and the photo."""
    data = look(folder)
    items = checked(POINTING.items(data, "captioner", Options()))
    located = [item for item in items if isinstance(item.truth, Segments) and item.truth.instances]
    others, instances = frequent(model, located), read_instances(data.path(INSTANCES), lambda _: None)
    photos: dict[Path, list[Said]] = {}
    for item in located:
        found = head(model, item)
        if found is not None:
            photos.setdefault(item.image, []).append(Said(item, found[0], ()))
    for path, words in photos.items():
        generator = np.random.default_rng([seed, int(words[0].item.cluster)])
        present = {one.category for one in instances.of(int(words[0].item.cluster))}
        absent = [word for word, named in others.items() if not named & present]
        for number, word in enumerate(words):
            drawn = generator.choice(absent, WRONG, replace=False)
            words[number] = Said(word.item, word.at, tuple(map(str, drawn)))
        photos[path] = words
    return photos


@dataclass(frozen=True)
class Map:
    """A map to be scored: by a method at a layer, or the sum of several, each spread over its places.

    Integrated maps are in nats, and each adds up to what the score owes to the image: so does their mean.
    """

    name: str
    parts: tuple[tuple[str, vlx.Method], ...]

    def of(self, found: Mapping[tuple[str, str], vlx.Explanation]) -> Planes:
        parts = [found[layer, method.name] for layer, method in self.parts]
        return sum((one.maps * one.raw[0].size for one in parts), start=np.zeros(()))


INTEGRATED, EIGHT = vlx.integrated_gradients, vlx.integrated_with(nodes=8)
GRADED = vlx.integrated_with(nodes=8, rule="graded")
MAPS = (
    Map("Grad-CAM, last", ((LAST, vlx.grad_cam),)),
    Map("Grad-CAM, block", ((BLOCK, vlx.grad_cam),)),
    Map("HiResCAM, block", ((BLOCK, vlx.hires_cam),)),
    Map("LayerCAM, block", ((BLOCK, vlx.layer_cam),)),
    Map("integrated, 3, last", ((LAST, INTEGRATED),)),
    Map("integrated, 8, last", ((LAST, EIGHT),)),
    Map("integrated, 3, block", ((BLOCK, INTEGRATED),)),
    Map("integrated, 8, block", ((BLOCK, EIGHT),)),
    Map("integrated, 3, last + block", ((LAST, INTEGRATED), (BLOCK, INTEGRATED))),
    Map("integrated, 8, last + block", ((LAST, EIGHT), (BLOCK, EIGHT))),
    Map("integrated, 8 graded, last", ((LAST, GRADED),)),
    Map("integrated, 8 graded, block", ((BLOCK, GRADED),)),
    Map("integrated, 8 graded, last + block", ((LAST, GRADED), (BLOCK, GRADED))),
)
CHOSEN = "integrated, 8, last + block"


@dataclass(frozen=True, eq=False)
class Scores:
    """Of one word: its photo, and for each map the score of the own word and the mean of the wrong ones."""

    photo: str
    hits: Mapping[str, tuple[float, float]]
    areas: Mapping[str, tuple[float, float]]


def area(plane: Plane, mask: Bool[np.ndarray, "height width"]) -> float:
    """The area under the ROC curve of a map's pixels against a mask; every fourth row and column is taken.

    The share of pairs, one pixel on the mask and one beside it, where the first has more; a tie counts half.
    """
    values, on = plane[::STRIDE, ::STRIDE].ravel(), mask[::STRIDE, ::STRIDE].ravel()
    inside, outside = values[on], np.sort(values[~on])
    if not len(inside) or not len(outside):
        return np.nan
    below = sum(np.searchsorted(outside, inside, side).sum() for side in ("left", "right"))
    return float(below) / (2 * len(inside) * len(outside))


def hit(plane: Plane, mask: Bool[np.ndarray, "height width"]) -> float:
    """Whether the maximum lies on the mask."""
    value = pointing_hit(plane, mask).value
    return np.nan if value is None else value


def scored(model: Flickr8k, path: Path, words: Sequence[Said]) -> Iterator[Scores]:
    """Every word of a photo by every map."""
    image = vlx.open_image(path)
    for text in dict.fromkeys(word.item.text for word in words):
        mine = [word for word in words if word.item.text == text]
        targets = [target for word in mine for target in word.targets()]
        found: dict[tuple[str, str], vlx.Explanation] = {}
        for layer in dict.fromkeys(layer for one in MAPS for layer, _ in one.parts):
            methods = {method.name: method for one in MAPS for at, method in one.parts if at == layer}
            run = model.at(layer).read([image], [text])
            (made,) = vlx.explain(run, targets, [*methods.values()])
            found |= {(layer, name): one for name, one in zip(methods, made, strict=True)}
        planes = {one.name: one.of(found) for one in MAPS}
        for at, word in enumerate(mine):
            assert isinstance(word.item.truth, Segments)
            mask, rows = mask_of(word.item.truth), slice((1 + WRONG) * at, (1 + WRONG) * (at + 1))
            some = {name: maps[rows] for name, maps in planes.items()}
            some["centre"] = np.repeat(centre_prior(mask.shape)[None], 1 + WRONG, 0)
            yield Scores(
                path.stem,
                *({n: _own_and_wrong(of, maps, mask) for n, maps in some.items()} for of in (hit, area)),
            )


def kept_or_scored(
    model: Flickr8k, photos: Sequence[tuple[Path, list[Said]]], out: Path | None
) -> Iterator[Scores]:
    """Every word of every photo; from a file what it has, which is given the others."""
    kept: dict[str, list[Any]] = json.loads(out.read_text()) if out and out.is_file() else {}
    for path, words in tqdm(photos):
        if path.stem not in kept:
            kept[path.stem] = [(one.hits, one.areas) for one in scored(model, path, words)]
            if out:
                out.write_text(json.dumps(kept))
        yield from (Scores(path.stem, hits, areas) for hits, areas in kept[path.stem])


def _own_and_wrong(of: Callable[..., float], maps: Planes, mask: np.ndarray) -> tuple[float, float]:
    own, *wrong = (of(plane, mask) for plane in maps)
    return own, float(np.mean(wrong))


def table(scores: Sequence[Scores], names: Sequence[str]) -> None:
    """Print the means over words and the intervals over photos."""
    groups = np.unique([one.photo for one in scores], return_inverse=True)[1]

    def told(pairs: Sequence[tuple[float, float]]) -> tuple[str, str]:
        own, wrong = np.array(pairs).T
        known = ~np.isnan(own)
        apart = own - wrong
        some = ~np.isnan(apart)
        kept = np.unique(groups[some], return_inverse=True)[1]
        ends = bootstrap_interval(apart[some], kept, resamples=DRAWS)
        interval = "" if ends is None else f" [{ends[0]:+.3f}, {ends[1]:+.3f}]"
        return f"{own[known].mean():.3f}", f"{apart[some].mean():+.3f}{interval}"

    print(f"{len(scores)} words of {groups.max() + 1} photos")
    print("| map | pointing | ROC area | own - wrong, pointing | own - wrong, ROC area |")
    print("|---|---|---|---|---|")
    for name in names:
        hits, areas = (told([getattr(one, kind)[name] for one in scores]) for kind in ("hits", "areas"))
        print(f"| {name} | {hits[0]} | {areas[0]} | {hits[1]} | {areas[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Maps of a word beside those of words that are not there.")
    parser.add_argument("data", type=Path, help="folder with captioner/ and coco-80/")
    parser.add_argument("--seed", type=int, default=0, help="of the words put in the place of others")
    parser.add_argument("--photos", type=int, help="how many photos, in the order of their names; all")
    parser.add_argument("--out", type=Path, help="keep the numbers of every word in this file, as JSON")
    given = parser.parse_args()
    model = load(given.data)
    photos = sorted(said_words(model, given.data / "coco-80", given.seed).items())[: given.photos]
    scores = list(kept_or_scored(model, photos, given.out))
    names = ["centre", *(one.name for one in MAPS)]
    table(scores, names)
    order = {path.stem: number for number, (path, _) in enumerate(photos)}
    for half, title in ((0, "the half it was chosen on"), (1, "the other half")):
        print(f"\n{CHOSEN}, on {title}:\n")
        table([one for one in scores if order[one.photo] % 2 == half], ["centre", "Grad-CAM, last", CHOSEN])


if __name__ == "__main__":
    main()
