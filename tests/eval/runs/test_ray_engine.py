"""Batches on Ray: the same rows and the same summary as here, byte for byte."""

import copy
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.eval.runs.measured import contents, load_small, request
from vlx.errors import VlxError
from vlx.eval.items.models import Models
from vlx.eval.runs import ray_engine
from vlx.eval.runs.batches import run_batches
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Request, prepare
from vlx.eval.tasks.pointing import POINTING


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


class DiesOnce:
    """Loads a model that kills its whole process at the third caption, but only the first time ever."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, request: Request) -> Models:
        models = load_small(request)
        read, calls = models.trained.read, []

        def mortal(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 3 and not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return read(*arguments)

        trained = copy.copy(models.trained)  # its shuffled copy, made later, does not die
        trained.read = mortal
        return replace(models, trained=trained)


def on_ray(world: Path, out: Path, load: ray_engine.Load, workers: int) -> None:
    asked = request(world, engine="ray", workers=workers)
    with repeatable(1):
        ready = prepare(POINTING, asked, load_small(asked))
        work = ray_engine.ray_work(POINTING, asked, ready.items, ready.settings, load)
        run_batches(POINTING, ready.settings, work, out, progress=False)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_bytes_and_resumes(world: Path, tmp_path: Path, whole: Path) -> None:
    on_ray(world, tmp_path / "ray", load_small, 2)
    assert contents(tmp_path / "ray") == contents(whole)
    shutil.copytree(tmp_path / "ray", tmp_path / "half")
    (tmp_path / "half" / "parts" / "000002.json").unlink()
    (tmp_path / "half" / "summary.json").unlink()
    on_ray(world, tmp_path / "half", load_small, 1)
    assert contents(tmp_path / "half") == contents(whole)


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_of_ray_changes_nothing(world: Path, tmp_path: Path, whole: Path) -> None:
    marker = tmp_path / "died"
    on_ray(world, tmp_path / "ray", DiesOnce(marker), 2)
    assert marker.exists()
    assert contents(tmp_path / "ray") == contents(whole)


def broken(request: Request) -> Models:
    raise VlxError("no such weights")


@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_cannot_work_ends_the_run_in_one_line(world: Path, tmp_path: Path) -> None:
    with pytest.raises(VlxError, match="a worker of Ray failed") as caught:
        on_ray(world, tmp_path, broken, 1)
    assert str(caught.value).endswith("no such weights")


def test_ray_is_asked_for_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VlxError, match=r"pip install 'vlx\[ray\]'"):
        ray_engine.need_ray()
