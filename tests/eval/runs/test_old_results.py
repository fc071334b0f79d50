"""Results from before there were wrong words: merged, continued and told from others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.runs.measured import contents, load_small, request
from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.merge import merge
from vlx.eval.runs.summary import from_json
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.pointing import POINTING


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.eval.runs.request.load_models", load_small)


def test_results_without_wrong_words_are_those_of_before(world: Path, tmp_path: Path) -> None:
    asked = replace(request(world), options=Options(seed=3, limit=4, wrong=0))
    out = evaluate(POINTING, asked, tmp_path / "old")
    assert "wrong" not in (out / "settings.json").read_text()
    for part in (out / "parts").iterdir():
        assert "own_minus_wrong" not in part.read_text()
        assert "wrong words" not in part.read_text()
    found, _ = from_json((out / "summary.json").read_text())
    assert not any("wrong" in name for name in (*found.alone, *found.paired))
    assert "wrong" not in found.protocol
    from pyarrow import parquet

    assert "own_minus_wrong" not in parquet.read_table(out / "results.parquet").column_names

    whole = contents(out)
    merge([out], tmp_path / "merged", TASKS)
    assert contents(tmp_path / "merged") == whole
    (out / "parts" / "000001.json").unlink()
    assert contents(evaluate(POINTING, asked, out)) == whole

    with pytest.raises(VlxError) as refused:
        evaluate(POINTING, replace(asked, options=Options(seed=3, limit=4)), out)
    assert "\n" not in str(refused.value)
    assert "option wrong nothing there, 3 now" in str(refused.value)
    assert contents(out) == whole


def test_only_the_column_is_new(world: Path, tmp_path: Path) -> None:
    """Scores and controls with wrong words beside them are those without, to rounding."""
    rows = []
    for name, count in (("without", 0), ("with", 3)):
        asked = replace(request(world), options=Options(seed=3, limit=4, wrong=count))
        out = evaluate(POINTING, asked, tmp_path / name)
        rows.append([one for path in sorted((out / "parts").iterdir()) for one in _rows(path)])
    assert len(rows[0]) == len(rows[1]) > 8
    for old, new in zip(*rows, strict=True):
        added = new["outcomes"].pop("own_minus_wrong")
        assert isinstance(added, float | str)
        assert old["outcomes"] == new["outcomes"] | {"score": pytest.approx(new["outcomes"]["score"])}
        assert new["detail"].startswith("wrong words: ") or old["detail"] == new["detail"]


def _rows(path: Path) -> list[dict]:
    return json.loads(path.read_text().partition("\n")[2])
