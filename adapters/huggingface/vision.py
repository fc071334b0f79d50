"""Models of transformers that score an image as a whole: classifiers, and texts that fit (CLIP, SigLIP)."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.huggingface.families import image_inputs, module_named
from vlx.adapters.huggingface.frames import Layout
from vlx.adapters.huggingface.grids import grid_of
from vlx.adapters.huggingface.inputs import Layouts, collated, copies, encoded, moved
from vlx.adapters.huggingface.order import need_whole_images, raster_order
from vlx.adapters.huggingface.prompts import Inputs, Parts
from vlx.adapters.huggingface.refusals import need_room, reading, refuse_signs
from vlx.adapters.nets.backbones import default_layer
from vlx.errors import LayerError, TextError
from vlx.passes.capture import Seen, again, capture
from vlx.passes.chosen_layer import Given, chosen_layer
from vlx.passes.forward import Below, Pass, logit_scores
from vlx.passes.prepare import prepared
from vlx.passes.reading import Odds, Reading, choices_of
from vlx.passes.site import Layer, Site

_OF_TEXTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_FIRST_NORM = re.compile(r"\.(layer_norm_?1|layernorm_before|norm1)$")


def last_norm(model: nn.Module) -> str:
    """The first norm of the last block of a transformer.

    Where only the class token is read, patches have no gradient after the last block's attention; this
    is the last place where they still have one. Raises LayerError if there is no such block.
    """
    found = [name for name, _ in model.named_modules() if _FIRST_NORM.search(name)]
    if not found:
        raise LayerError(f"{type(model).__name__} has no layer with rows and columns: name one with layer=")
    return found[-1]


def odds_of(config: Any) -> Odds:
    """Which probability an image classifier was trained for, by its config."""
    if config.problem_type == "regression":
        return "none"
    one_by_one = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if one_by_one else "softmax"


class ImageModel:
    """An image classifier: the logit of each class.

    ``layer`` is by default the last feature map of a CNN, or the first norm of a transformer's last
    block.
    """

    def __init__(self, model: Any, parts: Parts, *, layer: Layer | None = None, name: str = "model") -> None:
        self.model = model
        self.parts = parts
        self.name = name
        labels: dict[int, str] = model.config.id2label
        self.labels = tuple(labels[index] for index in range(len(labels)))
        self._prepared = partial(image_inputs, parts)
        self.layouts = Layouts(self._prepared, parts.images)
        with reading(model):
            self.layer, module = chosen_layer(model, layer, self._default, self._call)
        self.site = Site(module)

    def at(self, layer: Layer) -> "ImageModel":
        """The same model, explained at another layer."""
        return ImageModel(self.model, self.parts, layer=layer, name=self.name)

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class of each image in one run."""
        layouts = self.layouts.shared(images)
        inputs = moved(self.model, collated([self._prepared(image) for image in images], 0))
        with reading(self.model), capture(self.model, self.site) as seen:
            scores = self.scored(inputs)
        said = Reading("label", (), choices_of("label", self.labels), odds=odds_of(self.model.config))
        return _pass(self, images, layouts, seen, scores, said, inputs)

    def scored(self, inputs: Inputs) -> Float[Tensor, "batch 1 choice"]:
        """The logits of all classes; a few models return them under another name."""
        found = self.model(**inputs)
        return logit_scores(found["logits"] if "logits" in found else found[0])

    def _call(self) -> Given:
        """What the model is called with to see which layer stands where."""
        return (), moved(self.model, self._prepared(Image.new("RGB", (256, 256))))

    def _default(self) -> str:
        network = self._prepared(Image.new("RGB", (256, 256)))["pixel_values"].shape
        try:
            if len(network) != 4:  # patches already
                return last_norm(self.model)
            with reading(self.model):
                return default_layer(self.model, (network[2], network[3]))
        except LayerError:
            return last_norm(self.model)


