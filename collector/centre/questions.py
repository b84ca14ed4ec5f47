"""Named, typed questions to a store, and their answers as rows: how many people, who, where, when, where from."""

import json
from collections import namedtuple
from contextlib import suppress
from datetime import datetime
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from collector.centre.estimate import Estimate, Slots, State, estimate
from collector.centre.stores import Registered, Store, whole
from collector.centre.stores.sqlite import SqliteStore
from probe.base import clock
from probe.base.config import ConfigError, did_you_mean

LEVELS, PLACES = [*clock.SPAN_S], ("area", "origin", "destination")
WHO = ("age", "gender")  # axes that an answer keeps only where they are asked for
RESOLVED_MIN = 0.5  # where less of a fix lies in the area that the person stands in, a number would be of other areas
# What is asked: text, but for the flag partial.  level: of LEVELS, None = hour, or what the table is counted over;
# area: id or name, None = all; begin, end: local times, ISO 8601; a period that overlaps them is answered whole;
# by: the axes to keep, joined by commas, None = all but those of WHO.
Question = namedtuple("Question", "table level area begin end by partial", defaults=(*[None] * 5, False))


def opened(path: Path) -> tuple[Store, Path]:
    """Return (the store of a run folder or a store file, its folder), or say that it is neither."""
    found = path / "store.db" if path.is_dir() else path
    return SqliteStore(path=str(found)).reader(), found.parent


def extrapolation(folder: Path, store: Store, table: str) -> float:
    """Return how many people one counted device stands for, as run.json of the folder says.

    A table that tells age or gender counts adults, and extrapolates to adults.
    """
    adults = any(axis in WHO for one in store.registered() if one.name == table for axis, _ in one.axes)
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        factor = float(known["extrapolation_adults" if adults else "extrapolation"])
        if 0 < factor < 1e6:
            return factor
    raise ConfigError(str(folder), ['no run.json with "extrapolation" beside the store; ask without --extrapolate'])


def answer(store: Store, question: Question, factor: float = 1.0) -> list[dict]:
    """Return one row a cell of the axes kept, and period; ConfigError names every problem of the question.

    Columns: the axes (names), slot_start and slot_end (local time with its offset), value, low
    and high (persons on average over the period, or how many; None where not shown), coverage,
    state; and place_error where the edge has stated hits: the share of the people there whose
    fixes lie elsewhere.
    factor multiplies what is shown, after the threshold; 1 = counted devices.
    """
    expected, asked, begin_ms, end_ms = checked(store.registered(), question)
    first, rows, kept = expected[0], [], asked.by.split(",")
    cells, slots = cells_of(first, kept, asked.area), summed(load(store, expected), first, kept)
    slots = slots._replace(values=slots.values[:, [cell for cell, *_ in cells]])
    if asked.level in ("day", "week"):
        slots.warming[:] = False  # every local day has its warming hour: of a day that is a small part
    for begin, end in periods(first, asked.level, begin_ms, end_ms):
        span = [clock.local(ms, first.zone).isoformat(timespec="minutes") for ms in (begin, end)]
        found = estimate(slots.inside(begin, end), end - begin, first.averaged, asked.partial, factor)
        for (_, names, hit), one in zip(cells, found, strict=True):
            if hit is not None and not hit >= RESOLVED_MIN:
                one = Estimate(None, None, None, one.coverage, State.UNRESOLVED)
            stated = {"place_error": None if hit is None else 1 - hit} if first.hits else {}
            rows.append({**names, "slot_start": span[0], "slot_end": span[1], **one._asdict(), **stated})
    return rows


