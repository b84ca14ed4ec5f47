"""The journal of open spans: where everyone was and what they were granted, so that who says no can be taken out."""

from collections.abc import Iterator

import numpy as np

from collector.edge.kernels import retraction
from collector.edge.kernels.tallies import NOTE_MAX, PERSON
from collector.edge.merge import pages, room, wipe
from collector.edge.records import CLASSES, RECORD

Granted = tuple[np.ndarray, np.ndarray]  # RECORD[n], and i4[n]: row of the crowd + 1 of each, 0 = taken out


class Journal:
    """Slot by slot of a local day, by row of the crowd, never by pseudonym; dropped when no table needs it any more.

    A place is noted when it ends, so that going back in time from where those are who leave tells all of them.
    """

    def __init__(self, piece_count: int, set_count: int, length_ms: int):
        self._piece_count, self._length_ms = piece_count, length_ms
        self._words, self.noted = np.zeros(0, "u4"), 0  # of the open slot; how notes look: kernels.tallies
        self._closed, self._spare = dict[int, np.ndarray](), list[np.ndarray]()
        self._granted = [dict[int, Granted]() for _ in range(2 * set_count)]  # steps, trips of each set
        self._gone = list[tuple[np.ndarray, np.ndarray]]()  # rows, and GONE of each

    def room_for(self, count: int) -> np.ndarray:
        """Return u4[m] for so many more notes of the open slot."""
        if (wanted := self.noted + NOTE_MAX * count) > len(self._words):
            held, self._words = self._words[: self.noted], room(self._words, wanted)
            self._words[: self.noted] = held
            wipe(held)
        return self._words[self.noted : wanted]

    def close(self, slot: int) -> None:
        """Keep the places of the open slot as those of a slot, and begin the next."""
        self._closed[slot] = self._words[: self.noted]
        self._words, self.noted = self._spare.pop() if self._spare else pages(self._words.shape, self._words.dtype), 0

    def grant(self, slot: int, granted: list[Granted]) -> None:
        """Keep what was granted in a slot: steps and trips of each set."""
        for kept, taken in zip(self._granted, granted, strict=True):
            kept[slot] = taken

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
            begin_ms, time = slot * self._length_ms - day_ms, np.zeros((self._piece_count, CLASSES), "i8")
            retraction.take_back(self._closed[slot], number, gone, begin_ms, begin_ms + self._length_ms, time)
            yield slot, time

    def granted_to_gone(self, used: int) -> list[np.ndarray]:
        """Return the RECORD[n] of steps, of trips of each set in turn of who has gone; forget them, and who it was."""
        if not self._gone:
            return []
        (number, _), found = self._numbered(used), []
        for kept in self._granted:
            taken = [np.empty(0, RECORD)]
            for records, rows in kept.values():
                if len(at := np.flatnonzero(number[rows])):
                    taken.append(records[at])
                    rows[at], records[at] = 0, np.zeros((), RECORD)
            found.append(np.concatenate(taken))
        self._forget_gone()
        return found

    def keep(self, place_slot: int, record_slot: int) -> None:
        """Drop what lies before a slot: of places, of records."""
        for slot in [slot for slot in self._closed if slot < place_slot]:
            wipe(words := self._closed.pop(slot))
            self._spare.append(words.base)
        for kept in self._granted:
            for slot in [slot for slot in kept if slot < record_slot]:
                wipe(kept.pop(slot)[1])  # the records are in other hands, too

    def forget(self) -> None:
        """Forget all of a local day."""
        self.keep(1 << 62, 1 << 62)
        wipe(self._words[: self.noted])
        self.noted = 0
        self._forget_gone()

    def _forget_gone(self) -> None:
        for both in self._gone:
            wipe(*both)
        self._gone.clear()

    def _numbered(self, used: int) -> tuple[np.ndarray, np.ndarray]:
        """Return i4[used + 1], by row + 1 the number + 1 of who has gone, 0 = nobody; and GONE[n]."""
        number, rows = np.zeros(used + 1, "i4"), np.concatenate([rows for rows, _ in self._gone] or [np.zeros(0, "i4")])
        number[rows + 1] = np.arange(1, len(rows) + 1)
        return number, np.concatenate([gone for _, gone in self._gone] or [np.zeros(0, retraction.GONE)])
