"""Images of every kind that people hand in, good and bad."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from vlx.errors import ImageError
from vlx.images.files import LIMIT, decode_image, list_images, open_image
from vlx.images.preprocess import AsIs, LongSide, Preprocess, ShortSide, Squash, imagenet, stack_images


def photo(height: int = 6, width: int = 9) -> Image.Image:
    """Every pixel has its own colour, so that a turn or a mirror shows."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    blob = io.BytesIO()
    image.save(blob, kind, **options)
    return blob.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one short line of pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # what a camera stored must be turned by -90 to stand upright
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(orientation):
    upright, turn = photo(), TURNS[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_image(saved(stored, "PNG", exif=exif), "photo.png")
    assert np.array_equal(np.asarray(found), np.asarray(upright))


def test_cmyk_is_converted():
    colour = Image.new("CMYK", (4, 4), (0, 255, 255, 0))  # no red taken away
    red, green, blue = np.asarray(decode_image(saved(colour, "TIFF"), "a.tif"))[0, 0]
    assert red > 200
    assert green < 60
    assert blue < 60


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    assert np.asarray(open_image(clear)).tolist() == [[[255, 255, 255], [10, 20, 30]]]
    grey = Image.new("LA", (1, 1), (7, 0))
    assert open_image(grey).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_keeps_its_colours_and_its_transparent_entry():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert np.asarray(decode_image(saved(palette), "a.png")).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    seen = decode_image(saved(palette, transparency=0), "a.png")
    assert np.asarray(seen).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_sixteen_bits_keep_their_brightness():
    deep = Image.fromarray(np.array([[0, 257, 128 * 257, 65535]], np.uint16))
    found = decode_image(saved(deep), "deep.png")
    assert np.asarray(found)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_one_bit_and_grey():
    assert open_image(Image.new("1", (2, 2), 1)).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(Image.new("L", (2, 2), 9)).getpixel((1, 1)) == (9, 9, 9)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind):
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    blob = saved(red, kind, save_all=True, append_images=[blue], **options)
    assert decode_image(blob, "moving").getpixel((3, 3)) == (255, 0, 0)
    moving = Image.open(io.BytesIO(blob))
    moving.seek(1)
    assert open_image(moving).getpixel((3, 3)) == (255, 0, 0)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    side = 60_000
    path = tmp_path / "bomb.png"
    path.write_bytes(header_only(side, side))
    with pytest.raises(ImageError, match="100 megapixels"):
        open_image(path)
    just_over = LIMIT // 8000 + 1
    with pytest.raises(ImageError, match=f"8000 x {just_over}"):
        decode_image(header_only(8000, just_over), "large.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_one_line(kind, share):
    blob = saved(photo(64, 64), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            decode_image(blob[: int(share * len(blob))], "half.img")
    assert "half.img" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("blob", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_says_so(blob, tmp_path):
    path = tmp_path / "notes.png"
    path.write_bytes(blob)
    with pytest.raises(ImageError, match=r"notes\.png"):
        open_image(path)


def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.jpg.*No such file"):
        open_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="no image"):
        open_image("a\0b.jpg")


def test_arrays_of_bytes_are_images_and_others_are_not():
    array = np.asarray(photo())
    assert np.array_equal(np.asarray(open_image(array)), array)
    assert open_image(array[..., 0]).mode == "RGB"
    for bad in (array.astype(float), array[None], array[..., :2], np.zeros((0, 3, 3), np.uint8)):
        with pytest.raises(ImageError):
            open_image(bad)


def test_folders_are_listed_in_order_and_empty_ones_refused(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    assert [path.name for path in list_images([tmp_path])] == ["a.png", "b.JPG"]
    assert list_images([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]
    for bad in (tmp_path / "empty", tmp_path / "gone.jpg"):
        with pytest.raises(ImageError):
            list_images([bad])


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        (Squash((5, 7)), (40, 80), (5, 7)),
        (ShortSide(20), (40, 81), (20, 40)),
        (LongSide(20), (40, 81), (9, 20)),
        (AsIs(), (40, 81), (40, 81)),
        (LongSide(3), (1, 900), (1, 3)),
    ],
)
def test_resizing(resize, size, expected):
    pixels, frame = Preprocess(resize)(Image.new("RGB", size[::-1]))
    assert tuple(pixels.shape) == (3, *expected)
    assert frame.input_size == expected


def test_preprocessing_equals_torchvision():
    transforms = pytest.importorskip("torchvision.transforms")
    image = photo(97, 131)
    theirs = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(image)
    ours, _ = imagenet()(image)
    torch.testing.assert_close(ours, theirs)


def test_channels_scale_and_mean_worked_by_hand_and_undone():
    caffe = Preprocess(AsIs(), mean=(104.0, 117.0, 124.0), std=(1.0,) * 3, scale=255.0, channels="BGR")
    image = Image.new("RGB", (2, 2), (200, 100, 50))
    pixels, _ = caffe(image)
    assert pixels[:, 0, 0].tolist() == pytest.approx([50 - 104, 100 - 117, 200 - 124], abs=1e-4)
    assert caffe.displayed(pixels).getpixel((0, 0)) == (200, 100, 50)


def test_padding_is_the_mean_colour():
    pixels, frame = Preprocess(AsIs(), (6, 8))(Image.new("RGB", (4, 4), "white"))
    assert (pixels[:, 0] == 0).all()
    assert (pixels[:, 1:5, 2:6] != 0).all()
    assert frame.box == (-1.0, -2.0, 5.0, 6.0)


def test_a_batch_needs_one_size():
    like = torch.zeros(1, dtype=torch.float64)
    pixels, frames = stack_images(Preprocess(Squash((8, 8))), [photo(), photo(5, 5)], like)
    assert pixels.dtype == torch.float64
    assert [frame.image_size for frame in frames] == [(6, 9), (5, 5)]
    with pytest.raises(vlx.VlxError, match="cannot share a batch"):
        stack_images(Preprocess(AsIs()), [photo(), photo(5, 5)], like)
    with pytest.raises(vlx.VlxError, match="at least one"):
        stack_images(Preprocess(), [], like)


def test_real_photos_open(shared_data: Path):
    for path in list_images([shared_data / "photos"]):
        assert open_image(path).mode == "RGB"
