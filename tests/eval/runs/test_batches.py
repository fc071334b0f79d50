"""Runs that are killed, resumed, sharded, or meet another run: the end is always the same."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from tests.conftest import Run
from tests.eval.runs.measured import contents, parts
from vlx.errors import VlxError
from vlx.eval.runs.batches import locked

ROOT = Path(__file__).parents[3]


DIES = """
import os, signal, sys
from tests.eval import small
from vlx.eval.runs import batches

left, plain = int(sys.argv.pop(1)), batches.write_part

def write_part(*given):
    global left
    plain(*given)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

batches.write_part = write_part
small.main()
"""


def killed_after(count: int, world: Path, out: Path) -> int:
    """The status of an evaluation in another process, which is killed once it has kept so many batches."""
    settings = ["--data", str(world), "--out", str(out), "--batch", "4", "--threads", "1"]
    command = [sys.executable, "-c", DIES, str(count), "evaluate", "pointing", *settings]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_run_goes_on_to_the_same_end(world: Path, tmp_path: Path, run: Run, after: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    given = ("evaluate", "pointing", "--data", world, "--batch", 4, "--threads", 1)
    assert run(*given, "--out", whole)[0] == 0
    assert killed_after(after, world, killed) == -signal.SIGKILL
    kept = {name: (killed / "parts" / name).stat().st_mtime_ns for name in parts(killed)}
    assert after == len(kept) < len(parts(whole))
    assert not (killed / "summary.json").exists()
    assert run(*given, "--out", killed)[0] == 0
    assert contents(killed) == contents(whole)
    assert {name: (killed / "parts" / name).stat().st_mtime_ns for name in kept} == kept


def test_a_damaged_part_is_measured_again(world: Path, tmp_path: Path, run: Run) -> None:
    given = ("evaluate", "boxes", "--data", world, "--out", tmp_path / "out", "--batch", 8)
    assert run(*given)[0] == 0
    before = contents(tmp_path / "out")
    path = tmp_path / "out" / "parts" / "000001.json"
    text = path.read_text(encoding="utf-8")
    for damaged in ("", text[: len(text) // 2], text.replace('"score":', '"score": 1')):
        path.write_text(damaged, encoding="utf-8")
        assert run(*given)[0] == 0
        assert contents(tmp_path / "out") == before
        assert path.read_text(encoding="utf-8") == text


def test_leftovers_of_a_killed_write_do_no_harm(world: Path, tmp_path: Path, run: Run) -> None:
    given = ("evaluate", "boxes", "--data", world, "--batch", 16)
    assert run(*given, "--out", tmp_path / "whole")[0] == 0
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    (out / "settings.json").write_bytes((tmp_path / "whole" / "settings.json").read_bytes())
    for name in ("parts/000000.json.part", "results.parquet.part", "summary.json.part"):
        (out / name).write_bytes(b"half a fi")
    assert run(*given, "--out", out)[0] == 0
    assert contents(out) == contents(tmp_path / "whole")
    (out / "settings.json").unlink()
    status, _, err = run(*given, "--out", out)
    assert (status, "batches without their settings" in err) == (1, True)


def test_other_settings_are_refused_and_named(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    assert run("evaluate", "boxes", "--data", world, "--out", out, "--limit", 2)[0] == 0
    before = contents(out)
    status, _, err = run("evaluate", "boxes", "--data", world, "--out", out, "--limit", 2, "--batch", 3)
    assert (status, err.count("\n")) == (1, 1)
    assert "batch 16 there, 3 now" in err
    status, _, err = run("evaluate", "pointing", "--data", world, "--out", out, "--limit", 2)
    assert status == 1
    assert 'task "boxes" there, "pointing" now' in err
    assert contents(out) == before


def test_two_runs_never_share_a_folder(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    with locked(out):
        status, _, err = run("evaluate", "boxes", "--data", world, "--out", out)
        assert (status, (out / "settings.json").exists()) == (1, False)
        assert "another run works in" in err.splitlines()[-1]
    assert run("evaluate", "boxes", "--data", world, "--out", out)[0] == 0


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from vlx.eval.runs.batches import locked; import time\n\
with locked(Path({str(tmp_path)!r})):\n    print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(VlxError, match="another run works"), locked(tmp_path):
            pass
        process.kill()
    with locked(tmp_path):
        assert (tmp_path / "lock").exists()


def test_rows_hold_everything_of_an_item(world: Path, tmp_path: Path, run: Run) -> None:
    given = ("--data", world, "--out", tmp_path / "out", "--method", "grad_cam", "--method", "gradient")
    status, out, _ = run("evaluate", "pointing", *given)
    assert status == 0
    rows = parquet.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert len(rows) == 2 * summary["items"]
    assert {row["method"] for row in rows} == {"grad_cam", "gradient"}
    for row in rows:
        for column in ("score", "random_weights", "mean_activation", "centre_prior", "random_map"):
            reason = row["left_out" if column == "score" else f"{column}_left_out"]
            assert (row[column] is None) == (reason is not None)
        assert row["word"] in row["text"]
        assert row["category"]
    mean = [row["score"] for row in rows if row["method"] == "grad_cam" and row["score"] is not None]
    assert summary["rows"]["grad_cam"]["items"]["mean"] == pytest.approx(sum(mean) / len(mean))
    seen = {name: row["items"]["seen"] for name, row in summary["rows"].items()}
    assert set(seen.values()) == {summary["items"]}
    assert "Protocol: Word pointing (paper 8.1.1)" in out
