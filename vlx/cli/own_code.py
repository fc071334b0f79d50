"""Errors inside a model of the user's own, as one line that says where they came from."""

import sys
import sysconfig
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

_OURS = Path(__file__).parents[1]
_LIBRARIES = frozenset(
    (
        "vlx", "torch", "torchvision", "numpy", "PIL", "transformers", "safetensors", "typer", "click",
        "tqdm", "jaxtyping", "beartype", "scipy", "pyarrow", "ray", "matplotlib", "jinja2", "pycocotools",
        "nltk",
    )
)  # fmt: skip
_LONGEST = 500
NAMED: ContextVar[bool] = ContextVar("named", default=False)
"""Whether the command names a model of the user's own."""
_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def own_line(error: BaseException) -> str | None:
    """Where the user's own code failed, and how: ``my_models.py:12: KeyError: 'zebra'``.

    None where none of it ran: the error is then of vlx or of a library, and its traceback is wanted.
    """
    if not NAMED.get():
        return None
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_own(frame)
    ]
    if not frames:
        return None
    written_here = [place for place in frames if not place[0].startswith(_INSTALLED)]
    file, line = (written_here or frames)[-1]
    said = " ".join(str(error).split()) or "without a message"
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"
    return f"{_short(file)}:{line}: {type(error).__name__}: {said}"


def _is_own(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    file = Path(frame.f_code.co_filename)
    known = name in _LIBRARIES or (name in sys.stdlib_module_names and name != "__main__")
    return not known and file.is_file() and _OURS not in file.parents


def _short(file: str) -> str:
    """Its path from the working directory, where it lies there."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if Path.cwd() in path.parents else path)
