"""Damaged files of every kind: read, or refused in one line, with bounded work and memory; nothing else."""

import random
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.files.mutants import DATA, mutant, readers
from vlx.adapters import files
from vlx.errors import CheckpointError

READERS = readers()
CALLS = 200_000  # by the readers, ten times what any of these files takes; seconds would depend on machines
FILES = str(Path(files.__file__).parent)
SHORT = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))


@contextmanager
def bounded(calls: int) -> Generator[None, None, None]:
    """Fail where the readers call more functions in the block, Python's or C's."""
    called = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal called
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(FILES):
            called += 1
        if called > calls:
            sys.setprofile(None)
            pytest.fail(f"more than {calls} calls")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_the_bound_can_be_passed(tmp_path: Path) -> None:
    payload, wrap = READERS["t7"].payloads[0]
    file = READERS["t7"].put(tmp_path, wrap(payload))
    with pytest.raises(pytest.fail.Exception, match="more than 9 calls"), bounded(9):
        READERS["t7"].read(file)


def tried(path: Path, name: str, blob: bytes) -> bool:
    """Whether a file was read; it may be refused, and nothing else."""
    (path / "x.data-00000-of-00001").write_bytes(DATA)
    file = READERS[name].put(path, blob)
    error = ""
    try:
        with bounded(CALLS):
            READERS[name].read(file)
    except CheckpointError as refused:
        error = str(refused)
    assert "\n" not in error
    assert len(error) < 600
    return not error


@pytest.mark.parametrize("name", READERS)
def test_the_valid_files_are_read(name: str, tmp_path: Path) -> None:
    for payload, wrap in READERS[name].payloads:
        assert tried(tmp_path, name, wrap(payload))


@pytest.mark.parametrize("name", READERS)
@SHORT
@given(seed=st.integers(0, 2**32))
def test_changed_files_are_read_or_refused(
    name: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blob = mutant(random.Random(seed), READERS[name])
    assert tried(tmp_path_factory.getbasetemp(), name, blob) in (True, False)


@pytest.mark.parametrize("name", READERS)
@SHORT
@given(blob=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(
    name: str, blob: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert tried(tmp_path_factory.getbasetemp(), name, blob) in (True, False)
