"""The archive of held-out scenes: unpacked once, put right where it was damaged, and no name is trusted."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from vlx.errors import VlxError
from vlx.scenes import held_out as unpacking
from vlx.scenes import held_out_scenes
from vlx.scenes.held_out import ARCHIVE, pack

FILES = {
    "attention/10_1.png": b"\x89PNG one",
    "attention/10_2.png": b"\x89PNG two",
    "images/000000000001.jpg": b"\xff\xd8 a picture",
    "instances.json": b"{}\n",
}


def written(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def tar(*members: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as made:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            made.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return pack(written(tmp_path / "source"), tmp_path / "scenes.tar.gz")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made, empty at first; nothing of it is kept for other tests."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    unpacking._temporary.cache_clear()
    yield folder
    unpacking._temporary.cache_clear()


def test_the_archive_in_the_package_holds_what_comes_out(held_out: Path, tmp_path: Path) -> None:
    again = pack(held_out, tmp_path / "again.tar.gz")
    assert gzip.decompress(again.read_bytes()) == gzip.decompress(ARCHIVE.read_bytes())
    assert len(list((held_out / "images").iterdir())) == 200
    assert len(list((held_out / "attention").iterdir())) == 1899


def test_scenes_are_unpacked_once(archive: Path, cache: Path) -> None:
    folder = held_out_scenes(archive)
    assert folder.parent == cache
    assert contents(folder) == FILES
    before = {path: path.stat() for path in folder.rglob("*")}
    assert held_out_scenes(archive) == folder
    after = {path: path.stat() for path in folder.rglob("*")}
    assert {p: (s.st_ino, s.st_mtime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_mtime_ns) for p, s in before.items()
    }
    assert list(cache.iterdir()) == [folder]


def test_other_scenes_get_another_folder(archive: Path, cache: Path, tmp_path: Path) -> None:
    other = pack(written(tmp_path / "other", {"instances.json": b"[]\n"}), tmp_path / "other.tar.gz")
    first, second = held_out_scenes(archive), held_out_scenes(other)
    assert contents(first) == FILES
    assert contents(second) == {"instances.json": b"[]\n"}


def test_nothing_is_written_by_an_import(tmp_path: Path) -> None:
    code = "import vlx.scenes.score, vlx.cli.demo, vlx.cli.demonstration, vlx.eval.runs.request"
    places = {name: str(tmp_path / name) for name in ("VLX_CACHE", "XDG_CACHE_HOME", "TMPDIR")}
    (tmp_path / "TMPDIR").mkdir()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **places})
    held = [path.name for path in tmp_path.rglob("held-out*")]
    assert held == []
    assert not (tmp_path / "VLX_CACHE").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the usual folder of Linux")
def test_the_cache_is_the_users(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLX_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert held_out_scenes(archive).parent == tmp_path / "xdg" / "vlx"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert held_out_scenes(archive).parent == tmp_path / "home" / ".cache" / "vlx"


def test_a_relative_cache_stays_where_it_is(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLX_CACHE", "mine")
    assert held_out_scenes(archive).parent == tmp_path / "mine"


def _unpack(archive: str, together: float) -> tuple[str, dict[str, bytes]]:
    time.sleep(max(0.0, together - time.time()))
    folder = held_out_scenes(archive)
    return str(folder), contents(folder)


def test_processes_that_begin_together_all_get_the_scenes(cache: Path, tmp_path: Path) -> None:
    many = {f"attention/{n}_1.png": bytes([n % 256]) * 2000 for n in range(300)}
    archive = pack(written(tmp_path / "many", many), tmp_path / "many.tar.gz")
    with get_context("spawn").Pool(3) as pool:
        pool.starmap(_unpack, [(str(archive), 0.0)] * 3)  # all have imported what they need
        (folder,) = cache.iterdir()
        for damage in ("all", "some"):
            for path in sorted(folder.rglob("*.png"))[:: 1 if damage == "all" else 7]:
                path.unlink()
            if damage == "all":
                (folder / "attention").rmdir()
                folder.rmdir()
            found = pool.starmap(_unpack, [(str(archive), time.time() + 0.2)] * 3)
            assert found == [(str(folder), many)] * 3
    assert list(cache.iterdir()) == [folder]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "images" / "000000000001.jpg").unlink(),
        lambda folder: (folder / "instances.json").write_bytes(b""),
        lambda folder: (folder / "instances.json").write_bytes(b"[]\n"),  # as long as before
        lambda folder: [path.unlink() for path in (folder / "attention").iterdir()],
        lambda folder: [path.unlink() for path in folder.rglob("*.*")],
        lambda folder: (folder / "attention" / "10_3.png").write_bytes(b"an annotator too many"),
    ],
    ids=["missing", "cut short", "changed", "a folder emptied", "all missing", "one too many"],
)
def test_a_damaged_cache_is_put_right(damage, archive: Path, cache: Path) -> None:
    folder = held_out_scenes(archive)
    damage(folder)
    assert contents(folder) != FILES
    assert held_out_scenes(archive) == folder
    assert contents(folder) == FILES
    assert list(cache.iterdir()) == [folder]


def test_an_interrupted_unpacking_leaves_nothing(
    archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, done = Path.write_bytes, []

    def interrupted(path: Path, content: bytes) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held_out_scenes(archive)
    assert list(cache.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("VLX_CACHE", str(cache))
    assert contents(held_out_scenes(archive)) == FILES


def test_what_a_killed_process_left_is_cleared_later(archive: Path, cache: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom vlx.scenes import held_out_scenes\n"
        "Path.rename = lambda *_: os._exit(9)\nheld_out_scenes(sys.argv[1])"
    )
    assert subprocess.run([sys.executable, "-c", code, str(archive)], check=False).returncode == 9
    (left,) = cache.iterdir()
    folder = held_out_scenes(archive)
    assert contents(folder) == FILES
    assert left.exists()  # it might be at work still
    os.utime(left, (0, 0))
    (folder / "instances.json").unlink()
    assert held_out_scenes(archive) == folder
    assert list(cache.iterdir()) == [folder]


def test_a_temporary_folder_serves_where_the_cache_cannot_be_written(
    archive: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VLX_CACHE", str(tmp_path / "file"))
    folder = held_out_scenes(archive)
    assert folder.is_relative_to(temporary)
    assert contents(folder) == FILES
    assert held_out_scenes(archive) == folder


def test_the_temporary_folder_goes_with_the_process(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "temporary").mkdir()
    code = "import sys\nfrom vlx.scenes import held_out_scenes\nprint(held_out_scenes(sys.argv[1]).is_dir())"
    places = {"VLX_CACHE": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(archive)],
        capture_output=True, text=True, check=True, env={**os.environ, **places},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nowhere_to_write_is_one_error(
    archive: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VLX_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(VlxError, match="set VLX_CACHE to a folder") as raised:
        held_out_scenes(archive)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/out.txt", "images/../../out.txt", "..", "a\\..\\out.txt", "C:/out.txt", "./out.txt",
     ".hidden", "a//b", "a\nb", "é"],
)  # fmt: skip
def test_a_name_that_leads_out_is_refused(name: str, cache: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(tar(tarfile.TarInfo("good.txt"), tarfile.TarInfo(name)))
    with pytest.raises(VlxError, match="only letters, digits"):
        held_out_scenes(hostile)
    assert not cache.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_what_is_no_plain_file_is_refused(kind: bytes, cache: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("images")
    link.type, link.linkname = kind, "/etc"
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(tar(link, tarfile.TarInfo("images/out.txt")))
    with pytest.raises(VlxError, match="not one plain file"):
        held_out_scenes(hostile)
    assert not cache.exists()


def test_a_name_that_stands_twice_is_refused(cache: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(tar(tarfile.TarInfo("a.txt"), tarfile.TarInfo("a.txt")))
    with pytest.raises(VlxError, match="not one plain file"):
        held_out_scenes(hostile)


def test_too_large_an_archive_is_refused(archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MOST", 2000)
    with pytest.raises(VlxError, match="more than"):
        held_out_scenes(archive)


def test_a_damaged_or_missing_archive_is_told(archive: Path, cache: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 255
    for damaged in (b"", b"no archive", whole[:-20], whole[: len(whole) // 2], bytes(changed)):
        archive.write_bytes(damaged)
        with pytest.raises(VlxError, match=r"scenes\.tar\.gz is damaged"):
            held_out_scenes(archive)
    with pytest.raises(VlxError, match="vlx scenes train"):
        held_out_scenes(tmp_path / "none.tar.gz")
    assert not cache.exists()


def test_the_same_files_give_the_same_archive(archive: Path, tmp_path: Path) -> None:
    backwards = written(tmp_path / "backwards", dict(reversed(FILES.items())))
    for path in backwards.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert pack(backwards, tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()
    (backwards / "instances.json").write_bytes(b"[]\n")
    assert pack(backwards, tmp_path / "again.tar.gz").read_bytes() != archive.read_bytes()


def test_what_could_not_be_unpacked_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(VlxError, match="holds no file"):
        pack(tmp_path, tmp_path / "none.tar.gz")
    (tmp_path / ".hidden").write_text("")
    with pytest.raises(VlxError, match=r"'\.hidden'"):
        pack(tmp_path, tmp_path / "none.tar.gz")
    assert not (tmp_path / "none.tar.gz").exists()
