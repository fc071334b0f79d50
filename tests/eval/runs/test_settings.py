"""Settings of a run: the same ones have one fingerprint, in this version and in those before."""

import pytest

from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.settings import Settings, Shard, fingerprint_of, parse_shard, settings_of

SETTINGS = Settings(
    "pointing", "scenes/captioner", "captioner", "w" * 8, "features.4", ("grad_cam", "gradient"), "i" * 8, 36,
    16, "cpu", "float32", 2, 0.05, Options(limit=3, captions=1), {"vlx": "0.1.0", "torch": "2.6.0"},
)  # fmt: skip
FINGERPRINT = "8984e84cab20483e8e9d1e88323c28ce070e0a59eafca352a02288e7d4d6d0b8"
"""Of the settings above, as results that lie in folders since version 0.1.0 hold it."""


def test_the_fingerprint_is_that_of_results_measured_before() -> None:
    assert SETTINGS.fingerprint == FINGERPRINT
    assert fingerprint_of(SETTINGS.plain) == FINGERPRINT


def test_the_keys_of_the_file_and_their_order_stay() -> None:
    assert list(SETTINGS.plain) == [
        "task", "model", "kind", "weights", "layer", "methods", "items", "count", "batch", "device",
        "precision", "threads", "damaged", "options", "versions",
    ]  # fmt: skip
    assert SETTINGS.plain["kind"] == "captioner"
    assert list(SETTINGS.plain["options"]) == [
        "seed", "limit", "captions", "tolerance", "annotators", "answer", "window", "stride",
    ]  # fmt: skip


def test_what_json_holds_gives_the_settings_back() -> None:
    assert settings_of(SETTINGS.plain) == SETTINGS
    for missing in ("kind", "task", "methods", "options"):
        with pytest.raises(VlxError, match="another version"):
            settings_of({name: value for name, value in SETTINGS.plain.items() if name != missing})
    with pytest.raises(VlxError, match="another version"):
        settings_of({**SETTINGS.plain, "colour": "red"})


def test_shards_are_disjoint_and_complete() -> None:
    for count in (1, 2, 7, 20):
        numbers = [number for i in range(count) for number in Shard(i + 1, count).of(12)]
        assert sorted(numbers) == list(range(12))
    assert parse_shard("2/7") == Shard(2, 7)
    for wrong in ("0/2", "3/2", "2", "a/b", "-1/2", "1/0", ""):
        with pytest.raises(VlxError, match="shard"):
            parse_shard(wrong)
