"""The held-out scenes: one archive in the package, unpacked once into the user's cache.

They are some 2,100 small files, which readers, notebooks and evaluations take by their paths. The archive
is a tar file under gzip; xz would save one per cent of it and read four times as slowly.
"""

import atexit
import gzip
import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vlx.errors import VlxError
from vlx.images.files import write_whole
from vlx.scenes.layouts import laid_out

ARCHIVE = Path(__file__).parent / "assets" / "held_out.tar.gz"
_NAME = re.compile(r"(?:\w[\w.-]*/)*\w[\w.-]*", re.ASCII)  # no root, no drive, no "..", nothing hidden
_MOST = 1 << 28  # bytes of an unpacked archive; a larger one is refused before it fills the memory
_PART = ".unpacking-"
_OLD = 3600.0  # seconds after which a folder of that name was left by a process that was killed


def held_out_scenes(archive: str | Path = ARCHIVE, *, layout: str = "coco") -> Path:
    """The folder of the held-out scenes, laid out as `vlx.scenes.formats.write_world` lays one out.

    With a ``layout`` of `vlx.scenes.layouts.write_layout` it is another folder with the same scenes, laid out
    as ILSVRC's or VOC's data are.

    It lies in the folder that the environment variable ``VLX_CACHE`` names, by default in the user's cache,
    under a name that follows from the archive's bytes. The first call unpacks the archive, all at once; every
    call compares the folder with it, puts right what is missing or changed, and removes what is not of it.
    Where the cache cannot be written, a temporary folder serves until this process ends.

    ``archive`` is another one that `pack` wrote. Raises VlxError where it is missing, damaged or names a file
    outside its folder, for an unknown layout, and where no folder can be written.
    """
    digest, files = _read(Path(archive))
    world = _in_cache(files, f"held-out-{digest[:16]}")
    return world if layout == "coco" else _in_cache(laid_out(world, layout), f"{world.name}-{layout}")


def _in_cache(files: Mapping[str, bytes], name: str) -> Path:
    """A folder of this name with these files in it and no others."""
    failures: list[str] = []
    for root in (_cache, _temporary):
        try:
            return _unpacked(files, root() / name)
        except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
            failures.append(str(error))
    told = "; ".join(dict.fromkeys(failures))
    raise VlxError(f"the held-out scenes cannot be unpacked ({told}): set VLX_CACHE to a folder of yours")


def pack(folder: str | Path, archive: str | Path) -> Path:
    """Write every file below ``folder`` to one archive; returns it.

    The same files give the same bytes (under one version of zlib), whenever and by whomever they were
    written. Raises VlxError for a folder without files or with a name that `held_out_scenes` would refuse.
    """
    root, plain = Path(folder), io.BytesIO()
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    if not names:
        raise VlxError(f"{root} holds no file to pack")
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            content = (root / _checked(name, root)).read_bytes()
            member = tarfile.TarInfo(name)  # with neither owner nor time
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(plain.getvalue())
    write_whole(Path(archive), packed.getvalue())
    return Path(archive)


def _read(archive: Path) -> tuple[str, dict[str, bytes]]:
    """The digest of an archive and the files in it, by their names."""
    try:
        packed = archive.read_bytes()
    except OSError as error:
        raise VlxError(
            f"no held-out scenes in {archive} ({error.strerror}): vlx scenes train writes them"
        ) from None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            plain = file.read(_MOST + 1)
        if len(plain) > _MOST:
            raise VlxError(f"{archive} holds more than {_MOST >> 20} MiB")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            return hashlib.sha256(packed).hexdigest(), _members(tar, archive)
    except VlxError:
        raise
    except (OSError, EOFError, ValueError, OverflowError, zlib.error, tarfile.TarError) as error:
        raise VlxError(f"{archive} is damaged: {error}") from None


def _members(tar: tarfile.TarFile, archive: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for member in tar:
        plain = member.isreg() and not member.issparse()  # a link leads anywhere, a hole is any size
        content = tar.extractfile(member) if plain else None
        if content is None or member.name in files:
            raise VlxError(f"{archive} holds {member.name!r}, which is not one plain file")
        files[_checked(member.name, archive)] = content.read()
    return files


def _checked(name: str, holder: Path) -> str:
    """The name of a file as it is. Raises VlxError for one that might lead out of its folder."""
    if not _NAME.fullmatch(name):
        raise VlxError(f"{holder} holds the name {name!r}: only letters, digits, _, - and . are allowed")
    return name


def _unpacked(files: Mapping[str, bytes], folder: Path) -> Path:
    """The folder with these files in it and no others."""
    wrong = [name for name, content in files.items() if not _holds(folder / name, content)]
    if wrong:
        _put_right(files, wrong, folder)
    for path in folder.rglob("*"):  # one map more would be one annotator more
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink(missing_ok=True)
    return folder


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _put_right(files: Mapping[str, bytes], wrong: list[str], folder: Path) -> None:
    """Write the files named ``wrong``; each appears whole, and all at once where none was there.

    The folder is never taken away, so other processes may read in it meanwhile, or do the same.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(_PART + "*"):
        if time.time() - left.stat().st_mtime > _OLD:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PART, dir=folder.parent, ignore_cleanup_errors=True) as part:
        whole = Path(part) / folder.name  # with the usual permissions, which a temporary folder has not
        for name in wrong:
            _place(whole / name).write_bytes(files[name])
        if len(wrong) == len(files) and not folder.exists():
            try:
                whole.rename(folder)
                return
            except OSError:  # another process was faster, or its files are put right one by one
                pass
        for name in wrong:
            if not _holds(folder / name, files[name]):
                (whole / name).replace(_place(folder / name))


def _place(path: Path) -> Path:
    """A path, with its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _cache() -> Path:
    """Where files may be kept that can be made again."""
    if given := os.environ.get("VLX_CACHE"):
        return Path(given).expanduser().absolute()
    common = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(common):
        return Path(common) / "vlx"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "vlx"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "vlx"


@cache
def _temporary() -> Path:
    """A folder that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="vlx-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
