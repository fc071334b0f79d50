"""What every adapter must hold to, whatever its model; each check takes a `Case` and asserts.

A new adapter's tests make a Case in double precision, with several images and texts of different
lengths, and run ``CHECKS`` over it, and ``CAPTION_CHECKS`` too if it captions. A captioner whose network
has no ``first`` and ``step`` gives the Case its own ``stepped``.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests import placed
from tests.passes.test_capture import state_of
from vlx.images.preprocess import stack_images

SIGNED = vlx.grad_cam_with(rectify=False)
"""Grad-CAM before its ReLU: linear in the target."""


def stepped(adapter: Any, image: Image.Image, ids: Sequence[int]) -> list[torch.Tensor]:
    """Log-probabilities of every next word after START and after each of some words, fed one at a time."""
    pixels, _ = stack_images(adapter.preprocess, [image], next(adapter.network.parameters()))
    with torch.no_grad():
        state = adapter.network.first(adapter.network.cnn(pixels))
        rows: list[torch.Tensor] = []
        for said in (adapter.vocabulary.start, *ids):
            state, logits = adapter.network.step(state, torch.tensor([said], device=pixels.device))
            rows.append(torch.log_softmax(logits[0], -1))
    return rows


@dataclass(frozen=True, eq=False)
class Case:
    """An adapter, the network it holds, and what it is to read; ``texts`` is None for a classifier."""

    adapter: Any
    network: nn.Module
    images: tuple[Image.Image, ...]
    texts: tuple[str, ...] | None = None
    beside: float = 1e-10
    """Relative error that sums in another order may make; 1e-4 or so for single precision."""
    stepped: Callable[[Any, Image.Image, Sequence[int]], list[torch.Tensor]] = stepped
    """How a caption is scored one word after the other."""
    method: vlx.Method = vlx.guided_grad_cam
    """How it is explained where it does not matter how; a network without ReLU cannot be guided."""

    def __post_init__(self) -> None:
        placed.place(self.network)

    def read(self) -> vlx.Pass:
        """All images and texts as one batch."""
        if self.texts is None:
            return self.adapter.read(self.images)
        return self.adapter.read(self.images, self.texts)

    def item(self, row: int) -> "Case":
        """One image and its text alone."""
        texts = None if self.texts is None else (self.texts[row],)
        return replace(self, images=(self.images[row],), texts=texts)

    def close(self, found: Any, expected: Any, scale: float = 0.0) -> None:
        """Assert equality up to the order of sums, relative to the largest value, or a larger ``scale``."""
        found, expected = torch.as_tensor(found).cpu(), torch.as_tensor(expected).cpu()
        beside = placed.beside(self.beside, found.dtype)
        largest = max(scale, float(expected.abs().max()))
        as_ever = placed.DTYPE is None and placed.DEVICE.type == "cpu"
        torch.testing.assert_close(
            found, expected, rtol=0.0, atol=beside * max(largest, 1e-30), check_dtype=as_ever
        )


def targets_of(run: vlx.Pass) -> list[list[vlx.Target]]:
    """For each item every word and the whole caption, or the first and last answer or class."""

    def of(reading: vlx.Reading) -> list[vlx.Target]:
        names = reading.choices.names
        if reading.kind == "caption":
            return [*(vlx.word(at) for at in range(len(reading.words))), vlx.caption()]
        if reading.kind == "answer":
            return [vlx.answer(names[0]), vlx.answer(names[-1])]
        return [vlx.label(0), vlx.label(len(names) - 1)]

    return [of(reading) for reading in run.readings]


def check_parts(case: Case) -> None:
    """The parts of a Pass fit one another, and scores are what their quantity says, without dropout."""
    run = case.read()
    case.network.train()
    case.close(case.read().scores.detach(), run.scores.detach())
    case.network.eval()
    assert run.features.is_leaf
    assert run.features.requires_grad
    assert all(tensor.isfinite().all() for tensor in (run.features, run.scores))
    assert run.batch == len(case.images)
    assert run.model == case.adapter.name
    assert run.layer == case.adapter.layer
    assert [tuple(image.size) for image in run.images] == [image.size for image in case.images]
    for reading, frame, image in zip(run.readings, run.frames, case.images, strict=True):
        assert frame.image_size == (image.height, image.width)
        assert run.below is None or frame.input_size == run.below.pixels.shape[2:]
        steps = [step for word in reading.words for step in word.steps]
        assert steps == sorted(set(steps))
        assert all(len(word.steps) == len(word.ids) > 0 for word in reading.words)
    if run.quantity == "log-probability":
        case.close(run.scores.logsumexp(-1).exp(), torch.ones(run.scores.shape[:2], dtype=run.scores.dtype))
    else:
        assert run.scores.shape[1] == 1


def check_batch(case: Case) -> None:
    """A batch of different images and texts gives what each gives alone."""
    run = case.read()
    together = vlx.explain(run, targets_of(run), SIGNED)
    assert len({str(result.raw.tolist()) for result in together}) == len(case.images) > 1
    for row, result in enumerate(together):
        alone = case.item(row).read()
        (single,) = vlx.explain(alone, targets_of(alone), SIGNED)
        assert [t.name for t in result.targets] == [t.name for t in single.targets]
        case.close([t.score for t in result.targets], [t.score for t in single.targets])
        case.close(result.raw, single.raw)
        assert abs(result.raw).max() > 0


def check_padding(case: Case) -> None:
    """A text's scores are the same beside a longer text and beside a shorter one."""
    if case.texts is None:
        return
    by_length = sorted(case.texts, key=len)
    for row, text in enumerate(case.texts):
        alone = case.item(row).read().scores.detach()
        for other in (by_length[0], by_length[-1]):
            beside = replace(case, images=case.item(row).images * 2, texts=(text, other)).read()
            case.close(beside.scores[0, : alone.shape[1]].detach(), alone[0])


