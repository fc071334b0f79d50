"""One shard, two, seven, or Ray: the same rows and the same summary, byte for byte."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.eval import small
from tests.eval.runs.test_batches import contents, parts
from vlx.errors import VlxError
from vlx.eval.items.models import Models, with_controls
from vlx.eval.runs import launch, ray_engine
from vlx.eval.runs.batches import run as run_batches
from vlx.eval.tasks.all import EVALUATORS
from vlx.eval.tasks.pointing import POINTING

GIVEN = ("--batch", 8, "--threads", 1, "--seed", 3)


@pytest.fixture(scope="module")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without shards."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlx.eval.runs.launch.load_models", _load)
        launch.launch(POINTING, _request(world), out)
    return out


def _request(world: Path, **more: Any) -> launch.Request:
    options = launch.Options(seed=3)
    return launch.Request(
        "scenes/captioner", str(world), batch=8, threads=1, options=options, progress=False, **more
    )


def _load(request: launch.Request) -> Models:
    return with_controls(small.load(request.model), request.options.seed)


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
    from vlx.eval.runs.merge import merge

    with pytest.raises(VlxError, match="does not know"):
        merge([whole], tmp_path / "out", [one for one in EVALUATORS if one is not POINTING])
    with pytest.raises(VlxError, match="no shards"):
        merge([], tmp_path / "out", EVALUATORS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, its workers able to import the tests."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vlx[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        root = str(Path(__file__).parents[3])
        patch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


class _DiesOnce:
    """Loads a model that kills its whole process at the third caption, but only the first time ever."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, request: launch.Request) -> Models:
        models = _load(request)
        read, calls = models.trained.read, []

        def mortal(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 3 and not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return read(*arguments)

        models.trained.read = mortal
        return models


def _on_ray(world: Path, out: Path, load: ray_engine.Load, workers: int) -> None:
    request = _request(world, engine="ray", workers=workers)
    with launch.repeatable(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "load_models", _load)
        ready = launch.prepare(POINTING, request)
        work = ray_engine.ray_work(POINTING, request, ready.items, ready.settings, load)
        run_batches(POINTING, ready.settings, work, out, progress=False)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_bytes_and_resumes(world: Path, tmp_path: Path, whole: Path) -> None:
    _on_ray(world, tmp_path / "ray", _load, 2)
    assert contents(tmp_path / "ray") == contents(whole)
    shutil.copytree(tmp_path / "ray", tmp_path / "half")
    (tmp_path / "half" / "parts" / "000002.json").unlink()
    (tmp_path / "half" / "summary.json").unlink()
    _on_ray(world, tmp_path / "half", _load, 1)
    assert contents(tmp_path / "half") == contents(whole)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_of_ray_changes_nothing(world: Path, tmp_path: Path, whole: Path) -> None:
    marker = tmp_path / "died"
    _on_ray(world, tmp_path / "ray", _DiesOnce(marker), 2)
    assert marker.exists()
    assert contents(tmp_path / "ray") == contents(whole)


def _broken(request: launch.Request) -> Models:
    raise VlxError("no such weights")


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_cannot_work_ends_the_run_in_one_line(world: Path, tmp_path: Path) -> None:
    with pytest.raises(VlxError, match="a worker of Ray failed") as caught:
        _on_ray(world, tmp_path, _broken, 1)
    assert str(caught.value).endswith("no such weights")


def test_ray_is_asked_for_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VlxError, match=r"pip install 'vlx\[ray\]'"):
        ray_engine.need_ray()
