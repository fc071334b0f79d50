"""Windows and bands by what they are called, as on the command line, and what a method of them is called."""

import re
from collections.abc import Sequence

from vlx.errors import VlxError
from vlx.methods.occlusion.bands import COUNT, Bands
from vlx.methods.occlusion.fills import NAMES, checked_fill, fill_name
from vlx.methods.occlusion.windows import What, Windows, usual

Given = str | Sequence[int] | None
"""A fill as it is asked for."""

_WHAT: dict[str, What] = {"occlusion": "hide", "reveal": "reveal", "reveal_and_hide": "reveal_and_hide"}
_FILL = rf"(?:_({'|'.join(NAMES)}|[0-9a-f]{{6}}))?"
_WINDOWS = re.compile(rf"({'|'.join(_WHAT)})(?:_([1-9]\d*)_([1-9]\d*))?{_FILL}")
_BANDS = re.compile(rf"bands(?:_([1-9]\d*))?{_FILL}")


def windows_of(
    kind: str, size: int | None, stride: int | None, batch: int, fill: Given
) -> tuple[str, Windows]:
    """The windows of a kind of method, and its name. Raises VlxError for values that are none.

    >>> windows_of("reveal", 48, None, 16, "blur")[0]
    'reveal_48_32_blur'
    """
    if any(value is not None and value < 1 for value in (size, stride, batch)):
        raise VlxError(f"size {size}, stride {stride} and batch {batch} must be 1 or more")
    windows = Windows(size, stride, batch, checked_fill(fill), _WHAT[kind])
    usual_size, usual_stride = usual(windows.what)
    parts = [kind, str(size or usual_size), str(stride or usual_stride), fill_name(windows.fill)]
    return "_".join(filter(None, parts)), windows


def bands_of(count: int, batch: int, fill: Given) -> tuple[str, Bands]:
    """So many bands, and the name of their method. Raises VlxError for values that are none.

    >>> bands_of(12, 16, None)[0]
    'bands_12'
    """
    if min(count, batch) < 1:
        raise VlxError(f"count {count} and batch {batch} must be 1 or more")
    shown = Bands(count, batch, checked_fill(fill))
    return "_".join(filter(None, ["bands", str(count), fill_name(shown.fill)])), shown


def called(name: str) -> Windows | Bands | None:
    """What a name such as occlusion_48_16, reveal_blur or bands_12 says; None of any other.

    >>> called("bands_12").count, called("occlusion_ff8000").fill, called("grad_cam")
    (12, (255, 128, 0), None)
    """
    if found := _WINDOWS.fullmatch(name):
        kind, size, stride, fill = found.groups()
        pixels = (None, None) if size is None else (int(size), int(stride))
        return windows_of(kind, *pixels, 16, _given(fill))[1]
    if found := _BANDS.fullmatch(name):
        count, fill = found.groups()
        return bands_of(int(count or COUNT), 16, _given(fill))[1]
    return None


def _given(fill: str | None) -> Given:
    return fill if fill is None or fill in NAMES else f"#{fill}"
