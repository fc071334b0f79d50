"""Pixels of more than 8 bits: the picture that they hold, or one line that says how to make it bytes."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vlx.errors import ImageError
from vlx.images.files import decode_image, open_image
from vlx.images.preprocess import imagenet

RAMP = np.tile(np.arange(256), (4, 1))
BITS, WHITE_IS, ORIENTATION, LARGEST = 258, 262, 274, 281  # tags of TIFF


def png(samples: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """Written by hand, since Pillow writes no more than 8 bits a colour. samples: (row, col[, channel])."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = samples.shape[:2]
    colour = {(): 0, (3,): 2, (2,): 4, (4,): 6}[samples.shape[2:]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(image: Image.Image, tags: dict[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", tiffinfo=tags or {})
    return buffer.getvalue()


def twelve_bit_tiff(samples: np.ndarray) -> bytes:
    """Two samples in three bytes, in one strip. samples: (row, col), an even number a row."""
    first, second = samples[:, ::2], samples[:, 1::2]
    packed = (
        np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8).tobytes()
    )
    height, width = samples.shape
    tags = [(256, width), (257, height), (BITS, 12), (259, 1), (WHITE_IS, 1), (273, 8 + 2 + 9 * 12 + 4),
            (277, 1), (278, height), (279, len(packed))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0) + packed


def grey(image: Image.Image) -> np.ndarray:
    bands = np.asarray(image)
    assert (bands == bands[..., :1]).all()
    return bands[..., 0]


def refused(image: bytes | Image.Image | np.ndarray) -> str:
    with pytest.raises(ImageError) as error:
        decode_image(image, "photo") if isinstance(image, bytes) else open_image(image)
    assert "\n" not in str(error.value)
    return str(error.value)


deep = (RAMP * 257).astype(np.uint16)
scanned = (RAMP * 16).astype(np.uint16)  # 12 bits in 16


@pytest.mark.parametrize("file", [png(deep), tiff(Image.fromarray(deep)), png(np.stack([deep] * 3, -1))])
def test_sixteen_bits_are_divided_by_257(file):
    np.testing.assert_array_equal(grey(decode_image(file, "photo")), RAMP)


def test_sixteen_bits_in_thirty_two():
    np.testing.assert_array_equal(grey(open_image(Image.fromarray(deep.astype(np.int32)))), RAMP)


def test_a_file_that_stores_twelve_bits():
    file = twelve_bit_tiff(RAMP * 16)
    assert np.asarray(Image.open(io.BytesIO(file))).max() == 4080
    np.testing.assert_array_equal(grey(decode_image(file, "photo")), (RAMP * 16 / 4095 * 255).round())


@pytest.mark.parametrize("largest", [4095, 8191, 65535])
def test_a_file_that_states_its_largest_sample(largest):
    file = tiff(Image.fromarray(scanned), {LARGEST: largest})
    np.testing.assert_array_equal(grey(decode_image(file, "photo")), (scanned / largest * 255).round())


def test_a_statement_that_the_pixels_belie_is_passed_over():
    assert "4080" in refused(tiff(Image.fromarray(scanned), {LARGEST: 1023}))
    np.testing.assert_array_equal(
        grey(decode_image(tiff(Image.fromarray(deep), {LARGEST: 4095}), "photo")), RAMP
    )


def test_white_may_be_zero():
    file = tiff(Image.fromarray(deep), {WHITE_IS: 0})
    np.testing.assert_array_equal(grey(decode_image(file, "photo")), 255 - RAMP)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("store", [png, lambda pixels: tiff(Image.fromarray(pixels)), Image.fromarray])
def test_fewer_bits_in_sixteen_are_refused(bits, store):
    said = refused(store((RAMP << bits - 8).astype(np.uint16)))
    assert f"grey pixels from 0 to {255 << bits - 8}, and which value is white is not known" in said


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_fewer_bits_in_sixteen_a_colour_are_refused(bits):
    colours = np.stack([RAMP << bits - 8] * 3, -1)
    opaque = np.full((4, 256, 1), 65535)
    for samples in (
        colours,
        np.concatenate([colours, opaque], -1),
        np.stack([colours[..., 0], opaque[..., 0]], -1),
    ):
        assert "16-bit colours of at most" in refused(png(samples))
        assert "16-bit colours of at most" in refused(Image.open(io.BytesIO(png(samples))))
    assert "16-bit colours of at most" in refused(png(colours))


@pytest.mark.parametrize("image", [Image.new("I;16", (4, 3)), Image.new("I", (4, 3))])
def test_black_is_black_whatever_white_is(image):
    assert not np.asarray(open_image(image)).any()


def test_five_and_six_bits_a_colour_are_not_sixteen():
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 70, 0, 0, 66, 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    file = head + struct.pack("<III", 0xF800, 0x07E0, 0x001F) + struct.pack("<HH", 0x0841, 0x0020)
    assert np.asarray(decode_image(file, "photo")).max() < 16


def test_what_is_transparent_in_sixteen_bits_is_white():
    key = struct.pack(">H", 257 * 9)
    assert np.flatnonzero(grey(decode_image(png(deep, (b"tRNS", key)), "photo"))[0] == 255).tolist() == [
        9,
        255,
    ]
    coloured = png(np.stack([deep] * 3, -1), (b"tRNS", key * 3))
    assert np.flatnonzero(grey(decode_image(coloured, "photo"))[0] == 255).tolist() == [9, 255]


def test_orientation_of_deep_pixels():
    file = tiff(Image.fromarray(deep), {ORIENTATION: 3})
    np.testing.assert_array_equal(grey(decode_image(file, "photo")), RAMP[:, ::-1])


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_a_preprocess_refuses_the_same(kind):
    with pytest.raises(ImageError, match="which value is white is not known"):
        imagenet(32)(Image.fromarray(RAMP.astype(kind)))


@pytest.mark.parametrize(
    "array",
    [
        RAMP > 100,
        RAMP.astype(np.int64),
        RAMP.astype(np.uint16),
        RAMP.astype(np.float64),
        (RAMP / 255).astype(np.float32),
        (RAMP / 255).astype(np.float16),
        Image.fromarray(RAMP.astype(np.int32)),
        Image.fromarray((RAMP / 255).astype(np.float32)),
    ],
    ids=lambda given: str(getattr(given, "dtype", getattr(given, "mode", ""))),
)
def test_the_line_that_refuses_numbers_gives_an_expression_that_works(array):
    said = refused(array)
    expression = said.rsplit("for example by ", 1)[1]
    found = eval(expression, {"np": np, "array": array, "image": array})
    expected = np.where(RAMP > 100, 255, 0) if getattr(array, "dtype", "") == "bool" else RAMP
    np.testing.assert_array_equal(grey(open_image(found)), expected)


@pytest.mark.parametrize(
    ("array", "black", "white"),
    [(scanned, 0, 4095), ((RAMP - 128).astype(np.int16), -128, 127), (RAMP / 127.5 - 1, -1, 1)],
)
def test_the_line_names_what_the_caller_knows(array, black, white):
    expression = refused(array).rsplit("for example by ", 1)[1].split(" with its")[0]
    found = eval(expression, {"array": array, "black": black, "white": white})
    assert np.abs(grey(open_image(found)) - RAMP.astype(float)).max() <= 1


def test_numbers_that_are_none_are_refused():
    for value in (np.nan, np.inf):
        assert "expected bytes" in refused(np.full((3, 4), value))
    assert "expected bytes" in refused(np.zeros((3, 4), complex))
