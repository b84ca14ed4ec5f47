"""Named, typed questions to a store, and their answers as rows: how many people, where, when."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from collector.centre.estimate import Slots, estimate
from collector.centre.stores import Registered, Store
from collector.centre.stores.sqlite import SqliteStore
from probe.base.clock import HOUR_MS, SECOND_MS, epoch_ms, local, midnights_ms
from probe.base.config import ConfigError, did_you_mean
from probe.base.packing import WireError
from probe.wire import release

LEVELS = ("slot", "hour", "day")
AXES = ("area",)


@dataclass(frozen=True)
class Question:
    """What is asked.  Times are local, ISO 8601; a period that overlaps them is answered whole."""

    table: str
    level: str = "hour"
    area: str | None = None  # id or name; None = all
    begin: str | None = None
    end: str | None = None
    by: str = "area"
    partial: bool = False


def opened(path: Path) -> tuple[Store, Path]:
    """Return (the store of a run folder or a store file, its folder), or say that it is neither."""
    found = path / "store.db" if path.is_dir() else path
    if not found.is_file():
        raise ConfigError(str(path), ["no run and no store; name a run directory or its store.db"])
    return SqliteStore(path=str(found)).reader(), found.parent


def extrapolation(folder: Path) -> float:
    """Return how many people one counted device stands for, as run.json of the folder says."""
    try:
        factor = json.loads((folder / "run.json").read_text(encoding="utf-8"))["extrapolation"]
    except (OSError, ValueError, KeyError, TypeError):
        factor = None
    if not isinstance(factor, int | float) or not 0 < factor < 1e6:
        problem = 'no run.json with "extrapolation" beside the store; ask without --extrapolate'
        raise ConfigError(str(folder), [problem])
    return float(factor)


def answer(store: Store, question: Question, factor: float = 1.0) -> list[dict]:
    """Return one row an area and period; ConfigError names every problem of the question.

    Columns: area, slot_start and slot_end (local time with its offset), value, low and high
    (persons on average over the period, None where not shown), coverage, state.
    factor multiplies what is shown, after the threshold; 1 = counted devices.
    """
    expected = checked(store.registered(), question)
    first = expected[0]
    wanted = [row for row, names in enumerate(first.areas) if question.area in (None, *names)]
    loaded, slot_ms = load(store, expected), first.slot_s * SECOND_MS
    rows = []
    for begin_ms, end_ms in periods(first, question):
        slots = np.arange(begin_ms // slot_ms, end_ms // slot_ms) - first.first_slot
        found = estimate(part(loaded, slots), question.partial, factor)
        start, end = (local(ms, first.zone).isoformat(timespec="minutes") for ms in (begin_ms, end_ms))
        for row in wanted:
            named = {"area": first.areas[row][1], "slot_start": start, "slot_end": end}
            rows.append({**named, **asdict(found[row])})
    return rows


def checked(registered: list[Registered], question: Question) -> list[Registered]:
    """Return what is registered under the table asked for, or raise every problem."""
    tables = {one.name for one in registered}
    expected = [one for one in registered if one.name == question.table]
    problems = []
    if not expected:
        there = ", ".join(sorted(tables)) or "none"
        problems.append(
            f'no table "{question.table}"{did_you_mean(question.table, tables)}; there is: {there}'
        )
    if question.level not in LEVELS:
        hint = did_you_mean(question.level, LEVELS)
        problems.append(f'no level "{question.level}"{hint}; there is: {", ".join(LEVELS)}')
    if question.by not in AXES:
        problems.append(f'no axis "{question.by}"; the table has: {", ".join(AXES)}')
    areas = expected[0].areas if expected else ()
    names = [name for pair in areas for name in pair]
    if expected and question.area is not None and question.area not in names:
        there = ", ".join(name for _, name in areas[:20]) + (", ..." if len(areas) > 20 else "")
        hint = did_you_mean(question.area, names)
        problems.append(f'no area "{question.area}"{hint}; there is: {there}')
    zone = expected[0].zone if expected else "UTC"
    begin_ms, end_ms = (moment(text, zone, problems) for text in (question.begin, question.end))
    if begin_ms is not None and end_ms is not None and begin_ms >= end_ms:
        problems.append(f"from {question.begin} to {question.end}: nothing lies between")
    if problems:
        raise ConfigError("question", problems)
    return expected


def moment(text: str | None, zone: str, problems: list[str]) -> int | None:
    """Return UTC milliseconds of ISO 8601; local time of the areas where it has no offset."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return epoch_ms(parsed, zone) if parsed.tzinfo is None else int(parsed.timestamp()) * SECOND_MS
    except (ValueError, OverflowError):
        problems.append(f'"{text}" is no time; write 2026-05-12 or 2026-05-12T08:00')
        return None


def periods(expected: Registered, question: Question) -> Iterator[tuple[int, int]]:
    """Yield (begin_ms, end_ms) of the level's periods that overlap what is registered and asked for."""
    slot_ms = expected.slot_s * SECOND_MS
    begin_ms, end_ms = expected.first_slot * slot_ms, expected.until_slot * slot_ms
    asked = [moment(text, expected.zone, []) for text in (question.begin, question.end)]
    begin_ms = max(begin_ms, asked[0]) if asked[0] is not None else begin_ms
    end_ms = min(end_ms, asked[1]) if asked[1] is not None else end_ms
    if begin_ms >= end_ms:
        return
    if question.level == "day":
        grid = midnights_ms(begin_ms, end_ms, expected.zone)
        yield from ((a, b) for a, b in pairwise(grid) if a < end_ms and b > begin_ms)
        return
    step_ms = slot_ms if question.level == "slot" else HOUR_MS
    offset = local(begin_ms, expected.zone).utcoffset() or timedelta()
    shift_ms = int(offset.total_seconds()) * SECOND_MS if question.level == "hour" else 0
    start_ms = (begin_ms + shift_ms) // step_ms * step_ms - shift_ms
    yield from ((at_ms, at_ms + step_ms) for at_ms in range(start_ms, end_ms, step_ms))


def load(store: Store, expected: list[Registered]) -> Slots:
    """Return every registered slot of a table, added over its probes.

    A frame that no longer is what was sealed counts as not stored.
    """
    first = expected[0]
    count = first.until_slot - first.first_slot
    values = np.zeros((count, len(first.areas)), np.int64)
    variance, parts, warming = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, bool)
    for frame in store.frames(first.table):
        try:
            one = release.decode(frame)
        except WireError:
            continue
        if one.statement is not None:
            slot = one.slot - first.first_slot
            values[slot] += one.values
            variance[slot] += one.statement.sigma**2
            parts[slot] += 1
            warming[slot] |= one.statement.warming
    return Slots(values, np.sqrt(variance), parts == len(expected), warming, first.slot_s)


def part(loaded: Slots, slots: np.ndarray) -> Slots:
    """Return the slots of a period; those outside of what is registered are not stored."""
    inside = (slots >= 0) & (slots < len(loaded.stored))
    rows = np.where(inside, slots, 0)
    stored = loaded.stored[rows] & inside
    return Slots(loaded.values[rows], loaded.sigma[rows], stored, loaded.warming[rows], loaded.slot_s)
