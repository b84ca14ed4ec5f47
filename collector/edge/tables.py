"""The tallies of open spans: a Table adds up what the people stage grants, and gives up whole spans.  No I/O."""

from collections.abc import Callable
from itertools import product
from math import prod

import numpy as np

from collector.edge.crowd import Crowd
from collector.edge.metrics import Metric, Places
from collector.edge.records import CLASSES, told
from collector.edge.slots import Slots
from probe.base import clock


class Table:
    """One metric over one area set: the accumulators of its open spans, dense over the cells.

    until_ms : end of the run; a span that does not lie wholly inside is never given up
    """

    def __init__(self, metric: Metric, places: Places, name: str, number: int, slots: Slots, until_ms: int):
        self.metric, self.name, self.number, self.axes = metric, name, number, metric.axes(places)
        self.cells = prod(len(rows) for rows in self.axes.values())
        self._spans = clock.spans(metric.span, slots.start_ms, until_ms, slots.zone, slots.length_ms)
        self._begins_ms, self._ends_ms = np.array(self._spans, "i8").reshape(-1, 2).T
        self.places, self._slots, self._open, self._closed = places, slots, dict[int, np.ndarray](), 0

    @property
    def span_slots(self) -> list[int]:
        """Return the number of every span of the run: the slot that it begins with."""
        return [begin_ms // self._slots.length_ms for begin_ms, _ in self._spans]

    @property
    def ends_ms(self) -> dict[int, int]:
        """Return when each span of the run ends, by the slot that it begins with."""
        return dict(zip(self.span_slots, self._ends_ms.tolist(), strict=True))

    @property
    def open_ms(self) -> int:
        """Return when the first span begins that is not given up."""
        return int(self._begins_ms[self._closed]) if self._closed < len(self._spans) else 1 << 62

    def add(self, records: np.ndarray, amounts: np.ndarray | None = None) -> None:
        """Add RECORD[n] of the metric's source, each so much, or its sign: -1 takes back."""
        cells, time_ms = self.metric.cells(records, self.places), records["time_ms"].copy()
        amounts = records["sign"] if amounts is None else amounts
        ends_ms = time_ms.min(initial=1 << 62), time_ms.max(initial=0)
        first, last = np.searchsorted(self._begins_ms, ends_ms, "right").tolist()
        for span in range(max(first - 1, 0), last):  # of one slot few, whatever is added
            begin_ms, end_ms = self._spans[span]
            these = np.flatnonzero((cells >= 0) & (time_ms >= begin_ms) & (time_ms < end_ms))
            if len(these):
                assert span >= self._closed, "a span is given up once"
                tally = self._open.setdefault(span, np.zeros(self.cells, "i8"))
                np.add.at(tally, cells[these], amounts[these].astype("i8"))

    def add_time(self, slot: int, person_time: np.ndarray) -> None:
        """Add the i8[areas, CLASSES] person-time of a slot."""
        area, klass = np.nonzero(person_time)
        self.add(told(slot * self._slots.length_ms, area, klass=klass), person_time[area, klass])

    def take_back(self, records: np.ndarray) -> None:
        """Take back what was added of RECORD[n], in spans that are open."""
        records = records[records["time_ms"] >= self.open_ms]
        self.add(records, -records["sign"])

    def close(self, slot: int) -> list[tuple[int, np.ndarray]]:
        """Return (slot that it begins with, i8[cells]) of every span that is complete when a slot has ended.

        Steps and trips may be taken back for a while: one slot later, unless the local day ends.
        """
        waits = self.metric.source in ("steps", "trips") and not self._slots.ends_day(slot)
        whole, first = int(np.searchsorted(self._ends_ms, self._slots.end_ms(slot - waits), "right")), self._closed
        self._closed = max(first, whole)
        return [(self._spans[span][0] // self._slots.length_ms, self._open.pop(span, np.zeros(self.cells, "i8")))
                for span in range(first, self._closed)]


class Tables:
    """A crowd, and the tables of each area set that its records are granted to.

    rows : u2[pieces] each: the row in a set of each piece, as the crowd has them
    """

    def __init__(self, crowd: Crowd, rows: list[np.ndarray], tables: list[list[Table]], slots: Slots):
        self._crowd, self._rows, self._tables, self._slots, self._days = crowd, rows, tables, slots, 0

    def close(self, slot: int) -> list[tuple[int, int, np.ndarray]]:
        """Close the open slot; return (table number, slot that its span begins with, i8[cells]) of what is complete."""
        self._tell_time(slot, self._crowd.close())
        self._tell(self._crowd.granted(), "steps", "trips")
        for earlier, time in self._crowd.time_of_gone():
            self._tell_time(earlier, -time)
        self._tell(self._crowd.granted_to_gone(), "steps", "trips", add=Table.take_back)
        if self._slots.ends_day(slot):
            self._tell(self._crowd.end_day(), "visits")
            self._days += 1
            if self._days % 7 == 0:
                self._tell(self._crowd.end_week(), "weeks")
        found = [(table.number, *one) for tables in self._tables for table in tables for one in table.close(slot)]
        begins_ms = self._slots.end_ms(slot)
        self._crowd.journal.keep(*(self._slots.of(min([begins_ms, *opens_ms])) for opens_ms in (
            [table.open_ms for tables in self._tables for table in tables if table.metric.source == source]
            for source in ("time", "steps", "trips"))))
        return found

    def _tell_time(self, slot: int, time: np.ndarray) -> None:
        """Tell tables the i8[pieces, CLASSES] person-time of a slot, if their span is open."""
        for rows, tables in zip(self._rows, self._tables, strict=True):
            np.add.at(here := np.zeros((int(rows.max()) + 1, CLASSES), "i8"), rows, time)
            for table in tables:
                if table.metric.source == "time" and slot * self._slots.length_ms >= table.open_ms:
                    table.add_time(slot, here)

    def _tell(self, granted: list[np.ndarray], *sources: str, add: Callable[..., None] = Table.add) -> None:
        """Tell tables what was granted, RECORD[n] of the first source over each set, and so on; or nothing."""
        for records, (source, tables) in zip(granted, product(sources, self._tables), strict=bool(granted)):
            for table in tables:
                if table.metric.source == source:
                    add(table, records)