class ImageText:
    """CLIP and SigLIP: how well each of some texts fits an image.

    The score is the model's own logit, the scaled cosine of the two embeddings. CLIP chooses among the
    texts that are given; SigLIP judges each of them for itself.
    """

    def __init__(self, model: Any, parts: Parts, *, layer: Layer | None = None, name: str = "model") -> None:
        self.model = model
        self.parts = parts
        self.name = name
        vision = module_named(model, "vision_model")
        # Attention over all patches: they keep a gradient.
        self._sigmoid = model.config.model_type in ("siglip", "siglip2")
        last = "post_layernorm" if self._sigmoid else last_norm(model.get_submodule(vision))
        self._prepared = partial(image_inputs, parts)
        with reading(model):
            self.layer, module = chosen_layer(
                model, layer, lambda: Site(f"{vision}.{last}", call=0), self._call
            )
        self.site = Site(module, call=0)
        self.layouts = Layouts(self._prepared, parts.images)

    def at(self, layer: Layer) -> "ImageText":
        """The same model, explained at another layer."""
        return ImageText(self.model, self.parts, layer=layer, name=self.name)

    def compare(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Pass:
        """Score every text for each image; texts are the choices of the Pass.

        Raises TextError for a text that is empty, or longer than the model reads.
        """
        if not texts or not all(text.strip() for text in texts):
            raise TextError("no text to compare the image with: give at least one, and none empty")
        layouts = self.layouts.shared(images)
        pixels = collated([self._prepared(image) for image in images], 0)
        inputs = moved(self.model, {**self._words(texts), **pixels})
        with reading(self.model), capture(self.model, self.site) as seen:
            scores = self.scored(inputs)
        odds: Odds = "sigmoid" if self._sigmoid else "softmax" if len(texts) > 1 else "none"
        said = Reading("label", (), choices_of("label", tuple(texts)), odds=odds)
        return _pass(self, images, layouts, seen, scores, said, inputs)

    def scored(self, inputs: Inputs) -> Float[Tensor, "batch 1 choice"]:
        """The logits of all texts."""
        return logit_scores(self.model(**inputs)["logits_per_image"])

    def _call(self) -> Given:
        pixels = self._prepared(Image.new("RGB", (256, 256)))
        return (), moved(self.model, {**self._words(["a"]), **pixels})

    def _words(self, texts: Sequence[str]) -> Inputs:
        """Texts as the model learnt to read them: SigLIP always up to its full length."""
        tokenizer, config = self.parts.tokenizer, self.model.config.text_config
        room = min(tokenizer.model_max_length, config.max_position_embeddings)
        for text in texts:
            refuse_signs(tokenizer, None, text)
            need_room(room, len(tokenizer(text)["input_ids"]), text)
        padding = {"padding": "max_length", "max_length": room} if self._sigmoid else {"padding": True}
        return dict(tokenizer(list(texts), return_tensors="pt", **padding))


def _pass(
    adapter: ImageModel | ImageText,
    images: Sequence[Image.Image],
    layouts: Sequence[Layout],
    seen: Seen,
    scores: Float[Tensor, "batch 1 choice"],
    said: Reading,
    inputs: Inputs,
) -> Pass:
    pixels = inputs["pixel_values"]
    direct = pixels.ndim == 4  # else patches, of which no picture can be made anew
    need_whole_images(adapter.layer, len(seen.features), len(images))
    order = raster_order(adapter.model, adapter.layer, seen.features)
    patch = None if direct else adapter.parts.images.patch_size
    return Pass(
        features=seen.features,
        scores=scores,
        readings=(said,) * len(images),
        frames=tuple(layout.frame for layout in layouts),
        images=tuple(images),
        grid=grid_of(seen.features, layouts[0], order=order, patch=patch),
        below=Below(
            pixels,
            encode=partial(encoded, adapter.model, adapter.site, inputs),
            rescore=partial(_rescored, adapter, inputs),
            colour=adapter.layouts.colour,
        )
        if direct
        else None,
        shortcuts=seen.shortcuts,
        above=again(seen, partial(_scored, adapter, inputs)),
        quantity="logit",
        model=adapter.name,
        layer=adapter.layer,
    )


def _scored(
    adapter: ImageModel | ImageText, inputs: Inputs, _seen: Seen, position: int, count: int
) -> Float[Tensor, "count 1 choice"]:
    """Scores of copies of an item; texts that are compared serve all images."""
    own = {name: value for name, value in inputs.items() if name not in _OF_TEXTS}
    return adapter.scored({**inputs, **copies(own, position, count)})


def _rescored(
    adapter: ImageModel | ImageText,
    inputs: Inputs,
    pixels: Float[Tensor, "batch 3 height width"],
    _position: int,
) -> Float[Tensor, "batch 1 choice"]:
    with prepared(adapter.model), torch.no_grad():
        return adapter.scored({**inputs, "pixel_values": pixels})