def check_patch(case: Case) -> None:
    """A patch on a plain image changes the features where it lies, and maps of them move with it."""
    for row, image in enumerate(case.images):
        at = {side: np.array(_centre_of_change(case.item(row), image.size, side)) for side in _SIDES}
        for one, other, axis in (("top", "bottom", 0), ("left", "right", 1)):
            moved = at[other] - at[one]
            true = (_SIDES[other][axis] - _SIDES[one][axis]) * (image.height, image.width)[axis]
            assert moved[axis] > 0.25 * true, (one, other, moved, true)
            assert abs(moved[1 - axis]) < 0.5 * moved[axis], (one, other, moved)


_SIDES = {"top": (0.35, 0.5), "bottom": (0.65, 0.5), "left": (0.5, 0.35), "right": (0.5, 0.65)}


def _centre_of_change(case: Case, size: tuple[int, int], side: str) -> tuple[float, float]:
    """Centre of mass, row and column, of how much a patch on one side changes the features."""
    width, height = size
    row, col = _SIDES[side][0] * height, _SIDES[side][1] * width
    plain = Image.new("RGB", size, (110, 120, 130))
    marked = plain.copy()
    corners = (col - width / 10, row - height / 10, col + width / 10, row + height / 10)
    marked.paste((250, 20, 40), tuple(map(round, corners)))
    before = replace(case, images=(plain,)).read()
    run = replace(case, images=(marked,)).read()

    def change(activations: torch.Tensor, _gradients: torch.Tensor) -> torch.Tensor:
        return (activations - before.grid(before.features.detach())).abs().sum(-3)

    (result,) = vlx.explain(run, targets_of(run)[0][:1], vlx.Method("change", change))
    plane = result.maps[0]
    rows, cols = np.indices(plane.shape)
    return float((plane * rows).sum() / plane.sum()), float((plane * cols).sum() / plane.sum())


def check_pixels(case: Case) -> None:
    """The way from pixels ends in the very features that were captured."""
    run = case.read()
    case.close(run.below.encode(run.below.pixels).detach(), run.features.detach())


def check_rescore(case: Case) -> None:
    """Other pixels are scored with an item's text as if read with it, and nothing is recorded."""
    run = case.read()
    if run.below is None or run.below.rescore is None:
        return
    pixels, rescore = run.below.pixels.detach(), run.below.rescore
    before = state_of(case.network)
    mirrored = pixels.flip(0)
    for position, reading in enumerate(run.readings):
        last = reading.end or (reading.words[-1] if reading.words else None)
        steps = 1 if last is None else last.steps[-1] + 1
        own = rescore(pixels, position)
        assert not own.requires_grad
        case.close(own[position, :steps], run.scores[position, :steps].detach())
        other = rescore(mirrored, position)
        case.close(other[len(pixels) - 1 - position, :steps], run.scores[position, :steps].detach())
    assert state_of(case.network) == before


