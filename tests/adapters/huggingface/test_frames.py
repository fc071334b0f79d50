"""The layout of images, measured on processors whose rules are known, and worked by hand."""

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    GotOcr2ImageProcessor,
    Idefics3ImageProcessor,
    LlavaNextImageProcessor,
    ViTImageProcessor,
)

from vlx.adapters.huggingface.frames import joined_tiles, measured
from vlx.adapters.huggingface.grids import picture_of_patches
from vlx.errors import ImageError, LayerError
from vlx.passes.places import token_layout


def views(processor):
    def made(image):
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        return pixels.reshape(-1, *pixels.shape[-3:])

    return made


def box(processor, size):
    return measured(views(processor), size).frame.box


@pytest.mark.parametrize("size", [(480, 640), (333, 200), (60, 90)])
def test_a_squashed_image_is_seen_whole(size):
    processor = ViTImageProcessor(size={"height": 32, "width": 48})
    assert box(processor, size) == (0.0, 0.0, *map(float, size))


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (333, 200)])
def test_the_centre_is_cropped(size):
    found = box(
        CLIPImageProcessor(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}), size
    )
    short, (height, width) = min(size), size
    # the window is whole pixels of the network input, each short / 224 of the image
    expected = ((height - short) / 2, (width - short) / 2, (height + short) / 2, (width + short) / 2)
    assert found == pytest.approx(expected, abs=1.2 * short / 224)


def test_padding_reaches_beyond_the_image():
    grids = [[32, 64], [64, 32], [64, 64]]
    processor = LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=grids
    )
    found = measured(views(processor), (480, 640))
    assert (found.rows, found.cols, found.tiles) == (2, 2, (1, 2, 3, 4))  # the first is the thumbnail
    assert found.frame.input_size == (64, 64)
    assert found.frame.box == pytest.approx((-80, 0, 560, 640), abs=2.5)


@pytest.mark.parametrize(("size", "shape"), [((480, 640), (3, 4)), ((333, 200), (4, 3))])
def test_tiles_before_a_thumbnail(size, shape):
    processor = Idefics3ImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 32})
    found = measured(views(processor), size)
    assert (found.rows, found.cols) == shape
    assert found.tiles == tuple(range(12))
    assert found.frame.box == (0.0, 0.0, *map(float, size))


def test_tiles_without_a_thumbnail():
    processor = GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=6, use_thumbnail=False
    )
    found = measured(views(processor), (400, 600))
    assert (found.rows, found.cols, len(found.tiles)) == (2, 3, 6)


def test_an_image_of_which_nothing_is_left():
    with pytest.raises(ImageError, match="nothing of an image of 30 x 20 pixels"):
        measured(lambda _: torch.zeros(1, 3, 8, 8), (20, 30))


def test_tiles_make_one_picture():
    tiles = torch.arange(4.0)[:, None, None, None].expand(4, 1, 2, 3)
    expected = torch.tensor([[0.0, 0, 0, 1, 1, 1]] * 2 + [[2.0, 2, 2, 3, 3, 3]] * 2)
    assert torch.equal(joined_tiles(tiles, 2, 2)[0], expected)


def test_patches_in_blocks_make_one_picture():
    picture = torch.arange(3 * 8 * 12.0).view(3, 8, 12)
    blocks = picture.view(3, 2, 2, 2, 3, 2, 2).permute(
        1, 4, 2, 5, 0, 3, 6
    )  # 2 x 3 blocks of 2 x 2 patches of 2
    patches = blocks.unsqueeze(5).expand(-1, -1, -1, -1, -1, 2, -1, -1).reshape(24, -1)
    assert torch.equal(picture_of_patches(patches, torch.tensor([1, 4, 6]), 2, 2)[0], picture)


@pytest.mark.parametrize(
    ("tokens", "network", "expected"),
    [
        (197, (224, 224), (14, 14, 1)),  # ViT
        (198, (224, 224), (14, 14, 2)),  # DeiT
        (261, (224, 224), (16, 16, 5)),  # DINOv2 with registers, patches of 14
        (196, (224, 224), (14, 14, 0)),  # SigLIP
        (200, (224, 224), (14, 14, 4)),  # four registers and no class token
        (25, (32, 48), (4, 6, 1)),
        (6, (64, 96), (2, 3, 0)),  # Swin
        (577, (384, 384), (24, 24, 1)),
    ],
)
def test_tokens_on_a_grid(tokens, network, expected):
    assert token_layout(tokens, network) == expected


def test_tokens_that_are_no_grid():
    with pytest.raises(LayerError, match="no grid of patches"):
        token_layout(203, (224, 224))


def test_an_image_is_measured_at_its_own_size():
    seen = []
    made = views(ViTImageProcessor(size={"height": 32, "width": 32}))

    def watched(image):
        seen.append(image.size)
        return made(image)

    measured(watched, (30, 50))
    assert set(seen) == {(50, 30)}
    assert isinstance(Image.new("RGB", (50, 30)), Image.Image)
