"""Score explanations of the built-in captioner on its held-out scenes, with controls on the same items."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from vlx.adapters.captioner import CNNLSTMCaptioner
from vlx.adapters.scenes import ASSETS, load_captioner
from vlx.errors import VlxError
from vlx.eval.boxes import Box, box_ratio
from vlx.eval.coco import Instances, read_captions, read_instances, union_mask
from vlx.eval.controls import centre_prior, mean_activation, smooth_noise
from vlx.eval.densecap import read_densecap
from vlx.eval.lexicon import visual_words
from vlx.eval.maps import Map
from vlx.eval.pointing import pointing_hit
from vlx.eval.summary import Outcome, Summary, summarise
from vlx.eval.tables import markdown_table
from vlx.explain import explain
from vlx.images import open_image
from vlx.methods import Method, grad_cam, guided_backprop, guided_grad_cam
from vlx.passes import Pass
from vlx.targets import Target, caption, word

BATCH = 20
METHODS = (grad_cam, guided_grad_cam, guided_backprop)

BOX_PROTOCOL = (
    "Box ratio (paper 8.1): mean of the map inside over outside the box of a region caption, five an image, "
    "the whole caption explained; maps on image pixels, not rectified or normalised beyond their method; "
    "guided maps: absolute, averaged over channels. Mean over pairs, standard error, 95 % bootstrap by image."
)
POINTING_PROTOCOL = (
    "Word pointing (paper 8.1.1): the maximum of each visual word's map against the union mask of its "
    "category, tolerance 0 pixels, first reference caption of each image, ties by the share of maxima "
    "inside. 95 % bootstrap by image."
)


@dataclass(frozen=True, eq=False)
class Question:
    """One thing to explain, and how its map is scored."""

    image_id: int
    image: Image.Image
    text: str
    target: Target
    score: Callable[[Map], Outcome]


def region_questions(world: Path, limit: int | None = None) -> list[Question]:
    """One question for each of the five best region captions of each image."""
    found: list[Question] = []
    for number, dense in enumerate(read_densecap(world / "results.json")[:limit]):
        image = open_image(world / "images" / dense.file_name)
        for region in dense.regions:
            found.append(Question(number, image, region.caption, caption(), _ratio_of(region.box)))
    return found


def word_questions(world: Path, limit: int | None = None) -> list[Question]:
    """One question for each visual word of the first caption of each image."""
    captions, instances = read_captions(world / "captions.json"), read_instances(world / "instances.json")
    found: list[Question] = []
    for image_id in list(captions.images)[:limit]:
        image = open_image(world / "images" / captions.images[image_id].file_name)
        text = captions.by_image[image_id][0].text
        tokens = text.replace(",", "").split()
        for named in visual_words(tokens):
            place = named.span[1] - 1  # the head noun
            score = _hit_of(instances, image_id, named.category)
            found.append(Question(image_id, image, text, word(place), score))
    return found


def score_questions(
    model: CNNLSTMCaptioner, questions: Sequence[Question], methods: Iterable[Method] = METHODS
) -> Mapping[str, Summary]:
    """The scores of methods and controls over the same questions."""
    rows: dict[str, list[Outcome]] = {}
    random = np.random.default_rng(0)
    shuffled = with_shuffled_weights(model)
    chosen = tuple(methods)
    for part in tqdm(list(_parts(questions)), desc="scoring", leave=False):
        run = _read(model, part)
        for method in chosen:
            _score(rows, method.name, part, _maps(run, part, method))
        _score(rows, "grad_cam, weights shuffled", part, _maps(_read(shuffled, part), part, grad_cam))
        _score(rows, "mean activation", part, _activations(run))
        _score(rows, "centre prior", part, (centre_prior(_shape(q)) for q in part))
        _score(rows, "random map", part, (smooth_noise(_shape(q), random) for q in part))
    clusters = [question.image_id for question in questions]
    return {name: summarise(outcomes, clusters) for name, outcomes in rows.items()}


def with_shuffled_weights(model: CNNLSTMCaptioner, seed: int = 0) -> CNNLSTMCaptioner:
    """The same captioner, the entries of each of its tensors shuffled: a control that knows nothing."""
    network = copy.deepcopy(model.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    assert isinstance(network, nn.Module)
    return CNNLSTMCaptioner(network, model.vocabulary, model.preprocess, layer=model.layer, name="shuffled")


def held_out_table(limit: int | None = None, world: Path = ASSETS / "heldout") -> str:
    """Box ratio and word pointing on the held-out scenes, as text with their protocols."""
    if not (world / "instances.json").is_file():
        raise VlxError(f"no scenes in {world}: write some with vlx scenes generate")
    model = load_captioner()
    boxes = score_questions(model, region_questions(world, limit))
    words = score_questions(model, word_questions(world, limit))
    return "\n".join(
        [
            "Box ratio (a uniform map has 1)\n",
            markdown_table(boxes, protocol=BOX_PROTOCOL),
            "Word pointing\n",
            markdown_table(words, protocol=POINTING_PROTOCOL),
        ]
    )


def _read(model: CNNLSTMCaptioner, part: Sequence[Question]) -> Pass:
    return model.read([question.image for question in part], [question.text for question in part])


def _maps(run: Pass, part: Sequence[Question], method: Method) -> Iterator[Map]:
    for found in explain(run, [[question.target] for question in part], method):
        yield found.maps[0].astype(np.float64)


def _activations(run: Pass) -> Iterator[Map]:
    for features, frame in zip(run.features.detach().cpu(), run.frames, strict=True):
        plane = mean_activation(features.double().numpy())
        yield frame.place(torch.from_numpy(plane)).numpy()


def _score(rows: dict[str, list[Outcome]], name: str, part: Sequence[Question], maps: Iterable[Map]) -> None:
    rows.setdefault(name, []).extend(
        question.score(plane) for question, plane in zip(part, maps, strict=True)
    )


def _ratio_of(box: Box) -> Callable[[Map], Outcome]:
    return lambda plane: box_ratio(plane, box)


def _hit_of(instances: Instances, image_id: int, category: str) -> Callable[[Map], Outcome]:
    return lambda plane: pointing_hit(plane, union_mask(instances, image_id, category))


def _shape(question: Question) -> tuple[int, int]:
    return question.image.height, question.image.width


def _parts(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    return (questions[at : at + BATCH] for at in range(0, len(questions), BATCH))
