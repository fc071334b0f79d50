"""Sound small adapters, and ones of every kind with one fault each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

import vlx
from tests.adapters import small

TEXT = "a dog on the grass"
PICTURE = small.photos((48, 64))[0]


class Faulty:
    """An adapter whose ``read`` a test has changed."""

    def __init__(self, sound: Any, fault: Callable[..., vlx.Pass]) -> None:
        self.sound, self.fault, self.reads = sound, fault, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sound, name)

    def read(self, *given: Any) -> vlx.Pass:
        self.reads += 1
        return self.fault(self.sound, *given)


class FaultyCaptioner(Faulty):
    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        return self.sound.generate(images, beam)


class FaultyClassifier(Faulty):
    def read(self, images: Sequence[Image.Image]) -> vlx.Pass:
        return self.fault(self.sound, images)


class Responder(Faulty):
    """A captioner that claims to be asked, and reads its prompt as the first words of the caption."""

    def read(self, images: Any, captions: Any, prompts: Any = None) -> vlx.Pass:
        self.reads += 1
        return self.fault(self.sound, images, captions, prompts)

    def respond(self, images: Any, prompts: Any, beam: int = 1) -> list[str]:
        return [TEXT] * len(images)

    def generate(self, images: Any, beam: int = 1) -> list[str]:
        return [TEXT] * len(images)


def sound(model: Any, *given: Any) -> vlx.Pass:
    return model.read(*given)


def with_grid(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., vlx.Pass]:
    def read(model: Any, *given: Any) -> vlx.Pass:
        return replace(model.read(*given), grid=change)

    return read


def _permuted(features: torch.Tensor) -> torch.Tensor:
    """Blocks of places side by side, as mask units lie."""
    blocks = features.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # row, of two, col, of two
    return blocks.transpose(-3, -2).reshape(features.shape)


permuted = with_grid(_permuted)
turned = with_grid(lambda features: features.transpose(-1, -2))
flipped = with_grid(lambda features: features.flip(-1))
another_stride = with_grid(lambda f: f.reshape(*f.shape[:-2], f.shape[-2] * 2, f.shape[-1] // 2))


def unseen_order(model: Any, *given: Any) -> vlx.Pass:
    """The features themselves lie in another order, which no grid tells: as if the network shuffled them."""
    run = model.read(*given)
    table = torch.arange(run.features[0, 0].numel()).flip(0)
    features = run.features.detach().flatten(2)[..., table].view(run.features.shape).requires_grad_()
    return replace(run, features=features, scores=run.scores + features.sum() * 0, shortcuts=vlx.Shortcuts())


def elsewhere(model: Any, *given: Any) -> vlx.Pass:
    """The frame says that the input is the upper left quarter of the image."""
    run = model.read(*given)
    frames = [replace(f, box=(0.0, 0.0, f.image_size[0] / 2, f.image_size[1] / 2)) for f in run.frames]
    return replace(run, frames=tuple(frames))


def leaking(model: Any, images: Any, captions: Any) -> vlx.Pass:
    """Every step sees all words, as attention without its mask does."""
    run = model.read(images, captions)
    seen = torch.tensor([float(sum(i for w in r.words for i in w.ids)) for r in run.readings])
    tilt = torch.sin(seen[:, None, None] * torch.arange(run.scores.shape[2])).to(run.scores)
    return replace(run, scores=torch.log_softmax(run.scores + 0.1 * tilt, -1))


def late(model: Any, *given: Any) -> vlx.Pass:
    """Step t - 1 is taken for step t."""
    run = model.read(*given)
    return replace(run, scores=torch.cat([run.scores[:, :1], run.scores[:, :-1]], 1))


def early(model: Any, *given: Any) -> vlx.Pass:
    """Step t + 1 is taken for step t."""
    run = model.read(*given)
    return replace(run, scores=torch.cat([run.scores[:, 1:], run.scores[:, -1:]], 1))


def counting_words(model: Any, images: Any, captions: Any) -> vlx.Pass:
    """Scores depend on how many words follow."""
    run = model.read(images, captions)
    tilt = torch.linspace(0, run.scores.shape[1], run.scores.shape[2]).to(run.scores)
    return replace(run, scores=torch.log_softmax(run.scores + tilt, -1))


def deaf(model: Any, images: Any, questions: Any) -> vlx.Pass:
    """The question is ignored."""
    run = model.read(images, ["what colour is the bus ?"] * len(images))
    readings = [replace(r, prompt=q) for r, q in zip(run.readings, questions, strict=True)]
    return replace(run, readings=tuple(readings))


def blind(model: Any, images: Any, *given: Any) -> vlx.Pass:
    """The image is ignored."""
    run = model.read([PICTURE.resize(one.size) for one in images], *given)
    return replace(run, images=tuple(images))


def prompted(model: Any, images: Any, captions: Any, prompts: Any) -> vlx.Pass:
    """A prompt tilts the scores."""
    run = model.read(images, captions)
    asked = torch.tensor([float(len(p)) for p in prompts])
    tilt = torch.sin(asked[:, None, None] + torch.arange(run.scores.shape[2])).to(run.scores)
    readings = [
        replace(r, prompt=p) for r, p in zip(run.readings, prompts or [""] * len(images), strict=True)
    ]
    scores = torch.log_softmax(run.scores + tilt, -1)
    return replace(run, scores=scores, readings=tuple(readings))


def unprompted(model: Any, images: Any, captions: Any, prompts: Any) -> vlx.Pass:
    run = model.read(images, captions)
    readings = [
        replace(r, prompt=p) for r, p in zip(run.readings, prompts or [""] * len(images), strict=True)
    ]
    return replace(run, readings=tuple(readings))


class Matching:
    """Texts scored by their length and a VQA model's first answer; ``mix`` lets them lean on each other."""

    def __init__(self, *, mix: float = 0.0, same: bool = False) -> None:
        self.vqa, self.mix, self.same, self.name = small.vqa(), mix, same, "matching"
        self.layer = self.vqa.layer

    def compare(self, images: Sequence[Image.Image], texts: Sequence[str]) -> vlx.Pass:
        run = self.vqa.read(images, ["a"] * len(images))
        others = [float(len(text)) for text in texts]
        weights = torch.tensor([1.0 if self.same else one + self.mix * sum(others) for one in others])
        scores = run.scores[..., :1] * weights.to(run.scores)
        reading = vlx.Reading("label", (), vlx.Choices(tuple(texts)))
        return replace(run, scores=scores, readings=(reading,) * len(images), shortcuts=vlx.Shortcuts())
