"""Hostile and odd image files and values: each is a right picture or one clear line."""

import inspect
import io
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageFile
from torchvision import transforms

from vlx.errors import ImageError
from vlx.images.files import LIMIT, decode_image, list_images, open_image
from vlx.images.preprocess import Preprocess, ShortSide

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def picture(height: int = 6, width: int = 9) -> Image.Image:
    """Smooth, and without any symmetry."""
    rows, cols = np.mgrid[:height, :width]
    bands = [rows * 255 // height, cols * 255 // width, (rows + cols) * 255 // (height + width)]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def one_line(error: pytest.ExceptionInfo[ImageError]) -> bool:
    return len(str(error.value)) > 10 and "\n" not in str(error.value)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""How an upright picture's pixels are stored under each EXIF orientation, as array operations."""


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_orientation_in_files_of_every_kind(orientation, kind, tmp_path):
    upright = picture(24, 40)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(upright))))
    exif = Image.Exif()
    exif[274] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    path = tmp_path / "photo"
    stored.save(path, kind, exif=exif, **options)
    for found in (open_image(path), open_image(Image.open(path))):
        assert found.size == upright.size
        worst = np.abs(np.asarray(found).astype(int) - np.asarray(upright)).max()
        assert worst <= (3 if kind == "JPEG" else 0)


def test_broken_exif_is_no_reason_to_refuse_a_good_picture():
    whole = encoded(picture(16, 16), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff garbage")
    assert decode_image(whole, "x").size == (16, 16)


def test_shares_of_transparency_in_a_palette():
    indexed = Image.new("P", (3, 1))
    indexed.putpalette([*RED, *GREEN, *BLUE])
    indexed.putdata([0, 1, 2])
    found = decode_image(encoded(indexed, "PNG", transparency=bytes([255, 0, 51])), "p.png")
    assert np.asarray(found)[0].tolist() == [list(RED), list(WHITE), [204, 204, 255]]  # 51 / 255 = 0.2


def test_rgb_with_a_transparent_colour_has_white_there():
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    found = decode_image(encoded(image, "PNG", transparency=BLUE), "key.png")
    assert np.asarray(found)[0].tolist() == [list(RED), list(WHITE)]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "La", "RGBa"])
def test_half_transparent_pixels_are_mixed_with_white(mode):
    clear = Image.new("RGBA", (3, 1))
    clear.putdata([(100, 100, 100, 255), (100, 100, 100, 0), (0, 0, 0, 51)])
    image = clear.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert(mode)
    assert image.mode == mode
    assert np.asarray(open_image(image))[0, :, 0].tolist() == [100, 255, 204]


def test_big_endian_sixteen_bits():
    levels = np.array([[0, 257, 51400, 65535]], ">u2")  # 257 * n is n of 255
    image = Image.frombytes("I;16B", (4, 1), levels.tobytes())
    assert np.asarray(open_image(image))[0, :, 1].tolist() == [0, 1, 200, 255]


@pytest.mark.parametrize("mode", ["L", "P", "YCbCr", "HSV", "LAB", "I", "RGBX"])
def test_other_modes_become_rgb(mode):
    found = open_image(Image.new(mode, (4, 3)))
    assert (found.mode, found.size) == ("RGB", (4, 3))


def test_floating_point_pixels_have_no_range():
    with pytest.raises(ImageError, match="floating-point"):
        open_image(Image.new("F", (3, 3)))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 4)])
@pytest.mark.parametrize("layout", ["C", "F", "reversed"])
def test_arrays_of_every_layout(shape, layout):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if shape[2:] == (4,):
        values[..., 3] = 255
    array = {"C": values, "F": np.asfortranarray(values), "reversed": values[::-1, ::-1]}[layout]
    expected = np.repeat(array[..., None], 3, -1) if array.ndim == 2 else array[..., :3]
    np.testing.assert_array_equal(np.asarray(open_image(array)), expected)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 5, 3), kind) for kind in (np.float32, np.float64, np.uint16, np.int64, np.int8, bool)]
    + [np.zeros(shape, np.uint8) for shape in [(), (5,), (3, 4, 5), (4, 5, 1), (4, 5, 2), (1, 4, 5, 3)]],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused_with_what_would_work(array):
    with pytest.raises(ImageError, match="expected bytes") as error:
        open_image(array)
    assert one_line(error)
    assert str(array.shape) in str(error.value)
    assert str(array.dtype) in str(error.value)


@pytest.mark.parametrize(
    "given", [torch.zeros(3, 4, 4), torch.zeros(4, 4, 3, dtype=torch.uint8), b"x", None, 7], ids=type
)
def test_tensors_and_other_things_are_refused(given):
    unchecked = inspect.unwrap(open_image)  # as it runs where no type checker is on
    with pytest.raises(ImageError, match=rf"\A{type(given).__name__} is no image: give a file"):
        unchecked(given)


