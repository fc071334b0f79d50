"""Join the shards of one evaluation: their batches together are those of a run without shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.rows import need_pyarrow, part_path, read_part
from vlx.eval.runs.batches import finish, locked
from vlx.eval.runs.settings import Settings, Shard, claim, deciding, read_settings, settings_of
from vlx.eval.tasks.task import Task
from vlx.images.files import write_whole


def merge(folders: Sequence[Path], out: Path, tasks: Sequence[Task]) -> Path:
    """Copy the batches of all shards to ``out`` and write the table and the summary; returns ``out``.

    Raises VlxError where settings differ, a shard is missing or unfinished, or two hold the same batch.
    """
    need_pyarrow()
    if not folders:
        raise VlxError("no shards to merge: name the folders that vlx evaluate --shard wrote")
    settings = settings_of(_agreed(folders))
    task = next((one for one in tasks if one.name == settings.task), None)
    if task is None:
        raise VlxError(f"{folders[0]} holds results of {settings.task!r}, which this version does not know")
    homes = _homes(folders, settings)
    with locked(out):
        claim(out, settings, Shard())
        for number, home in homes.items():
            if home.resolve() != out.resolve():
                path = part_path(out, number)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, part_path(home, number).read_bytes())
        finish(task, settings, out, range(settings.batches))
    return out


def _agreed(folders: Sequence[Path]) -> dict[str, Any]:
    """The settings that all folders share."""
    told = {folder: read_settings(folder)[0] for folder in folders}
    first = told[folders[0]]
    for folder, other in told.items():
        mine, theirs = deciding(first), deciding(other)
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        if names:
            raise VlxError(f"{folder} and {folders[0]} differ in {', '.join(names)}: merge shards of one run")
    return first


def _homes(folders: Sequence[Path], settings: Settings) -> dict[int, Path]:
    """The folder of each batch, in the order of the batches."""
    homes: dict[int, Path] = {}
    for folder in folders:
        shard = read_settings(folder)[1]
        for number in shard.of(settings.batches):
            if number in homes:
                raise VlxError(
                    f"{homes[number]} and {folder} both hold batch {number}: merge each shard once"
                )
            if read_part(folder, number, settings.fingerprint) is None:
                raise VlxError(
                    f"{folder} lacks batch {number}: run shard {shard.index}/{shard.count} to its end first"
                )
            homes[number] = folder
    missing = [number for number in range(settings.batches) if number not in homes]
    if missing:
        shards = sorted({read_settings(folder)[1].count for folder in folders})
        raise VlxError(
            f"{len(missing)} of {settings.batches} batches are in none of the folders, such as {missing[0]}: "
            f"name all shards of {' or '.join(map(str, shards))}"
        )
    return dict(sorted(homes.items()))
