"""The journal of open spans: where everyone was and what they were granted, so that who says no can be taken out."""

from collections.abc import Iterator

import numpy as np

from collector.edge.kernels import retraction
from collector.edge.kernels.tallies import PERSON, PLACE
from collector.edge.merge import pages, room, wipe
from collector.edge.records import CLASSES, RECORD

Noted = tuple[np.ndarray, np.ndarray]  # i4[n] rows of the crowd + 1, 0 = taken out; PLACE[n] or RECORD[n] of each


class Journal:
    """Slot by slot of a local day, by row of the crowd, never by pseudonym; dropped when no table needs it any more.

    A place is noted when it ends, so that going back in time from where those are who leave tells all of them.
    """

    def __init__(self, piece_count: int, set_count: int, length_ms: int):
        self._piece_count, self._length_ms = piece_count, length_ms
        self._rows, self._places, self.noted = np.zeros(0, "i4"), np.zeros(0, PLACE), 0  # of the open slot
        self._closed, self._spare = dict[int, tuple[Noted, int]](), list[Noted]()  # how many are noted of a slot
        self._records = [dict[int, Noted]() for _ in range(2 * set_count)]  # steps, trips of each set
        self._gone = list[tuple[np.ndarray, np.ndarray]]()

    def room_for(self, count: int) -> Noted:
        """Return where so many more places of the open slot can be written."""
        if (wanted := self.noted + count) > len(self._rows):
            held = self._rows[: self.noted], self._places[: self.noted]
            self._rows, self._places = room(self._rows, wanted), room(self._places, wanted)
            for new, old in zip((self._rows, self._places), held, strict=True):
                new[: self.noted] = old
            wipe(*held)
        return self._rows[self.noted : wanted], self._places[self.noted : wanted]

    def close(self, slot: int) -> None:
        """Keep the places of the open slot as those of a slot, and begin the next."""
        self._closed[slot] = (self._rows, self._places), self.noted
        size = len(self._rows)
        self._rows, self._places = self._spare.pop() if self._spare else (
            pages((size,), self._rows.dtype), pages((size,), PLACE))
        self.noted = 0

    def grant(self, slot: int, granted: list[Noted]) -> None:
        """Keep what was granted in a slot: steps and trips of each set."""
        for kept, written in zip(self._records, granted, strict=True):
            kept[slot] = written

    def leave(self, rows: np.ndarray, persons: np.ndarray) -> None:
        """Take note that i4[n] rows of the crowd have gone, PERSON[n] where they are."""
        assert persons.dtype == PERSON
        gone = np.zeros(len(rows), retraction.GONE)
        for name in ("klass", "area", "weight"):
            gone[name] = persons[name]
        self._gone.append((rows, gone))

    def time_of_gone(self, day_ms: int, used: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (slot, i8[pieces, CLASSES]) of the person-time of who has gone, the last slot first; forget it.

        used : rows of the crowd
        """
        if not self._gone:
            return
        number, gone = self._numbered(used)
        for slot in sorted(self._closed, reverse=True):
            (rows, places), count = self._closed[slot]
            begin_ms, time = slot * self._length_ms - day_ms, np.zeros((self._piece_count, CLASSES), "i8")
            retraction.take_back(rows[:count], places[:count], number, gone, begin_ms, begin_ms + self._length_ms, time)
            yield slot, time

    def granted_to_gone(self, used: int) -> list[np.ndarray]:
        """Return the RECORD[n] of steps, of trips of each set in turn of who has gone; forget them, and who it was."""
        if not self._gone:
            return []
        (number, _), found = self._numbered(used), []
        for kept in self._records:
            of_gone = [(rows, records, at) for rows, records in kept.values() if len(at := np.flatnonzero(number[rows]))]
            found.append(np.concatenate([np.empty(0, RECORD), *(records[at] for _, records, at in of_gone)]))
            for rows, records, at in of_gone:
                rows[at], records[at] = 0, np.zeros((), RECORD)
        self._gone.clear()
        return found

    def keep(self, place_slot: int, record_slot: int) -> None:
        """Drop what lies before a slot: of places, of records."""
        for slot in [slot for slot in self._closed if slot < place_slot]:
            both, count = self._closed.pop(slot)
            wipe(*(array[:count] for array in both))
            self._spare.append(both)
        for kept in self._records:
            for slot in [slot for slot in kept if slot < record_slot]:
                wipe(kept.pop(slot)[0])  # what was granted may still be in the hands of tables

    def forget(self) -> None:
        """Forget all of a local day."""
        self.keep(1 << 62, 1 << 62)
        wipe(self._rows[: self.noted], self._places[: self.noted])
        self.noted = 0
        self._gone.clear()

    def _numbered(self, used: int) -> tuple[np.ndarray, np.ndarray]:
        """Return i4[used + 1], by row + 1 the number + 1 of who has gone, 0 = nobody; and GONE[n]."""
        number, rows = np.zeros(used + 1, "i4"), np.concatenate([rows for rows, _ in self._gone] or [np.zeros(0, "i4")])
        number[rows + 1] = np.arange(1, len(rows) + 1)
        return number, np.concatenate([gone for _, gone in self._gone] or [np.zeros(0, retraction.GONE)])