def test_a_truncated_picture_that_the_caller_opened_is_refused():
    blob = encoded(picture(64, 64), "PNG", compress_level=0)
    with pytest.raises(ImageError, match="the given image is damaged: image file is truncated") as error:
        open_image(Image.open(io.BytesIO(blob[: len(blob) // 2])))
    assert one_line(error)


def opened_or_refused(blob: bytes) -> Image.Image | str:
    try:
        return decode_image(blob, "photo")
    except ImageError as error:
        return str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_a_file_holds_it_is_a_picture_or_one_line(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
    blob = bytearray(encoded(picture(20, 30), kind))
    changes = st.tuples(st.integers(0, len(blob) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(changes, max_size=6)):
        blob[place] = value
    found = opened_or_refused(bytes(blob[: data.draw(st.integers(0, len(blob)) | st.just(len(blob)))]))
    if isinstance(found, str):
        assert found.startswith("photo is ")
        assert "\n" not in found
    else:
        assert found.mode == "RGB"


def test_no_program_runs_for_postscript(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(picture(), "EPS"))

    def ghostscript(*_, **__):
        raise AssertionError("a picture was given to another program")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    with pytest.raises(ImageError, match="use JPEG, PNG, WebP, BMP, GIF or TIFF"):
        open_image(path)


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000])
def test_impossible_names_are_refused(name):
    for call in (open_image, lambda given: list_images([given])):
        with pytest.raises(ImageError, match=r"\Ano image") as error:
            call(name)
        assert one_line(error)


@pytest.mark.parametrize(
    "size", [(10_001, 10_000), (13_000, 13_000), (65_000, 65_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_never_decoded(size, tmp_path, monkeypatch):
    assert size[0] * size[1] > LIMIT
    head = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(b"\0" * 99)) + png_chunk(b"IEND", b"")
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert path.stat().st_size < 100

    def load(self):
        raise AssertionError("the bomb was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(ImageError, match=r"bomb\.png is larger than 100 megapixels") as error:
        open_image(path)
    assert one_line(error)


def test_a_compressed_text_in_a_png_is_no_way_in():
    blob = encoded(picture(), "PNG")
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    with pytest.raises(ImageError, match="is damaged") as error:
        decode_image(blob[:33] + text + blob[33:], "photo")
    assert one_line(error)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(8, 40), st.integers(5, 40))
def test_network_input_of_any_size_equals_torchvisions(height, width, short_side, window):
    window = min(window, short_side)
    found, frame = Preprocess(ShortSide(short_side), (window, window))(picture(height, width))
    theirs = transforms.Compose(
        [transforms.Resize(short_side), transforms.CenterCrop(window), transforms.ToTensor(),
         transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )  # fmt: skip
    torch.testing.assert_close(found, theirs(picture(height, width)))
    assert frame.image_size == (height, width)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_what_the_network_saw_can_be_displayed(channels, scale):
    mean, std = (0.4 * scale, 0.5 * scale, 0.45 * scale), (0.2 * scale, 0.25 * scale, 0.3 * scale)
    preprocess = Preprocess(ShortSide(6), mean=mean, std=std, scale=scale, channels=channels)
    found, _ = preprocess(picture(6, 9))
    np.testing.assert_array_equal(np.asarray(preprocess.displayed(found)), np.asarray(picture(6, 9)))


def test_errors_name_where_a_link_leads(tmp_path):
    disk, link, lost, circle = (tmp_path / name for name in ("disk.jpg", "a.jpg", "b.jpg", "c.jpg"))
    link.symlink_to(disk)
    lost.symlink_to("/datasets/b.jpg")
    circle.symlink_to(circle)
    (tmp_path / "photos").symlink_to("/datasets/photos")
    Image.new("RGB", (3, 2)).save(disk)
    assert open_image(link).size == (3, 2)
    for path, told in (
        (lost, "b.jpg (a link to /datasets/b.jpg): No such file"),
        (circle, f"c.jpg (a link to {circle}): Too many levels"),
        (tmp_path / "photos" / "d.jpg", "d.jpg (photos is a link to /datasets/photos): No such file"),
        (tmp_path / "e.jpg", "e.jpg: No such file"),
    ):
        with pytest.raises(ImageError, match=re.escape(told)):
            open_image(path)
    assert list_images([tmp_path]) == [link, lost, circle, disk]  # so that each is told
    disk.write_bytes(b"damaged")
    with pytest.raises(ImageError, match=re.escape(f"a.jpg (a link to {disk}) is not an image")):
        open_image(link)
