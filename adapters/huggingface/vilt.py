"""ViLT: one transformer over words and patches, and a list of answers to choose from."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.adapters.huggingface.families import joint_inputs
from vlx.adapters.huggingface.inputs import Layouts, collated, copies, moved, of_item
from vlx.adapters.huggingface.prompts import Inputs, Parts
from vlx.adapters.huggingface.refusals import need_room, reading, refuse_signs, room_of
from vlx.errors import LayerError, TextError
from vlx.passes.capture import Seen, again, capture
from vlx.passes.chosen_layer import Given, chosen_layer
from vlx.passes.forward import Below, Pass, logit_scores, token_grid
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, choices_of
from vlx.passes.site import Layer
from vlx.passes.turns import in_turn


class ViltAnswerer:
    """VQA as classification: the logit of each answer.

    ``layer`` is by default the last but one of the encoder: at the last one, only the class token has
    a gradient. Patches are put back in order, since ViLT shuffles them anew in every run.
    """

    def __init__(self, model: Any, parts: Parts, *, layer: Layer | None = None, name: str = "model") -> None:
        self.model = model
        self.parts = parts
        self.name = name
        labels: dict[int, str] = model.config.id2label
        self.answers = tuple(labels[index] for index in range(len(labels)))
        default = f"vilt.encoder.layer.{len(model.vilt.encoder.layer) - 2}"
        with _in_order(model.vilt.embeddings), reading(model):
            self.layer, self._module = chosen_layer(model, layer, lambda: default, self._call)
        self._layouts = Layouts(lambda image: self._prepared(image, "what"), parts.images)

    def at(self, layer: Layer) -> "ViltAnswerer":
        """The same model, explained at another layer."""
        return ViltAnswerer(self.model, self.parts, layer=layer, name=self.name)

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer to one question for each image."""
        if len(images) != len(questions):
            raise TextError(f"{len(questions)} questions for {len(images)} images: give one for each")
        for question in questions:
            if not question.strip():
                raise TextError("the question is empty: give one with words")
            refuse_signs(self.parts.tokenizer, self.parts.joint, question)
        layouts = self._layouts.shared(images)
        items = [self._prepared(*item) for item in zip(images, questions, strict=True)]
        for item, question in zip(items, questions, strict=True):
            need_room(room_of(self.model.config), item["input_ids"].shape[1], question)
        inputs = moved(self.model, collated(items, self.parts.tokenizer.pad_token_id or 0))
        seeing = capture(self.model, self._module)
        with _in_order(self.model.vilt.embeddings), reading(self.model), seeing as seen:
            scores = logit_scores(self.model(**inputs).logits)
        side = self.model.vilt.embeddings.patch_embeddings.projection.stride[0]
        rows, cols = (length // side for length in inputs["pixel_values"].shape[2:])
        in_front = inputs["input_ids"].shape[1] + 1  # the words and the class token
        choices = choices_of("answer", self.answers)
        return Pass(
            features=seen.features,
            scores=scores,
            # Several answers of people may be right: each was learnt as a question of its own.
            readings=tuple(
                Reading("answer", (), choices, prompt=question, odds="sigmoid") for question in questions
            ),
            frames=tuple(layout.frame for layout in layouts),
            images=tuple(images),
            grid=token_grid(rows, cols, in_front),
            below=Below(
                inputs["pixel_values"],
                rescore=partial(self._rescored, inputs),
                colour=self._layouts.colour,
            ),
            shortcuts=seen.shortcuts,
            above=again(seen, partial(self._scored, inputs)),
            quantity="logit",
            model=self.name,
            layer=self.layer,
        )

    def _scored(
        self, inputs: Inputs, _seen: Seen, position: int, count: int
    ) -> Float[Tensor, "count 1 choice"]:
        with _in_order(self.model.vilt.embeddings):
            return logit_scores(self.model(**copies(inputs, position, count)).logits)

    def _rescored(
        self, inputs: Inputs, pixels: Float[Tensor, "batch 3 height width"], position: int
    ) -> Float[Tensor, "batch 1 choice"]:
        with _in_order(self.model.vilt.embeddings), prepared(self.model), torch.no_grad():
            return logit_scores(self.model(**of_item(inputs, position, pixels)).logits)

    def _call(self) -> Given:
        """What the model is called with to see which layer stands where."""
        return (), moved(self.model, self._prepared(Image.new("RGB", (256, 256)), "what"))

    def _prepared(self, image: Image.Image, question: str) -> Inputs:
        return joint_inputs(self.parts, image, question)


@in_turn
@contextmanager
def _in_order(embeddings: Any) -> Generator[None, None, None]:
    """Let a ViLT see its patches row by row; the order does not matter to it, and no random state moves."""
    shuffled = embeddings.visual_embed

    def ordered(*inputs: Any, **named: Any) -> tuple[Tensor, Tensor, tuple[Tensor, tuple[int, int]]]:
        with torch.random.fork_rng():
            tokens, mask, (places, (rows, cols)) = shuffled(*inputs, **named)
        if places.shape[1] != rows * cols:
            raise LayerError(
                f"this ViLT keeps {places.shape[1]} of {rows * cols} patches, at random: set its "
                "config.max_image_length to -1"
            )
        order = (places[:, :, 0] * cols + places[:, :, 1]).argsort(1)
        with_class = torch.cat([order.new_zeros(len(order), 1), order + 1], 1)
        tokens = tokens.gather(1, with_class[:, :, None].expand_as(tokens))
        return tokens, mask.gather(1, with_class), (places, (rows, cols))

    embeddings.visual_embed = ordered
    try:
        yield
    finally:
        del embeddings.visual_embed