def check_above(case: Case) -> None:
    """The part above the layer, run again on an item's own features, gives its scores."""
    run = case.read()
    assert run.above is not None
    before = state_of(case.network)
    for position, reading in enumerate(run.readings):
        last = reading.end or (reading.words[-1] if reading.words else None)
        steps = 1 if last is None else last.steps[-1] + 1
        own = run.features[position].detach()
        for _ in range(2):  # the first time of all it runs in full too
            again = run.with_features(position, torch.stack([own, own * 0, own]))
            assert again.batch == 3
            for row in (0, 2):
                case.close(again.scores[row, :steps].detach(), run.scores[position, :steps].detach())
            assert not torch.equal(again.scores[1], again.scores[0])
    assert state_of(case.network) == before


def check_methods(case: Case) -> None:
    """Every method gives finite maps of the grid's or the input's shape, on the original image."""
    run = case.read()
    side = None if run.below is None else min(run.below.pixels.shape[2:])
    windows = {"size": (side or 0) // 3, "stride": (side or 0) // 2}
    hiding = (
        []
        if side is None
        else [vlx.occlusion_with(**windows), vlx.reveal_and_hide_with(**windows), vlx.bands_with(count=2)]
    )
    slow = (
        vlx.occlusion, vlx.reveal, vlx.reveal_and_hide, vlx.bands, vlx.rise, vlx.score_cam, vlx.ablation_cam,
        vlx.smooth_gradient,
    )  # fmt: skip
    served = [method for method in vlx.METHODS if method not in slow and (run.above or not method.path)]
    for method in (*served, *hiding):
        for result, image in zip(vlx.explain(run, targets_of(run), method), case.images, strict=True):
            plane = run.grid(run.features).shape[-2:]
            if method.rule or method.windows or method.bands:
                plane = run.below.pixels.shape[1 if method.rule else 2 :]
            assert result.raw.shape[1:] == plane
            assert result.maps.shape[1:] == (image.height, image.width)
            assert torch.from_numpy(result.raw).isfinite().all()


def whole_state(network: nn.Module) -> tuple[Any, ...]:
    """Everything that reading and explaining could leave behind, running statistics included."""
    return state_of(network), [(tensor._version, tensor.sum().item()) for tensor in network.buffers()]


def _fail(*_: Any) -> Any:
    raise ZeroDivisionError("failed on purpose")


def _explain_all(case: Case) -> None:
    run = case.read()
    vlx.explain(run, targets_of(run), case.method)


def check_manners(case: Case) -> None:
    """The model is as it was after success, and whichever of its modules an exception comes from.

    Of a network of many modules some, evenly spread, stand for all.
    """
    case.network.train()
    next(case.network.parameters()).requires_grad_(False)
    ran: list[nn.Module] = []
    with ExitStack() as stack:
        for module in case.network.modules():
            handle = module.register_forward_pre_hook(lambda module, _inputs: ran.append(module))
            stack.callback(handle.remove)
        before = whole_state(case.network)
        _explain_all(case)
        assert whole_state(case.network) == before
    assert ran
    different = list(dict.fromkeys(ran))
    for module in different[:: len(different) // 60 + 1]:
        handle = module.register_forward_pre_hook(_fail)
        before = whole_state(case.network)
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            _explain_all(case)
        assert whole_state(case.network) == before
        handle.remove()
    case.network.eval().requires_grad_(True)


def check_late_failures(case: Case) -> None:
    """The model is as it was if the picture, the map or the way to the pixels fails."""
    case.network.train()
    before = whole_state(case.network)
    with pytest.raises(vlx.VlxError, match="shows nothing"):
        replace(case.item(0), images=(Image.new("RGB", (0, 5)),)).read()
    assert whole_state(case.network) == before
    run = case.read()
    with pytest.raises(ZeroDivisionError, match="failed on purpose"):
        vlx.explain(run, targets_of(run), vlx.Method("failing", _fail))
    with pytest.raises(ZeroDivisionError, match="failed on purpose"):
        vlx.explain(
            replace(run, below=replace(run.below, encode=_fail)), targets_of(run), vlx.guided_backprop
        )
    assert whole_state(case.network) == before
    case.network.eval()


def check_nothing_below(case: Case) -> None:
    """0 bytes are saved for a backward pass before the layer is reached, and some after it."""
    saved, until_layer = [0], [-1]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.nbytes)
        return tensor

    case.network.requires_grad_(True)
    end = f".{case.adapter.layer}"  # its name inside the CNN
    layer = next(module for name, module in case.network.named_modules() if f".{name}".endswith(end))
    handle = layer.register_forward_hook(lambda *_: until_layer.append(sum(saved)))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        case.read()
    handle.remove()
    assert until_layer == [-1, 0]
    assert sum(saved) > 0


def check_nothing_stays(case: Case) -> None:
    """No tensor outlives an explanation."""

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    _explain_all(case)  # what is made once and kept
    before = alive()
    _explain_all(case)
    assert alive() == before


def check_later_words(case: Case) -> None:
    """A word's score depends on the words before it and on none after it."""
    assert case.texts is not None
    for row in range(len(case.images)):
        whole = case.item(row)
        run = whole.read()
        (reading,) = run.readings
        for count in range(1, len(reading.words)):
            short = replace(whole, texts=(" ".join(word.text for word in reading.words[:count]),)).read()
            last = short.readings[0].words[-1]
            assert last == reading.words[count - 1]
            upto = last.steps[-1] + 1
            case.close(short.scores[0, :upto].detach(), run.scores[0, :upto].detach())


def check_steps(case: Case) -> None:
    """One pass scores each word, and the caption with its end, as feeding one word at a time does."""
    for row in range(len(case.images)):
        run = case.item(row).read()
        (reading,) = run.readings
        ids = [index for word in reading.words for index in word.ids]
        rows = case.stepped(case.adapter, case.images[row], ids)
        steps = [step for word in reading.words for step in word.steps]
        expected = sum(float(rows[at][index]) for at, index in enumerate(ids))
        for at, step in enumerate(steps):
            case.close(run.scores[0, step].detach(), rows[at])
        (result,) = vlx.explain(run, [vlx.caption(), *([vlx.caption(end=True)] if reading.end else [])])
        case.close(result.targets[0].score, expected)
        if reading.end is not None:
            case.close(result.targets[1].score, expected + float(rows[len(ids)][reading.end.ids[0]]))


def check_sums(case: Case) -> None:
    """Scores and signed maps of the words add up to those of the caption."""
    run = case.read()
    for result in vlx.explain(run, targets_of(run), SIGNED):
        *words, caption = result.targets
        case.close(sum(word.score for word in words), caption.score)
        scale = abs(result.raw).max() if placed.half() else 0.0  # words may cancel
        case.close(result.raw[:-1].sum(0), result.raw[-1], scale)


def check_generated(case: Case) -> None:
    """A greedy caption, read again, is the likeliest word at every step, and its end at the last."""
    said: Sequence[str] = case.adapter.generate(case.images, 1)
    run = case.adapter.read(case.images, said)
    best = run.scores.argmax(-1)

    def likeliest(row: int, step: int, word: int) -> bool:
        here = run.scores[row, step].detach()
        near = placed.half() and float(here.max() - here[word]) <= 0.2  # two words may round to one score
        return int(best[row, step]) == word or near

    for row, reading in enumerate(run.readings):
        for word in reading.words:
            assert all(likeliest(row, step, at) for step, at in zip(word.steps, word.ids, strict=True))
        if reading.end is not None and len(reading.words) < case.adapter.steps:
            assert likeliest(row, reading.end.steps[0], reading.end.ids[0])


CHECKS = (
    check_parts, check_batch, check_padding, check_pixels, check_rescore, check_above, check_methods,
    check_patch, check_manners, check_late_failures, check_nothing_below, check_nothing_stays,
)  # fmt: skip
CAPTION_CHECKS = (check_steps, check_later_words, check_sums, check_generated)
