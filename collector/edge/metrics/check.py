"""The contract of a metric, a stranger's too: a dense table, cells that exist, and a bound that is true.

There are two ways to find a lie.  Every record that people can be granted on a small map is put into its
cell, and counted how many of one person can meet there.  And persons who move as much as they can are
played through the crowd and the table, among others and cut into batches.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import prod
from typing import Any

import numpy as np

from collector.edge.crowd import Crowd
from collector.edge.locators.fixes import FIX, TA, UNITS
from collector.edge.metrics import ENTRIES_MAX, MOVES_MAX, TALLY_UNITS, WEEK_MAX, Metric, Places
from collector.edge.records import CLASSES, FIRST_IN_HOUR, FIRST_IN_PART, RECORD
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table, Tables
from probe.base import clock, streams
from probe.wire.areas import ELSEWHERE
from probe.wire.cells import HOME_ABROAD
from probe.wire.observations import NO_HOME, OBSERVATION

ZONE, SLOT_S, DAY_S, WEEK_MS = "Europe/Berlin", 900, 90_000, 7 * 86_400_000
BEGIN_MS = clock.epoch_ms(datetime(2026, 10, 25), ZONE)  # of the longest day: 25 hours, one part of 5
AREA_COUNT = WEEK_MAX + 1  # one more than anybody is granted
NAMES = [(str(area), str(area)) for area in range(AREA_COUNT - 1)] + [(ELSEWHERE, ELSEWHERE)]
PLACES = Places(NAMES, [*NAMES, ("abroad", "abroad"), ("unknown", "unknown")], NAMES[:5],
                np.arange(AREA_COUNT).astype("u1") % 5, True)
AREA = range(AREA_COUNT)
HOMES = [*AREA, HOME_ABROAD, NO_HOME]
# Of each source how many records a person is granted at most (steps: of either kind), and the fields of all there are.
CAPS = {"time": DAY_S, "steps": MOVES_MAX, "trips": MOVES_MAX, "visits": ENTRIES_MAX, "weeks": WEEK_MAX}
FIELDS: dict[str, dict[str, Sequence[int]]] = {
    "time": {"area": AREA, "klass": range(CLASSES)}, "steps": {"area": AREA, "what": range(2)},
    "trips": {"area": AREA, "origin": AREA, "what": range(4)}, "weeks": {"area": AREA, "what": range(1, 8)},
    "visits": {"area": AREA, "home": HOMES, "klass": range(CLASSES), "what": range(6), "rank": range(ENTRIES_MAX)}}
# How persons move: seconds between two observations, and among how many areas.  One sits, the others are greedy.
PACES = (((1_800,), 1), ((130,), AREA_COUNT), ((650,), 2), ((1_000,), 3), ((30, 130, 650, 1_800), 5))


def broken(metric: Metric, slot_s: int = SLOT_S) -> list[str]:
    """Return the promises that a metric breaks, in words."""
    try:
        return next((found for found in _faults(metric, slot_s) if found), [])
    except Exception as error:
        return [f"it does not work: {type(error).__name__}: {error}"]


def _faults(metric: Metric, slot_s: int) -> Iterator[list[str]]:
    """Yield what is wrong with what a metric says of itself, with its cells, and with its bound."""
    bound, size = metric.bound_squared(slot_s), prod(len(rows) for rows in metric.axes(PLACES).values())
    yield [words for words, kept in (
        (f"table = {metric.table}: needs a number from 1 to 255", metric.table in range(1, 256)),
        (f"source = {metric.source!r}: needs one of {', '.join(CAPS)}", metric.source in CAPS),
        (f"span = {metric.span!r}: needs one of {', '.join(clock.SPAN_S)}", metric.span in clock.SPAN_S),
        ('source "weeks" and span "week" go together', (metric.source == "weeks") == (metric.span == "week")),
        ("time is counted in person-seconds, and nothing else is",
         (metric.source == "time") == (metric.value_unit in TALLY_UNITS)),
        ("axes: needs one at least, and none without rows", size > 0 and len(metric.axes(PLACES))),
        (f"bound_squared = {bound!r}: needs a whole number above 0", type(bound) is int and bound > 0)) if not kept]
    records = possible(metric.source, slot_s)
    cells, turned = metric.cells(records, PLACES), records.copy()
    turned["sign"], turned["time_ms"] = -1, records["time_ms"] + slot_s * clock.SECOND_MS - 1
    yield [words for words, kept in (
        ("cells are i8[n]", cells.dtype == np.int64 and cells.shape == records.shape),
        (f"a cell lies outside -1 to {size - 1}", np.all((cells >= -1) & (cells < size))),
        ("the cell of a record depends on other records",
         np.array_equal(metric.cells(records[::-3], PLACES), cells[::-3])),
        ("the cell of a record depends on its sign, or on the instant in a slot",
         np.array_equal(metric.cells(turned, PLACES), cells))) if not kept]
    whole, cut_up, *added = _witnessed(metric, slot_s)
    yield [] if np.array_equal(whole, cut_up) else ["tallies depend on how rows are cut into batches"]
    most = max(most_squared(metric, records, cells, slot_s), *added)
    yield [] if most <= bound else [f"one person can add L2^2 = {most:,}; bound_squared says {bound:,}"]


def possible(source: str, slot_s: int = SLOT_S) -> np.ndarray:
    """Return every RECORD[n] of a source that somebody can be granted on the small map, in one day or week."""
    slots = range(DAY_S // slot_s if source in ("time", "steps", "trips") else 1)
    slot, *columns = (axis.ravel() for axis in np.meshgrid(slots, *FIELDS[source].values(), indexing="ij"))
    records = np.zeros(len(slot), RECORD)
    records["sign"], records["time_ms"] = 1, BEGIN_MS + slot * slot_s * clock.SECOND_MS
    for name, column in zip(FIELDS[source], columns, strict=True):
        records[name] = column
    return records


def most_squared(metric: Metric, records: np.ndarray, cells: np.ndarray, slot_s: int = SLOT_S) -> int:
    """Return an L2^2 that one person cannot pass: how many of theirs can meet in a cell, times how many are counted.

    A person is granted one record of an area (visits, weeks) or of a slot (the rest), up to a cap.
    """
    records, cells, source = records[cells >= 0], cells[cells >= 0], metric.source
    if not len(cells):
        return 0
    area, origin, what, rank, home, klass = (
        records[name].astype("i8") for name in ("area", "origin", "what", "rank", "home", "klass"))
    slots, spans, parts, hours = (
        _spans(span, records["time_ms"], slot_s) for span in ("slot", metric.span, "part", "hour"))
    if source == "time":  # all of a span can lie in one cell, and all spans of a day can
        within = [(_ranked(cells[these]), slots[these]) for these in (spans == span for span in np.unique(spans))]
        return sum(int(_distinct(*one).max()) * len(np.unique(one[1])) for one in within) * (
            slot_s * clock.SECOND_MS * UNITS) ** 2
    apart, whose = area if source in ("visits", "weeks") else slots, _packed(home, klass) * (source == "visits")
    place = _packed(whose, spans, cells)
    meet, counted = np.zeros(place.max() + 1, "i8"), 0
    for kind in (0, 1):  # arrivals and departures have a cap each
        these = what == kind if source == "steps" else np.full(len(what), kind == 0)
        meet += np.minimum(_distinct(place[these], apart[these], len(meet)), CAPS[source])
        counted += min(len(np.unique(apart[these])), CAPS[source])
    if source == "visits" and what.min() > 0:  # a rank is had once
        counted = min(counted, len(np.unique(rank)))
    if source == "trips":  # one of a pair is the first in a period
        zone = PLACES.zone_of.astype("i8")
        for bit, first in ((FIRST_IN_PART, _packed(origin, area, parts)),
                           (FIRST_IN_HOUR, _packed(zone[origin], zone[area], hours))):
            only = np.bincount(place, what & bit == 0) == 0
            meet = np.where(only, np.minimum(meet, _distinct(place, first)), meet)
    return counted * min(int(meet.max()), counted)


def _packed(*columns: np.ndarray) -> np.ndarray:
    """Return one number for each row of columns, equal where the rows are."""
    found = columns[0]
    for column in columns[1:]:
        found = _ranked(found * (column.max() + 1) + column)
    return found


def _ranked(keys: np.ndarray) -> np.ndarray:
    """Return the place of each key among all that there are."""
    return np.unique(keys, return_inverse=True)[1]


def _distinct(within: np.ndarray, of: np.ndarray, count: int = 0) -> np.ndarray:
    """Return how many distinct values `of` there are within each number 0, 1, 2 ... (up to count)."""
    width = of.max(initial=0) + 1
    return np.bincount(np.unique(within * width + of) // width, minlength=count)


def _spans(span: str, time_ms: np.ndarray, slot_s: int) -> np.ndarray:
    """Return the number of the span that each instant lies in."""
    spans = clock.spans(span, BEGIN_MS, BEGIN_MS + WEEK_MS, ZONE, slot_s * clock.SECOND_MS)
    return np.searchsorted([begin_ms for begin_ms, _ in spans], time_ms, "right") - 1


def _person(number: int, until_ms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (OBSERVATION[n], FIX[n]) of one of the persons that are played."""
    (steps_s, reach), times_ms, areas = PACES[number], [BEGIN_MS + number], [0]
    while times_ms[-1] < until_ms:
        drawn = int(streams.bits(0, 1, number, len(areas)) >> np.uint64(1))
        times_ms.append(times_ms[-1] + clock.SECOND_MS * steps_s[drawn % len(steps_s)])
        areas.append((drawn if len(steps_s) > 1 else len(areas)) % reach)
    return seen(times_ms[:-1], areas[:-1], 1 + number, number, number)


