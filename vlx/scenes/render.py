"""Draw a scene: glyphs of a colour-emoji font on a textured ground, with exact visible masks."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from vlx.errors import VlxError
from vlx.scenes.inventory import COLOURS
from vlx.scenes.plan import SIDE, Item, Scene

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
_STRIKE = 109  # the only size of the font's bitmaps
_COLOURS = {"grass": (92, 150, 62), "sand": (216, 190, 140), "sea": (56, 120, 170), "snow": (232, 238, 244),
            "road": (104, 104, 108)}  # fmt: skip


def need_font() -> Path:
    """The path of the font; raises VlxError naming the Debian package that brings it."""
    if not FONT.is_file():
        raise VlxError(
            f"scenes are drawn with the font {FONT.name}, which is not installed: "
            "install Debian's package fonts-noto-color-emoji"
        )
    return FONT


def render(
    scene: Scene,
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "item height width"]]:
    """Draw a scene: its pixels (RGB), and for each object the pixels where it is seen.

    A pixel belongs to the frontmost object that covers at least half of it.
    """
    canvas = Image.fromarray(_ground(scene.ground, np.random.default_rng(scene.texture)))
    masks = np.zeros((len(scene.items), SIDE, SIDE), bool)
    for index, item in enumerate(scene.items):
        sprite = _sprite(item)
        left, top = round(item.col - sprite.width / 2), round(item.row - sprite.height / 2)
        canvas.paste(sprite, (left, top), sprite)
        cover = Image.new("L", (SIDE, SIDE))
        cover.paste(sprite.getchannel("A"), (left, top))
        seen = np.asarray(cover) >= 128
        masks[:index] &= ~seen
        masks[index] = seen
    return np.asarray(canvas), masks


def _sprite(item: Item) -> Image.Image:
    glyph = _glyph(item.glyph.char, item.colour)
    shrink = item.size / max(glyph.size)
    sprite = glyph.resize(
        (max(1, round(glyph.width * shrink)), max(1, round(glyph.height * shrink))), Image.Resampling.BILINEAR
    )
    if item.mirrored:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return sprite.rotate(item.angle, Image.Resampling.BILINEAR, expand=True)


@lru_cache(maxsize=1024)
def _glyph(char: str, colour: str | None) -> Image.Image:
    font = _font()
    image = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(image).text((12, 12), char, font=font, embedded_color=True)
    box = image.getchannel("A").getbbox()
    if box is None:
        raise VlxError(f"the font {FONT.name} draws nothing for U+{ord(char):04X}: install a newer one")
    glyph = image.crop(box)
    return glyph if colour is None else _coloured(glyph, COLOURS[colour])


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(need_font()), _STRIKE)


def _coloured(glyph: Image.Image, hue: float) -> Image.Image:
    """Give every clearly coloured pixel the hue; greys, black and white stay."""
    alpha = glyph.getchannel("A")
    bands = np.asarray(glyph.convert("RGB").convert("HSV")).copy()
    vivid = (bands[..., 1] > 50) & (bands[..., 2] > 40)
    bands[..., 0] = np.where(vivid, round(hue * 255), bands[..., 0])
    bands[..., 1] = np.where(vivid, np.maximum(bands[..., 1], 190), bands[..., 1])
    bands[..., 2] = np.where(vivid, np.maximum(bands[..., 2], 110), bands[..., 2])
    out = Image.fromarray(bands, "HSV").convert("RGB")
    out.putalpha(alpha)
    return out


def _ground(name: str, random: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """A ground's texture: its colour, large soft spots, and a grain of its own."""
    base = np.array(_COLOURS[name], np.float32) * random.uniform(0.9, 1.08)
    shade = 14 * _noise(random, 6) + 9 * _noise(random, 24)
    rows, cols = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    if name == "sea":
        bend = rows * random.uniform(0.22, 0.4) + 3 * _noise(random, 8)
        shade += 12 * np.sin(bend + cols * random.uniform(-0.03, 0.03))
    elif name == "grass":
        shade += 16 * _noise(random, SIDE, SIDE // 5)
    elif name == "sand":
        shade += 8 * _noise(random, SIDE)
    elif name == "road":
        shade += 6 * _noise(random, SIDE)
        lane = np.abs(cols - random.uniform(60, 164) - (rows - SIDE / 2) * random.uniform(-0.3, 0.3)) < 4
        shade += 90 * (lane & ((rows // 28) % 2 == 0))
    else:
        shade += 3 * _noise(random, SIDE)
    return np.clip(base + shade[..., None], 0, 255).astype(np.uint8)


def _noise(
    random: np.random.Generator, cells: int, cols: int | None = None
) -> Float[np.ndarray, "height width"]:
    """Smooth noise of zero mean and about unit spread, as many cells high (and wide)."""
    coarse = random.standard_normal((cols or cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse, "F").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
