"""One shard, two or seven: joined, the same rows and the same summary, byte for byte."""

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.eval.runs.measured import contents, parts
from vlx.errors import VlxError
from vlx.eval.runs.merge import merge
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.pointing import POINTING

GIVEN = ("--batch", 8, "--threads", 1, "--seed", 3)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_merge_to_the_run_without_shards(
    world: Path, tmp_path: Path, run: Run, whole: Path, count: int
) -> None:
    for index in range(count, 0, -1):
        given = ("--data", world, "--out", tmp_path, "--shard", f"{index}/{count}", *GIVEN)
        assert run("evaluate", "pointing", *given)[0] == 0
    folders = sorted(tmp_path.glob("shard-*"))
    assert len(folders) == count
    status, out, _ = run("evaluate", "merge", *folders, "--out", tmp_path / "all")
    assert status == 0
    assert "Word pointing" in out
    assert contents(tmp_path / "all") == contents(whole)
    assert parts(tmp_path / "all") == parts(whole)


def test_what_does_not_belong_together_is_not_merged(world: Path, tmp_path: Path, run: Run) -> None:
    for name, more in (
        ("a", ("--shard", "1/2")), ("b", ("--shard", "2/2")), ("c", ("--shard", "2/2", "--seed", 1))
    ):  # fmt: skip
        assert run("evaluate", "boxes", "--data", world, "--out", tmp_path / name, *more)[0] == 0
    a, b, c = (next((tmp_path / name).iterdir()) for name in "abc")

    def refused(*folders: Path) -> str:
        status, _, err = run("evaluate", "merge", *folders, "--out", tmp_path / "out")
        assert (status, err.count("\n")) == (1, 1)
        assert not (tmp_path / "out" / "summary.json").exists()
        return err

    assert "differ in options" in refused(a, c)
    assert "both hold batch 0" in refused(a, a)
    assert "in none of the folders" in refused(a)
    assert "holds no results" in refused(a, tmp_path)
    (b / "parts" / "000001.json").unlink()
    assert "run shard 2/2 to its end first" in refused(a, b)


def test_a_folder_of_an_unknown_evaluation_is_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(VlxError, match="does not know"):
        merge([whole], tmp_path / "out", [one for one in TASKS if one is not POINTING])
    with pytest.raises(VlxError, match="no shards"):
        merge([], tmp_path / "out", TASKS)
