"""What models that choose an answer from a list have in common: images and questions to a Pass."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import TextError
from vlx.images.preprocess import Preprocess, stack_images
from vlx.passes.at_layer import output_at
from vlx.passes.capture import capture
from vlx.passes.forward import Below, Pass, logit_scores
from vlx.passes.mean_gradient import on_maps
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, choices_of
from vlx.passes.site import Site


@runtime_checkable
class AnswerClassifier(Protocol):
    """A VQA model; ``module`` is the layer of its network's ``cnn`` that is explained.

    The network's ``asked`` takes the ids of the questions' words and their numbers of words to tensors,
    a row for each question; with pixels its ``answered`` takes these to logits, one row serving all images.
    """

    network: Any
    vocabulary: Vocabulary
    answers: tuple[str, ...]
    preprocess: Preprocess
    longest: int | None
    name: str
    layer: str
    module: nn.Module


def read_answers(model: AnswerClassifier, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
    """Score every answer to one question for each image.

    Raises TextError where there are not as many questions as images.
    """
    pixels, frames = stack_images(model.preprocess, images, next(model.network.parameters()))
    ids, lengths, unknown = encode_questions(model, images, questions)
    with capture(model.network, Site(model.module, everywhere=on_maps)) as seen:
        asked = model.network.asked(ids, lengths)
        scores = _scores(model.network, pixels, *asked)
    choices = choices_of("answer", model.answers)
    return Pass(
        features=seen.features,
        scores=scores,
        readings=tuple(
            Reading("answer", (), choices, prompt=question, unknown=words)
            for question, words in zip(questions, unknown, strict=True)
        ),
        frames=frames,
        images=tuple(images),
        below=Below(
            pixels,
            encode=partial(output_at, model.network.cnn, model.module),
            rescore=partial(_rescored, model.network, asked),
            cnn=model.network.cnn,
            colour=model.preprocess.colour,
        ),
        shortcuts=seen.shortcuts,
        above=seen.above(partial(_scores, model.network), pixels, *asked),
        quantity="logit",
        model=model.name,
        layer=model.layer,
    )


def encode_questions(
    model: AnswerClassifier, images: Sequence[Image.Image], questions: Sequence[str]
) -> tuple[Int[Tensor, "batch word"], Int[Tensor, " batch"], list[tuple[str, ...]]]:
    """Token ids, left aligned and padded with 0; the lengths; and the unknown words.

    Raises TextError where there are not as many questions as images.

    >>> ids, lengths, unknown = encode_questions(vqa, [vlx.open_image(photo)], ["is there a dog?"])
    >>> ids.shape, unknown
    (torch.Size([1, 5]), [()])
    """
    if len(images) != len(questions):
        raise TextError(f"{len(questions)} questions for {len(images)} images: give one for each")
    device = next(model.network.parameters()).device
    return model.vocabulary.encode_questions(questions, model.longest, device)


def _scores(
    network: Any, pixels: Float[Tensor, "batch 3 height width"], *asked: Tensor
) -> Float[Tensor, "batch 1 choice"]:
    return logit_scores(network.answered(pixels, *asked))


def _rescored(
    network: Any, asked: Sequence[Tensor], pixels: Float[Tensor, "batch 3 height width"], position: int
) -> Float[Tensor, "batch 1 choice"]:
    with prepared(network), torch.no_grad():
        return _scores(network, pixels, *(part[position : position + 1] for part in asked))
