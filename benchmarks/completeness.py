"""How far integrated maps are from adding up: ``python -m benchmarks.completeness [DATA] [--words N]``.

A map of integrated gradients must add up to the score less the score of features that show nothing. How far
it does not, in nats (of a VQA model in logits), over words of captions of the model's own, by the number
of points on the path and the rule that places them. Models are the built-in ones, two of transformers at a
tiny size on random weights, and with DATA the captioner of `benchmarks.real_captioner` at its last layer and
at a block before it. Beside the errors stands the mean of what the maps add up to. Paths start from features
of 0, and from their mean over places: language models normalise what they are given and jump near 0.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import vlx
from vlx.methods.path import Nodes
from vlx.scenes import held_out_scenes

Asked = tuple[vlx.Pass, list[vlx.Target]]
COUNTS = (3, 8, 32)
RULES: dict[str, tuple[Nodes, Literal["zero", "mean"]]] = {
    "midpoint": ("midpoint", "zero"),
    "gauss": ("gauss", "zero"),
    "graded": ("graded", "zero"),
    "midpoint, from the mean": ("midpoint", "mean"),
}
QUESTIONS = ("what is on the left ?", "what is on the right ?", "how many dogs are there ?")
ANSWERS = 4


def captions(model: Any, photos: list[Path]) -> Iterator[Asked]:
    """Every word of the captions that a model writes."""
    for photo in photos:
        image = vlx.open_image(photo)
        (said,) = model.generate([image])
        if said:
            run = model.read([image], [said])
            yield run, [vlx.word(at) for at in range(len(run.readings[0].words))]


def answers(model: Any, photos: list[Path]) -> Iterator[Asked]:
    """The likeliest answers to some questions."""
    for photo in photos:
        for question in QUESTIONS:
            run = model.read([vlx.open_image(photo)], [question])
            yield run, [vlx.answer(at) for at in run.scores[0, 0].detach().topk(ANSWERS).indices.tolist()]


def tiny(build: Callable[[], tuple[Any, Any]]) -> Any:
    """A model of transformers on random weights."""
    from vlx.adapters.huggingface import wrap

    found = wrap(*build())
    found.steps = 8
    return found


def subjects(data: Path | None) -> dict[str, Iterator[Asked]]:
    """Every model with what is asked of it."""
    from tests.adapters.huggingface import tiny as families

    scenes = sorted((held_out_scenes() / "images").glob("*.jpg"))
    found = {
        "built-in captioner": captions(vlx.load("scenes/captioner"), scenes),
        "built-in VQA, logits": answers(vlx.load("scenes/vqa"), scenes),
        "tiny BLIP": captions(tiny(families.blip), scenes),
        "tiny LLaVA": captions(tiny(families.llava), scenes),
    }
    if data is not None:
        from benchmarks.real_captioner import BLOCK, LAST, load

        photos, real = sorted((data / "coco-80").rglob("*.jpg")), load(data)
        for layer in (LAST, BLOCK):
            found[f"real captioner, {layer}"] = captions(real.at(layer), photos)
    return found


def errors(asked: Iterator[Asked], words: int) -> tuple[dict[tuple[str, int], np.ndarray], dict[str, float]]:
    """The errors by rule and number of points, and what the maps add up to; of so many words at least."""
    methods = {
        (name, n): vlx.integrated_with(nodes=n, rule=rule, baseline=baseline)
        for name, (rule, baseline) in RULES.items()
        for n in COUNTS
    }
    found: dict[tuple[str, int], list[float]] = {key: [] for key in methods}
    owed: dict[tuple[str, int], list[float]] = {key: [] for key in methods}
    for run, targets in asked:
        (made,) = vlx.explain(run, targets, [*methods.values()])
        for key, explained in zip(methods, made, strict=True):
            found[key] += [abs(target.error) for target in explained.targets if target.error is not None]
            owed[key] += [
                abs(target.from_image) for target in explained.targets if target.from_image is not None
            ]
        if len(owed["midpoint", COUNTS[0]]) >= words:
            break
    return {key: np.array(some) for key, some in found.items()}, {
        name: float(np.mean(owed[name, COUNTS[0]])) for name in RULES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How far integrated maps are from adding up.")
    parser.add_argument("data", type=Path, nargs="?", help="folder with captioner/ and coco-80/")
    parser.add_argument("--words", type=int, default=200, help="of each model, at least")
    parser.add_argument("--only", help="models whose name holds this")
    given = parser.parse_args()
    torch.manual_seed(0)
    counts = " | ".join(f"{n} points: mean, largest" for n in COUNTS)
    print(f"| model | words | mean abs. change | rule | {counts} |")
    print("|" + "---|" * (4 + len(COUNTS)))
    for name, asked in subjects(given.data).items():
        if given.only and given.only not in name:
            continue
        found, owed = errors(asked, given.words)
        for rule in RULES:
            cells = [f"{found[rule, n].mean():.3f}, {found[rule, n].max():.2f}" for n in COUNTS]
            print(
                f"| {name} | {len(found[rule, COUNTS[0]])} | {owed[rule]:.2f} | {rule} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