def checked(registered: list[Registered], question: Question) -> tuple[list[Registered], Question, int, int]:
    """Return (what is registered under the table asked for, the question with its level and axes, begin_ms, end_ms).

    Or raise every problem.
    """
    problems: list[str] = []

    def named(what: str, name: str, known: list[str], unsaid: list[str] | None = None) -> None:
        if name not in known + (unsaid or []):
            there = ", ".join(known[:20] + ["..."] * (len(known) > 20)) or "none"
            problems.append(f'no {what} "{name}"{did_you_mean(name, known)}; there is: {there}')

    def moment(text: str | None, otherwise: int) -> int:
        """Return UTC milliseconds of ISO 8601; local time of the areas where it has no offset."""
        try:
            if text is not None:
                parsed = datetime.fromisoformat(text)
                return int(parsed.replace(tzinfo=parsed.tzinfo or clock.zone(zone)).timestamp()) * clock.SECOND_MS
        except (ValueError, OverflowError):
            problems.append(f'"{text}" is no time; write 2026-05-12 or 2026-05-12T08:00')
        return otherwise

    expected = [one for one in registered if one.name == question.table]
    zone, axes = (expected[0].zone, dict(expected[0].axes)) if expected else ("UTC", {})
    levels = LEVELS[LEVELS.index(expected[0].span) :] if expected else LEVELS
    level = question.level or ("hour" if "hour" in levels else levels[0])
    kept = question.by.split(",") if question.by else [axis for axis in axes if axis not in WHO] or [*axes]
    if question.area is not None and "area" in axes:
        kept.append("area")
    named("table", question.table, sorted({one.name for one in registered}))
    named("level", level, levels)
    if expected:
        for axis in kept:
            named("axis", axis, [*axes])
        places = [row for axis in kept if axis in PLACES for row in axes.get(axis, [])]
        if question.area is not None:
            named("area", question.area, list(dict.fromkeys(row[1] for row in places)), [row[0] for row in places])
    begin_ms, end_ms = moment(question.begin, 0), moment(question.end, 1 << 62)
    if begin_ms >= end_ms:
        problems.append(f"from {question.begin} to {question.end}: nothing lies between")
    if problems:
        raise ConfigError("question", problems)
    return expected, question._replace(level=level, by=",".join(kept)), begin_ms, end_ms


def periods(expected: Registered, level: str, begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return (begin_ms, end_ms) of the level's periods that overlap what is registered and asked for, whole or not."""
    slot_ms = expected.slot_s * clock.SECOND_MS
    first_ms, until_ms = expected.first_slot * slot_ms, expected.until_slot * slot_ms
    begin_ms, end_ms = max(begin_ms, first_ms), min(end_ms, until_ms)
    day_ms = clock.midnights_ms(first_ms, first_ms, expected.zone)[0]
    wide_ms = until_ms + clock.SPAN_S[level] * clock.SECOND_MS + clock.HOUR_MS  # to the end of the last one
    found = clock.spans(level, day_ms, wide_ms, expected.zone, slot_ms)
    return [(a, b) for a, b in found if a < end_ms and b > begin_ms and begin_ms < end_ms]


def cells_of(table: Registered, kept: list[str], area: str | None) -> list[tuple[int, dict[str, str], float | None]]:
    """Return (cell, name by axis, hit) of the cells over the axes kept: all, or those that have the area in them.

    hit : that of the worst of the cell's places; None where none is stated
    """
    axes, found = [(axis, rows) for axis, rows in table.axes if axis in kept], []
    where = [i for i, (axis, _) in enumerate(axes) if axis in PLACES]
    told = [i for i in where if len(axes[i][1]) == len(table.hits)]  # hits are of areas, not of zones of them
    for cell, rows in enumerate(product(*(enumerate(rows) for _, rows in axes))):
        if area is None or any(area in rows[i][1] for i in where):
            names = {axis: name for (axis, _), (_, (_, name)) in zip(axes, rows, strict=True)}
            found.append((cell, names, min((table.hits[rows[i][0]] for i in told), default=None)))
    return found


def summed(slots: Slots, table: Registered, kept: list[str]) -> Slots:
    """Return the slots with the axes that are not kept added up; the variance of the noise adds up with them."""
    gone = [i for i, (axis, _) in enumerate(table.axes) if axis not in kept]
    cells, count = prod(table.shape[i] for i in gone), len(slots.values)
    values = slots.values.reshape(count, *table.shape).sum(axis=tuple(i + 1 for i in gone))
    return slots._replace(values=values.reshape(count, prod(table.shape) // cells), sigma=slots.sigma * cells**0.5)


def load(store: Store, expected: list[Registered]) -> Slots:
    """Return every registered slot of a table, added over its probes."""
    first, count = expected[0], len(expected[0].spans)
    values, warming = np.zeros((count, prod(first.shape)), np.int64), np.zeros(count, bool)
    variance, parts = sums = np.zeros((2, count))
    row_of = {slot: row for row, slot in enumerate(first.spans)}
    for one in whole(store, first.table):
        if one.statement is not None:
            row = row_of[one.slot]
            values[row] += one.values
            sums[:, row] += one.statement.sigma**2, 1
            warming[row] |= one.statement.warming
    span_ms = np.array(list(first.spans.values()), "i8").reshape(-1, 2)
    return Slots(values, np.sqrt(variance), parts == len(expected), warming, span_ms)
