"""Named, typed questions to a store, and their answers as rows: how many people, where, when."""

import json
from collections import namedtuple
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from collector.centre.estimate import Slots, estimate
from collector.centre.stores import Registered, Store, sqlite, whole
from probe.base.clock import HOUR_MS, SECOND_MS, epoch_ms, local, midnights_ms
from probe.base.config import ConfigError, did_you_mean

LEVELS = ["slot", "hour", "day"]
# What is asked: text, but for the flag partial.  level: of LEVELS; area: id or name, None = all; begin, end: local
# times, ISO 8601; a period that overlaps them is answered whole.
Question = namedtuple("Question", "table level area begin end by partial",
                      defaults=("hour", None, None, None, "area", False))


def opened(path: Path) -> tuple[Store, Path]:
    """Return (the store of a run folder or a store file, its folder), or say that it is neither."""
    found = path / "store.db" if path.is_dir() else path
    return sqlite.SqliteStore(path=str(found)).reader(), found.parent


def extrapolation(folder: Path) -> float:
    """Return how many people one counted device stands for, as run.json of the folder says."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        factor = float(json.loads((folder / "run.json").read_text(encoding="utf-8"))["extrapolation"])
        if 0 < factor < 1e6:
            return factor
    raise ConfigError(str(folder), ['no run.json with "extrapolation" beside the store; ask without --extrapolate'])


def answer(store: Store, question: Question, factor: float = 1.0) -> list[dict]:
    """Return one row an area and period; ConfigError names every problem of the question.

    Columns: area, slot_start and slot_end (local time with its offset), value, low and high
    (persons on average over the period, None where not shown), coverage, state.
    factor multiplies what is shown, after the threshold; 1 = counted devices.
    """
    expected, begin_ms, end_ms = checked(store.registered(), question)
    first, loaded, rows = expected[0], load(store, expected), []
    if question.level == "day":
        loaded.warming[:] = False  # every local day has its warming hour: of a day that is a small part
    for period in periods(first, question.level, begin_ms, end_ms):
        slots = np.arange(*(ms // (first.slot_s * SECOND_MS) for ms in period)) - first.first_slot
        at = np.clip(slots, 0, len(loaded.stored) - 1)  # what lies outside of the registered is not stored
        some = Slots(loaded.values[at], loaded.sigma[at], loaded.stored[at] & (at == slots), loaded.warming[at],
                     first.slot_s)
        start, end = (local(ms, first.zone).isoformat(timespec="minutes") for ms in period)
        for names, found in zip(first.areas, estimate(some, question.partial, factor), strict=True):
            if question.area in (None, *names):
                rows.append({"area": names[1], "slot_start": start, "slot_end": end, **found._asdict()})
    return rows


def checked(registered: list[Registered], question: Question) -> tuple[list[Registered], int, int]:
    """Return (what is registered under the table asked for, begin_ms, end_ms), or raise every problem."""
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
                return epoch_ms(parsed, zone) if parsed.tzinfo is None else int(parsed.timestamp()) * SECOND_MS
        except (ValueError, OverflowError):
            problems.append(f'"{text}" is no time; write 2026-05-12 or 2026-05-12T08:00')
        return otherwise

    expected = [one for one in registered if one.name == question.table]
    zone, tables = expected[0].zone if expected else "UTC", sorted({one.name for one in registered})
    named("table", question.table, tables)
    named("level", question.level, LEVELS)
    named("axis", question.by, ["area"])
    if expected and question.area is not None:
        named("area", question.area, [one[1] for one in expected[0].areas], [one[0] for one in expected[0].areas])
    begin_ms, end_ms = moment(question.begin, 0), moment(question.end, 1 << 62)
    if begin_ms >= end_ms:
        problems.append(f"from {question.begin} to {question.end}: nothing lies between")
    if problems:
        raise ConfigError("question", problems)
    return expected, begin_ms, end_ms


def periods(expected: Registered, level: str, begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return (begin_ms, end_ms) of the level's periods that overlap what is registered and asked for.

    They are counted from local midnight; a local day may have 23 or 25 hours.
    """
    slot_ms = expected.slot_s * SECOND_MS
    begin_ms, end_ms = max(begin_ms, expected.first_slot * slot_ms), min(end_ms, expected.until_slot * slot_ms)
    if begin_ms >= end_ms:
        return []
    edges = midnights_ms(begin_ms, end_ms, expected.zone)
    if level != "day":
        step_ms = slot_ms if level == "slot" else HOUR_MS
        edges = list(range(begin_ms - (begin_ms - edges[0]) % step_ms, end_ms + step_ms, step_ms))
    return [(a, b) for a, b in pairwise(edges) if a < end_ms and b > begin_ms]


def load(store: Store, expected: list[Registered]) -> Slots:
    """Return every registered slot of a table, added over its probes."""
    first, count = expected[0], expected[0].until_slot - expected[0].first_slot
    values, warming = np.zeros((count, len(first.areas)), np.int64), np.zeros(count, bool)
    variance, parts = sums = np.zeros((2, count))
    for one in whole(store, first.table):
        if one.statement is not None:
            slot = one.slot - first.first_slot
            values[slot] += one.values
            sums[:, slot] += one.statement.sigma**2, 1
            warming[slot] |= one.statement.warming
    return Slots(values, np.sqrt(variance), parts == len(expected), warming, first.slot_s)
