"""The contract of a metric, a stranger's too: a dense table, cells that exist, and a bound that is true.

There are two ways to find a lie.  Records that people can be granted are put into their cells, and counted
how many of one person can meet there: all there are on a small map, and on the map of a run all that there
is ROOM for.  And persons who move as much as they can are played through the crowd and the table, among
others and cut into batches.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import prod

import numpy as np

from collector.edge.crowd import Crowd
from collector.edge.locators.fixes import FIX, TA, UNITS
from collector.edge.metrics import ENTRIES_MAX, LEVEL_WORK, MOVES_MAX, TALLY_UNITS, WEEK_MAX, Metric, Places
from collector.edge.records import CLASSES, FIRST_IN_HOUR, FIRST_IN_PART, told
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table, Tables
from probe.base import clock
from probe.wire.areas import ELSEWHERE
from probe.wire.cells import HOME_ABROAD
from probe.wire.observations import NO_HOME, OBSERVATION

ZONE, SLOT_S, DAY_S, WEEK_MS = "Europe/Berlin", 900, 90_000, 7 * 86_400_000
BEGIN_MS = clock.epoch_ms(datetime(2026, 10, 25), ZONE)  # of the longest day: 25 hours, one part of 5
AREA_COUNT = WEEK_MAX + 1  # one more than anybody is granted
NAMES = [(str(area), str(area)) for area in range(AREA_COUNT - 1)] + [(ELSEWHERE, ELSEWHERE)]
PLACES = Places(NAMES, [*NAMES, ("abroad", "abroad"), ("unknown", "unknown")], NAMES[:5],
                np.arange(AREA_COUNT).astype("u1") % 5, True)
# Of each source: how many records a person is granted at most (steps: of either kind), what they tell, and by what
# they differ.
SOURCES: dict[str, tuple[int, range, tuple[str, ...]]] = {
    "time": (DAY_S, range(1), ("time_ms", "klass", "area")),
    "steps": (MOVES_MAX, range(2), ("time_ms", "what", "area")),
    "trips": (MOVES_MAX, range(4), ("time_ms", "what", "origin", "area")),
    "visits": (ENTRIES_MAX, range(LEVEL_WORK + 1), ("home", "klass", "what", "rank", "area")),
    "weeks": (WEEK_MAX, range(1, 8), ("what", "area"))}
BY_AREA = ("visits", "weeks")  # a person has one record of an area, elsewhere one of a slot
ROOM = 1 << 19  # records looked at: all there are on the small map
TURN = 2_654_435_761  # a prime: who goes on by it meets every one of fewer things, none twice
# How persons move: seconds between two observations, and among how many areas.  One sits, the others are greedy.
PACES = (((1_800,), 1), ((130,), AREA_COUNT), ((650,), 2), ((1_000,), 3), ((30, 130, 650, 1_800), 5))


def broken(metric: Metric, slot_s: int = SLOT_S, places: Places | None = None) -> list[str]:
    """Return the promises that a metric breaks, in words: on the small map, and on that of a run when it is given.

    Of a large map all is tried in which one person differs from another, but not together with everything else.
    """
    try:
        return next(filter(None, _faults(metric, slot_s, [PLACES, places] if places else [PLACES])), [])
    except Exception as error:
        return [f"it does not work: {type(error).__name__}: {error}"]


def _lies(*claims: tuple[str, object]) -> list[str]:
    return [words for words, kept in claims if not kept]


def _faults(metric: Metric, slot_s: int, maps: Sequence[Places]) -> Iterator[list[str]]:
    """Yield what is wrong with what a metric says of itself, with its cells, and with its bound."""
    bound, most = metric.bound_squared(slot_s), []
    yield _lies(
        (f"table = {metric.table}: needs a number from 1 to 255", metric.table in range(1, 256)),
        (f"source = {metric.source!r}: needs one of {', '.join(SOURCES)}", metric.source in SOURCES),
        (f"span = {metric.span!r}: needs one of {', '.join(clock.SPAN_S)}", metric.span in clock.SPAN_S),
        ('source "weeks" and span "week" go together', (metric.source == "weeks") == (metric.span == "week")),
        ("time is counted in person-seconds, and nothing else is",
         (metric.source == "time") == (metric.value_unit in TALLY_UNITS)),
        (f"bound_squared = {bound!r}: needs a whole number above 0", type(bound) is int and bound > 0))
    for places in maps:
        axes, records = metric.axes(places), possible(metric.source, places, slot_s)
        size, cells, turned = prod(map(len, axes.values())), metric.cells(records, places), records.copy()
        turned["sign"], turned["time_ms"] = -1, records["time_ms"] + slot_s * clock.SECOND_MS - 1
        yield _lies(
            ("axes: needs one at least, and none without rows", size > 0 and len(axes)),
            ("cells are i8[n]", cells.dtype == np.int64 and cells.shape == records.shape),
            (f"a cell lies outside -1 to {size - 1}", np.all((cells >= -1) & (cells < size))),
            ("the cell of a record depends on other records",
             np.array_equal(metric.cells(records[::-3], places), cells[::-3])),
            ("the cell of a record depends on its sign, or on the instant in a slot",
             np.array_equal(metric.cells(turned, places), cells)))
        most.append(most_squared(metric, records, cells, places, slot_s))
    yield _lies(("it counts nothing of what a person can do on the map, so that its bound cannot be checked: check it "
                 "over the places of a run", any(most)))
    crowd, *alone = _witnessed(metric, slot_s)
    yield _lies(("tallies depend on who else is there, or on how rows are cut", np.array_equal(crowd, sum(alone))))
    added = max(*most, *map(squared, alone))
    yield _lies((f"one person can add L2^2 = {added:,}; bound_squared says {bound:,}", added <= bound))


def possible(source: str, places: Places = PLACES, slot_s: int = SLOT_S) -> np.ndarray:
    """Return the RECORD[n] of a source that somebody can be granted in one day or week: all, or ROOM of them in turn.

    What one person can be granted of many areas together is there for all areas or for none, of each area with a
    rank of its own: one person's ranks differ.
    """
    (_, what, names), areas = SOURCES[source], np.arange(len(places.areas))
    every = {"time_ms": BEGIN_MS + np.arange(DAY_S // slot_s) * slot_s * clock.SECOND_MS, "what": np.array(what),
             "home": np.array([*range(places.abroad), *HOME_ABROAD + np.arange(len(places.homes) - places.abroad - 1),
                               NO_HOME]), "klass": np.arange(CLASSES), "rank": np.arange(ENTRIES_MAX),
             "origin": areas, "area": areas}
    sizes, together = [len(every[name]) for name in names], len(areas) if source in BY_AREA else 1
    apart = prod(sizes) // together
    taken = np.arange(min(apart, ROOM // together)) * TURN % apart
    index = np.add.outer(taken * together, np.arange(together)).ravel()
    records = told(BEGIN_MS, np.zeros(len(index), "u2"))
    for name, row in zip(names, np.unravel_index(index, sizes), strict=True):
        records[name] = every[name][row]
    records["rank"] = (records["rank"] + records["area"].astype("i8") * TURN // ROOM) % ENTRIES_MAX
    records.flags.writeable = False  # other tables count the same records
    return records


def most_squared(metric: Metric, records: np.ndarray, cells: np.ndarray, places: Places = PLACES,
                 slot_s: int = SLOT_S) -> int:
    """Return an L2^2 that one person cannot pass: cells are filled with as many records as can meet, the fullest first.

    A person is granted one record of an area (visits, weeks) or of a slot (the rest), up to a cap.
    """
    records, cells, source, cap = records[cells >= 0], cells[cells >= 0], metric.source, SOURCES[metric.source][0]
    if not len(cells):
        return 0
    area, origin, what, rank, home, klass = (
        records[name].astype("i8") for name in ("area", "origin", "what", "rank", "home", "klass"))
    grid = BEGIN_MS, BEGIN_MS + WEEK_MS, ZONE, slot_s * clock.SECOND_MS
    slots, spans, parts, hours = (
        np.searchsorted([begin_ms for begin_ms, _ in clock.spans(span, *grid)], records["time_ms"], "right")
        for span in ("slot", metric.span, "part", "hour"))
    zone, apart = places.zone_of.astype("i8"), area if source in BY_AREA else slots
    # Of these a person has one only: a rank of visits; the first trip of a pair in a period.
    single = {"visits": [(what > 0, rank)], "trips": [
        (what & FIRST_IN_PART > 0, (origin * len(zone) + area) * DAY_S + parts),
        (what & FIRST_IN_HOUR > 0, (zone[origin] * 256 + zone[area]) * DAY_S + hours)]}.get(source, [])

    def meeting(place: np.ndarray) -> np.ndarray:
        """Return how many records of one person can meet in each place 0, 1, 2 ..."""
        kind, found = what * (source == "steps"), np.zeros(place.max() + 1, "i8")
        for these in (kind == 0, kind == 1):  # a cap for each kind
            found += np.minimum(_distinct(place[these], apart[these], len(found)), cap)
        for which, one in single:
            only = np.bincount(place, ~which) == 0
            found[only] = np.minimum(found, _distinct(place, one))[only]
        return found

    whose = (home * CLASSES + klass) * (source == "visits")
    # Of time a whole span is counted, of the rest a whole day.
    together, place = (np.unique(keys, return_inverse=True)[1] for keys in (
        spans * (source == "time"), (whose * (spans.max() + 1) + spans) * (cells.max() + 1) + cells))
    counts, within, most = meeting(place), np.zeros(place.max() + 1, "i8"), 0
    within[place] = together
    for number, count in enumerate(meeting(together)):
        filled = np.minimum(np.cumsum(-np.sort(-counts[within == number])), count)
        most += squared(np.diff(filled, prepend=0))
    return most * ((slot_s * clock.SECOND_MS * UNITS) ** 2 if source == "time" else 1)


def _distinct(within: np.ndarray, of: np.ndarray, count: int = 0) -> np.ndarray:
    """Return how many distinct values `of` there are within each number 0, 1, 2 ... (up to count)."""
    width = of.max(initial=0) + 1
    return np.bincount(np.unique(within * width + of) // width, minlength=count)


def seen(times_ms: Sequence[int] | np.ndarray, areas: Sequence[int] | np.ndarray, pseudonym: int = 7, klass: int = 0,
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


def _witnessed(metric: Metric, slot_s: int) -> tuple[np.ndarray, ...]:
    """Return the tallies of all persons together, their rows one by one, and those of each alone."""
    until_ms = clock.midnights_ms(BEGIN_MS, BEGIN_MS + WEEK_MS, ZONE)[7 if metric.source == "weeks" else 1]
    persons = []
    for number, (pace_s, reach) in enumerate(PACES):
        seconds = np.cumsum(np.resize(pace_s, (until_ms - BEGIN_MS) // (clock.SECOND_MS * min(pace_s))))
        times_ms = BEGIN_MS + number + clock.SECOND_MS * np.append(0, seconds)
        times_ms = times_ms[times_ms < until_ms]
        persons.append(seen(times_ms, np.arange(len(times_ms)) % reach, 1 + number, number, number))
    observations, fixes = (np.concatenate(column) for column in zip(*persons, strict=True))
    order = np.argsort(observations["time_ms"], kind="stable")
    ways = [((observations[order], fixes[order]), 1), *((person, len(order)) for person in persons)]
    return tuple(played([metric], rows, until_ms, cut, slot_s=slot_s)[0] for rows, cut in ways)


def squared(tally: np.ndarray) -> int:
    """Return the sum of squares, exactly."""
    return sum(int(amount) ** 2 for amount in tally[tally != 0])