def seen(times_ms: Sequence[int], areas: Sequence[int] | np.ndarray, pseudonym: int = 7, klass: int = 0,
         home: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (OBSERVATION[n], FIX[n]) of a person who is seen in areas, wholly."""
    observations, fixes = np.zeros(len(times_ms), OBSERVATION), np.zeros(len(times_ms), FIX)
    observations["time_ms"], observations["pseudonym"], observations["week"] = times_ms, pseudonym, pseudonym
    observations["klass"], observations["home"] = klass, home
    fixes["area"][:, 0], fixes["weight"][:, 0], fixes["content"] = areas, UNITS, TA
    return observations, fixes


def played(metrics: Sequence[Metric], rows: tuple[np.ndarray, np.ndarray], until_ms: int, cut: int = 1 << 20,
           begin_ms: int = BEGIN_MS, zone: str = ZONE, slot_s: int = SLOT_S) -> list[np.ndarray]:
    """Return the i8[spans, cells] of each metric, of rows (OBSERVATION[n], FIX[n]) in order of time, `cut` a batch."""
    slots, pieces = Slots(SlotSettings(zone=zone, slot_s=slot_s), begin_ms), [np.arange(AREA_COUNT).astype("u2")]
    crowd = Crowd(slots, pieces, [PLACES.zone_of], weekly=any(metric.source == "weeks" for metric in metrics))
    tables = [Table(metric, PLACES, metric.name, number, slots, until_ms) for number, metric in enumerate(metrics)]
    both, found = Tables(crowd, pieces, [tables], slots), [np.zeros((0, table.cells), "i8") for table in tables]
    for slot in range(slots.of(begin_ms), slots.of(until_ms)):
        first, last = np.searchsorted(rows[0]["time_ms"], (slots.end_ms(slot - 1), slots.end_ms(slot)))
        for at in range(first, last, cut):
            crowd.count(*(column[at : min(last, at + cut)] for column in rows))
        for number, _, tally in both.close(slot):
            found[number] = np.append(found[number], tally[None], axis=0)
    return found


def _witnessed(metric: Metric, slot_s: int) -> tuple[Any, ...]:
    """Return the tallies of a crowd, those of rows one by one, and what each person adds, L2^2."""
    until_ms = clock.midnights_ms(BEGIN_MS, BEGIN_MS + WEEK_MS, ZONE)[7 if metric.source == "weeks" else 1]
    persons = [_person(number, until_ms) for number in range(len(PACES))]

    def tallies(*chosen, **cut) -> np.ndarray:
        rows = [np.concatenate(column) for column in zip(*chosen, strict=True)]
        order = np.argsort(rows[0]["time_ms"], kind="stable")
        return played([metric], (rows[0][order], rows[1][order]), until_ms, slot_s=slot_s, **cut)[0]

    whole, cut_up = tallies(*persons), tallies(*persons, cut=1)
    others = [tallies(*persons[:one], *persons[one + 1 :]) for one in range(len(persons))]
    return whole, cut_up, *(squared(whole - rest) for rest in others)


def squared(tally: np.ndarray) -> int:
    """Return the sum of squares, exactly."""
    return sum(int(amount) ** 2 for amount in tally[tally != 0])
