"""The inputs of a transformers model: text joined to a prompt, items joined to a batch, their layout."""

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.huggingface.frames import Layout, measured
from vlx.adapters.huggingface.grids import picture_of_padded_patches, picture_of_patches
from vlx.adapters.huggingface.order import need_whole_images
from vlx.adapters.huggingface.prompts import Inputs
from vlx.errors import ImageError
from vlx.images.frame import Size
from vlx.passes.at_layer import output_at
from vlx.passes.site import Site
from vlx.passes.turns import in_turn


def collated(items: Sequence[Inputs], pad: int) -> Inputs:
    """One batch of the inputs of several images; texts are padded on the right.

    A text is what has the shape of ``input_ids``. Raises ImageError where images differ in shape.
    """
    return {name: _joined(name, items, pad) for name in items[0]}


def _joined(name: str, items: Sequence[Inputs], pad: int) -> Tensor:
    parts = [item[name] for item in items]
    ids = next((f"{of}input_ids" for of in ("decoder_", "qformer_") if name.startswith(of)), "input_ids")
    if all(ids in item and part.shape == item[ids].shape for part, item in zip(parts, items, strict=True)):
        longest = max(part.shape[1] for part in parts)
        fill = pad if name == ids else 0
        parts = [torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=fill) for part in parts]
    elif len({part.shape[1:] for part in parts}) > 1:
        shapes = sorted({tuple(part.shape[1:]) for part in parts})
        raise ImageError(f"images of shapes {shapes} cannot share a batch: read them one by one")
    return torch.cat(parts)


def views_of(inputs: Inputs, processor: Any) -> Float[Tensor, "view 3 row col"]:
    """The pictures that one image became, put together again where they were cut into patches."""
    pixels = inputs["pixel_values"]
    if "spatial_shapes" in inputs:
        return picture_of_padded_patches(pixels[0], inputs["spatial_shapes"][0], processor.patch_size)
    if pixels.ndim == 2:
        grid = inputs["image_grid_thw"][0]
        return picture_of_patches(pixels, grid, processor.patch_size, processor.merge_size)
    return pixels.flatten(0, -4) if pixels.ndim > 4 else pixels


def moved(model: Any, inputs: Inputs) -> Inputs:
    """What the model takes of some inputs, on its device and in its precision."""
    device, dtype = _place_of(model)
    known = taken(type(model))
    return {
        name: value.to(device, dtype if value.is_floating_point() else None)
        for name, value in inputs.items()
        if name in known
    }


def _place_of(model: Any) -> tuple[torch.device, torch.dtype]:
    """Where a model reads its inputs, and in which precision: that of weights which are not quantised.

    Weights that are kept elsewhere until they are used are on the meta device; what keeps them takes
    inputs from anywhere.
    """
    plain = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    here = [parameter.device for parameter in plain if parameter.device.type != "meta"]
    return (here or [torch.device("cpu")])[0], plain[0].dtype


def encoded(
    model: Any, site: Site, inputs: Inputs, pixels: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch *feature"]:
    """The features of other pixels in the place of those that some inputs hold."""
    return output_at(model, site, **{**inputs, "pixel_values": pixels})


def of_item(inputs: Inputs, position: int, pixels: Float[Tensor, "batch 3 height width"]) -> Inputs:
    """The inputs of one item of a batch, with other pixels: one row for each of these."""
    rows = {name: value[position].expand(len(pixels), *value.shape[1:]) for name, value in inputs.items()}
    return {**rows, "pixel_values": pixels}


def copies(inputs: Inputs, position: int, count: int) -> Inputs:
    """The inputs of one item of a batch, as often as asked."""
    rows = {name: value[position : position + 1] for name, value in inputs.items()}
    return {name: row.expand(count, *row.shape[1:]) for name, row in rows.items()}


@in_turn
@contextmanager
def first_alone(encoder: nn.Module | None) -> Generator[None, None, None]:
    """Let a vision encoder see only the first of a batch of images that are all the same."""

    def first(_module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tuple(map(_first, given)), {name: _first(value) for name, value in named.items()}

    if encoder is None:
        yield
        return
    handle = encoder.register_forward_pre_hook(first, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _first(value: Any) -> Any:
    return value[:1] if isinstance(value, Tensor) and value.ndim == 4 else value


def repeated(
    layer: str, count: int, features: Float[Tensor, "one *feature"]
) -> Float[Tensor, "all *feature"]:
    """The features of one image, for each of its texts; raises LayerError for an image in pieces."""
    need_whole_images(layer, len(features), 1)
    return features.expand(count, *features.shape[1:])


@cache
def taken(kind: type) -> frozenset[str]:
    """The names of what a class of models is called with."""
    return frozenset(inspect.signature(kind.forward).parameters)


class Layouts:
    """How images of each size are laid out by a processor; each size is measured once."""

    def __init__(self, prepare: Callable[[Image.Image], Inputs], processor: Any) -> None:
        self._prepare, self._processor = prepare, processor
        self._of = lru_cache(maxsize=256)(self._measure)

    def shared(self, images: Sequence[Image.Image]) -> list[Layout]:
        """The layout of each image; raises ImageError where they cannot share a batch."""
        found = [self._numbered(at, image, len(images)) for at, image in enumerate(images, 1)]
        if len({(one.tiles, one.rows, one.cols, one.frame.input_size) for one in found}) > 1:
            raise ImageError(
                "images of different proportions become inputs of different shapes here: read them one by one"
            )
        return found

    def colour(self, rgb: Sequence[float]) -> Float[Tensor, " channel"]:
        """What a colour (red, green, blue of 0 to 1) becomes in the input, by a plain image of it."""
        levels = [round(255 * part) for part in rgb]
        plain = Image.new("RGB", (256, 256), (levels[0], levels[1], levels[2]))
        pixels = self._prepare(plain)["pixel_values"][0]
        return pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2]

    def _numbered(self, at: int, image: Image.Image, count: int) -> Layout:
        try:
            return self._of((image.height, image.width))
        except ImageError as error:
            raise ImageError(f"image {at} of {count}: {error}" if count > 1 else str(error)) from None

    def _measure(self, size: Size) -> Layout:
        return measured(lambda picture: views_of(self._prepare(picture), self._processor), size)


def unpacked(batch: int, packed: Float[Tensor, "all *feature"]) -> Float[Tensor, "batch some *feature"]:
    """Features with a batch axis, of those that all lie together."""
    return packed.unflatten(0, (batch, -1))


def packed(features: Float[Tensor, "batch some *feature"]) -> Float[Tensor, "all *feature"]:
    """And together again."""
    return features.flatten(0, 1)


def rows_of_text(
    rows: Int[Tensor, "batch step"], length: int, hidden: Float[Tensor, "batch row hidden"]
) -> Float[Tensor, "batch step hidden"]:
    """Rows of a text of some length; where the model put image tokens in front, they come first."""
    at = rows.to(hidden.device) + hidden.shape[1] - length
    return hidden.gather(1, at[:, :, None].expand(-1, -1, hidden.shape[2]))
