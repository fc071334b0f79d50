"""Settings of a run: the same ones have one fingerprint, in this version and in those before."""

from dataclasses import replace

import pytest

from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.settings import Settings, Shard, fingerprint_of, parse_shard, settings_of
from vlx.eval.tasks.all import TASKS

SETTINGS = Settings(
    "pointing", "scenes/captioner", "captioner", "w" * 8, "features.4", ("grad_cam", "gradient"), "i" * 8, 36,
    16, "cpu", "float32", 2, 0.05, Options(limit=3, captions=1, wrong=0), {"vlx": "0.1.0", "torch": "2.6.0"},
)  # fmt: skip
FINGERPRINT = "bfb27d0d9e4740be5d491fecd959f50892c977d76d48c39537470c7d2af6c381"
"""Of the settings above, as results that lie in folders hold it since windows shrink and have a fill.

Those of before there were wrong words have none: they are results with ``wrong`` 0."""


def test_the_fingerprint_is_that_of_results_measured_before() -> None:
    assert SETTINGS.fingerprint == FINGERPRINT
    assert fingerprint_of(SETTINGS.plain) == FINGERPRINT


def test_what_only_ends_a_run_is_not_in_the_fingerprint() -> None:
    assert replace(SETTINGS, damaged=0.5).fingerprint == FINGERPRINT
    for changed in ({"batch": 8}, {"more": {"model": "m"}}, {"weights": "v"}, {"versions": {"vlx": "0.2.0"}}):
        assert replace(SETTINGS, **changed).fingerprint != FINGERPRINT


def test_more_stands_in_the_file_where_there_is_more() -> None:
    more = replace(SETTINGS, more={"model": "m"})
    assert list(more.plain) == [*SETTINGS.plain, "more"]
    assert settings_of(more.plain) == more


def test_the_keys_of_the_file_and_their_order_stay() -> None:
    assert list(SETTINGS.plain) == [
        "task", "model", "kind", "weights", "layer", "methods", "items", "count", "batch", "device",
        "precision", "threads", "damaged", "options", "versions",
    ]  # fmt: skip
    assert SETTINGS.plain["kind"] == "captioner"
    assert list(SETTINGS.plain["options"]) == [
        "seed", "limit", "captions", "tolerance", "annotators", "answer", "window", "stride", "fill",
    ]  # fmt: skip


def test_an_option_of_one_evaluation_is_no_setting_of_others() -> None:
    for name, held in (("pointing", False), ("deletion", True), ("insertion", True)):
        options = replace(SETTINGS, task=name, options=Options(steps=7)).plain["options"]
        assert options.get("steps") == (7 if held else None)
    deletion = replace(SETTINGS, task="deletion", options=Options(steps=7))
    assert settings_of(deletion.plain) == deletion
    assert deletion.fingerprint != replace(deletion, options=Options(steps=8)).fingerprint


def test_wrong_words_are_a_setting_where_there_are_any() -> None:
    with_words = replace(SETTINGS, options=replace(SETTINGS.options, wrong=3))
    assert with_words.plain["options"] == {**SETTINGS.plain["options"], "wrong": 3}
    assert with_words.fingerprint != FINGERPRINT
    assert with_words.fingerprint != replace(SETTINGS, options=replace(SETTINGS.options, wrong=2)).fingerprint
    assert settings_of(with_words.plain) == with_words
    assert "wrong" not in SETTINGS.plain["options"]  # as in results of before
    given = Options(limit=3)
    having = {task.name for task in TASKS if task.options_for(given) == given}
    assert having == {
        "boxes", "pointing", "area", "localisation", "classes-pointing", "classes-occlusion", "seeds",
    }  # fmt: skip
    assert all(task.options_for(given).wrong == 0 for task in TASKS if not task.wrong)


def test_people_that_are_simulated_are_told() -> None:
    told = replace(SETTINGS, simulated=True)
    assert told.plain == {**SETTINGS.plain, "simulated": True}
    assert settings_of(told.plain) == told


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
