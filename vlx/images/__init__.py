"""Images: opened safely, prepared for a network, and where the network's input lies on the original."""

from vlx.images.files import open_image
from vlx.images.frame import Frame
from vlx.images.preprocess import AsIs, LongSide, Preprocess, ShortSide, Squash, imagenet, stack_images

__all__ = [
    "AsIs",
    "Frame",
    "LongSide",
    "Preprocess",
    "ShortSide",
    "Squash",
    "imagenet",
    "open_image",
    "stack_images",
]
