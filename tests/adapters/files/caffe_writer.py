"""Writes caffemodels in the layouts of caffe.proto: layers of V1, and of today."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from tests.adapters.files.wire_writer import block, varint, whole

Blobs = Sequence[Tensor | np.ndarray]


def write_caffemodel(path: Path, layers: Mapping[str, Blobs], *, v1: bool = False, name: str = "net") -> Path:
    """Write the blobs of each layer as Caffe's ``Net::ToProto`` would; returns the path.

    With ``v1`` layers are those of 2014, and every blob has four sizes, ones before its own. float64 blobs
    are written as such. A layer without blobs is written as well.
    """
    content = block(1, name.encode())
    for layer, blobs in layers.items():
        arrays = [np.asarray(blob) for blob in blobs]
        if v1:
            held = b"".join(block(6, old_blob(array)) for array in arrays)
            content += block(2, block(2, b"data") + block(4, layer.encode()) + whole(5, 4) + held)
        else:
            held = b"".join(block(7, blob(array)) for array in arrays)
            content += block(100, block(1, layer.encode()) + block(2, b"Convolution") + held)
    path.write_bytes(content)
    return path


def data(array: np.ndarray) -> bytes:
    """The numbers of a blob."""
    double = array.dtype == np.float64
    return block(8 if double else 5, array.astype("<f8" if double else "<f4").tobytes())


def blob(array: np.ndarray) -> bytes:
    """A blob with a shape."""
    return data(array) + block(7, block(1, b"".join(varint(size) for size in array.shape)))


def old_blob(array: np.ndarray) -> bytes:
    """A blob with four sizes."""
    sizes = (*[1] * (4 - array.ndim), *array.shape)
    return b"".join(whole(at, size) for at, size in enumerate(sizes, 1)) + data(array)
