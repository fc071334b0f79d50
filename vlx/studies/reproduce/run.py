"""Run tables and figures of the paper, each in a folder of its own, and tell how far they have come."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vlx.errors import VlxError
from vlx.eval.data.records import DataError
from vlx.eval.page.told import told_in_a_line
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.settings import Shard
from vlx.images.files import write_whole
from vlx.studies.found import Findings
from vlx.studies.kept import claim
from vlx.studies.page import read_findings, write_findings
from vlx.studies.reproduce.asked import Asked, NotHere
from vlx.studies.reproduce.entries import ENTRIES, Entry

DONE, FAILED, LACKS, TODO = "done", "failed", "needs", "not run"


@dataclass(frozen=True, eq=False)
class Outcome:
    """How far one table or figure has come."""

    entry: Entry
    state: str
    """One of `DONE`, `FAILED`, `LACKS` and `TODO`."""
    why: str = ""
    """What failed or is missing, in a line."""
    found: Findings | None = None
    seconds: float | None = None


def reproduce(
    asked: Asked, entries: Sequence[Entry], told: Callable[[str], None], shard: Shard | None = None
) -> list[Outcome]:
    """Make the entries that are not yet made, and tell of each; what fails does not stop the others.

    ``shard`` takes its share of the entries alone; several may work in one folder at once. Raises VlxError
    where the folder holds a reproduction of other settings.
    """
    claim(asked.out, asked.settings())
    mine = [one for at, one in enumerate(entries) if shard is None or at % shard.count == shard.index - 1]
    whole = sum(one.minutes for one in mine)
    before, begun = 0.0, time.monotonic()
    outcomes: list[Outcome] = []
    for at, entry in enumerate(mine, 1):
        left = _left(whole, before, time.monotonic() - begun)
        told(f"[{_bar(before / whole)}] {at} of {len(mine)}, {left}: {entry.of.title}")
        outcomes.append(_made(asked, entry))
        told(f"    {_line(outcomes[-1])}")
        before += entry.minutes
    return outcomes


def so_far(asked: Asked, ran: Sequence[Outcome] = ()) -> list[Outcome]:
    """Every table and figure, with what is there of it; ``ran`` are those of this run."""
    known = {one.entry.name: one for one in ran}
    return [known.get(entry.name) or _kept(asked, entry) or Outcome(entry, TODO) for entry in ENTRIES]


def lacks(asked: Asked, entry: Entry) -> str:
    """What an entry needs and was not given, or nothing."""
    try:
        for role in entry.roles:
            asked.model(role)
        for needs in entry.needs:
            asked.folder(needs)
    except NotHere as error:
        return str(error)
    return ""


def _made(asked: Asked, entry: Entry) -> Outcome:
    kept = _kept(asked, entry)
    if kept is not None:
        return kept
    begun = time.monotonic()
    try:
        with repeatable(asked.threads):
            found = entry.run(asked)
    except NotHere as error:
        return Outcome(entry, LACKS, told_in_a_line(error))
    except DataError as error:  # of a folder that has what is needed, and not in it
        return Outcome(entry, LACKS if asked.data else FAILED, told_in_a_line(error))
    except Exception as error:  # whatever it is, the others are made
        return Outcome(entry, FAILED, told_in_a_line(error))
    seconds = time.monotonic() - begun
    folder = asked.out / entry.name
    write_findings(folder, found)
    write_whole(folder / "took.json", f"{json.dumps({'seconds': round(seconds, 1)})}\n".encode())
    return Outcome(entry, DONE, "", found, seconds)


def _kept(asked: Asked, entry: Entry) -> Outcome | None:
    folder = asked.out / entry.name
    if not (folder / "took.json").is_file():
        return None
    try:
        facts: Mapping[str, float] = json.loads((folder / "took.json").read_text(encoding="utf-8"))
        return Outcome(entry, DONE, "", read_findings(folder), facts["seconds"])
    except (VlxError, OSError, ValueError, KeyError, TypeError):
        return None


def _line(one: Outcome) -> str:
    if one.found is None:
        return f"{one.state}: {one.why}"
    return one.found.answer


def _bar(share: float, width: int = 20) -> str:
    full = round(share * width)
    return "#" * full + "." * (width - full)


def _left(whole: float, before: float, seconds: float) -> str:
    """What is left, from the estimates, corrected by how long it has taken so far."""
    pace = seconds / 60 / before if before > 0 else 1.0
    minutes = (whole - before) * pace
    return "under a minute left" if minutes < 1 else f"about {minutes:.0f} minutes left"
