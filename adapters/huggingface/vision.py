"""Models of transformers that score an image as a whole: classifiers, and texts that fit (CLIP, SigLIP)."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.huggingface.families import Inputs, Parts, image_inputs, module_named
from vlx.adapters.huggingface.frames import Layout
from vlx.adapters.huggingface.grids import grid_of
from vlx.adapters.huggingface.inputs import Layouts, collated, encoded, moved
from vlx.adapters.nets.backbones import default_layer
from vlx.errors import LayerError, TextError
from vlx.passes.capture import Seen, capture
from vlx.passes.forward import Below, Pass, logit_scores
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, choices_of
from vlx.passes.site import Layer, Site, find_layer

_FIRST_NORM = re.compile(r"\.(layer_norm1|layernorm_before|norm1)$")


def last_norm(model: nn.Module) -> str:
    """The first norm of the last block of a transformer.

    Where only the class token is read, patches have no gradient after the last block's attention; this
    is the last place where they still have one. Raises LayerError if there is no such block.
    """
    found = [name for name, _ in model.named_modules() if _FIRST_NORM.search(name)]
    if not found:
        raise LayerError(f"{type(model).__name__} has no layer with rows and columns: name one with layer=")
    return found[-1]


class ImageModel:
    """An image classifier: the logit of each class.

    ``layer`` is by default the last feature map of a CNN, or the first norm of a transformer's last
    block.
    """

    output = "logits"

    def __init__(self, model: Any, parts: Parts, *, layer: Layer | None = None, name: str = "model") -> None:
        self.model = model
        self.parts = parts
        self.name = name
        labels: dict[int, str] = model.config.id2label
        self.labels = tuple(labels[index] for index in range(len(labels)))
        self._prepared = partial(image_inputs, parts)
        self._layouts = Layouts(self._prepared, parts.images)
        self.layer, module = find_layer(model, self._default() if layer is None else layer)
        self.site = Site(module)

    def at(self, layer: Layer) -> "ImageModel":
        """The same model, explained at another layer."""
        return ImageModel(self.model, self.parts, layer=layer, name=self.name)

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class of each image in one run."""
        layouts = self._layouts.shared(images)
        inputs = moved(self.model, collated([self._prepared(image) for image in images], 0))
        with capture(self.model, self.site) as seen:
            scores = logit_scores(self.model(**inputs)[self.output])
        return _pass(self, images, layouts, seen, scores, self.labels, inputs)

    def _default(self) -> str:
        network = self._prepared(Image.new("RGB", (256, 256)))["pixel_values"].shape
        try:
            return default_layer(self.model, (network[2], network[3]))
        except LayerError:
            return last_norm(self.model)


class ImageText:
    """CLIP and SigLIP: how well each of some texts fits an image.

    The score is the model's own logit, the scaled cosine of the two embeddings.
    """

    output = "logits_per_image"

    def __init__(self, model: Any, parts: Parts, *, layer: Layer | None = None, name: str = "model") -> None:
        self.model = model
        self.parts = parts
        self.name = name
        vision = module_named(model, "vision_model")
        pooled = model.config.model_type == "siglip"  # attention over all patches: they keep a gradient
        last = "post_layernorm" if pooled else last_norm(model.get_submodule(vision))
        self.layer, module = find_layer(model, f"{vision}.{last}" if layer is None else layer)
        self.site = Site(module, call=0)
        self._prepared = partial(image_inputs, parts)
        self._layouts = Layouts(self._prepared, parts.images)

    def at(self, layer: Layer) -> "ImageText":
        """The same model, explained at another layer."""
        return ImageText(self.model, self.parts, layer=layer, name=self.name)

    def compare(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Pass:
        """Score every text for each image; texts are the choices of the Pass."""
        if not texts or not all(text.strip() for text in texts):
            raise TextError("no text to compare the image with: give at least one, and none empty")
        layouts = self._layouts.shared(images)
        long = "max_length" if self.model.config.model_type == "siglip" else True
        words = self.parts.tokenizer(list(texts), return_tensors="pt", padding=long, truncation=True)
        pixels = collated([self._prepared(image) for image in images], 0)
        inputs = moved(self.model, {**words, **pixels})
        with capture(self.model, self.site) as seen:
            scores = logit_scores(self.model(**inputs)[self.output])
        return _pass(self, images, layouts, seen, scores, texts, inputs)


def _pass(
    adapter: ImageModel | ImageText,
    images: Sequence[Image.Image],
    layouts: Sequence[Layout],
    seen: Seen,
    scores: Float[Tensor, "batch 1 choice"],
    names: Sequence[str],
    inputs: Inputs,
) -> Pass:
    reading = Reading("label", (), choices_of("label", tuple(names)))
    return Pass(
        features=seen.features,
        scores=scores,
        readings=(reading,) * len(images),
        frames=tuple(layout.frame for layout in layouts),
        images=tuple(images),
        grid=grid_of(seen.features, layouts[0]),
        below=Below(
            inputs["pixel_values"],
            encode=partial(encoded, adapter.model, adapter.site, inputs),
            rescore=partial(_rescored, adapter.model, adapter.output, inputs),
        ),
        shortcuts=seen.shortcuts,
        quantity="logit",
        model=adapter.name,
        layer=adapter.layer,
    )


def _rescored(
    model: Any, output: str, inputs: Inputs, pixels: Float[Tensor, "batch 3 height width"], _position: int
) -> Float[Tensor, "batch 1 choice"]:
    with prepared(model), torch.no_grad():
        return logit_scores(model(**{**inputs, "pixel_values": pixels})[output])
