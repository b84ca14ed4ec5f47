"""The journal of open spans: where everyone was and what they were granted, so that who says no can be taken out."""

from collections.abc import Iterator

import numpy as np

from collector.edge.kernels import retraction, tallies
from collector.edge.merge import pages, wipe
from collector.edge.records import CLASSES, RECORD

Granted = tuple[np.ndarray, np.ndarray]  # RECORD[n], and i4[n]: row of the crowd + 1 of each, 0 = taken out


class Journal:
    """Slot by slot of a local day, by row of the crowd, never by pseudonym; dropped when no table needs it any more.

    noted   : words of notes of the open slot (collector.edge.kernels.tallies); a place is noted when it ends
    granted : of steps, of trips: by slot, those of each set
    gone    : rows i4[n] of who has gone, and PERSON[n] of each, from when on they were nowhere
    """

    def __init__(self, piece_count: int, length_ms: int):
        self._piece_count, self._length_ms = piece_count, length_ms
        self._words, self.noted, self._used = np.zeros(0, "u4"), 0, 0
        self._closed, self._spare = dict[int, tuple[int, np.ndarray]](), list[np.ndarray]()  # begins in the day; notes
        self.granted, self.gone = [dict[int, list[Granted]]() for _ in range(2)], list[Granted]()
        nobody = np.zeros(1, "i4"), np.zeros(0, tallies.PERSON)  # compiled before it is needed
        retraction.take_back(self._words, *nobody, 0, 0, np.zeros((piece_count, CLASSES), "i8"))

    def room_for(self, count: int) -> np.ndarray:
        """Return u4[m] for so many more notes of the open slot."""
        if (wanted := self.noted + tallies.NOTE_MAX * count) > len(self._words):
            held, self._words = self._words[: self.noted], pages((2 * wanted,), self._words.dtype, large=False)
            self._words[: self.noted] = held
            wipe(held)
        return self._words[self.noted : wanted]

    def close(self, slot: int, begin_ms: int, used: int) -> None:
        """Keep the notes of the open slot, and open the next.

        begin_ms, used : of the slot in its local day; rows of the crowd
        """
        self._closed[slot], self._used = (begin_ms, self._words[: self.noted]), used
        self.noted, size = 0, self._words.shape
        self._words = self._spare.pop() if self._spare else pages(size, self._words.dtype, large=False)

    def time_of_gone(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (slot, i8[pieces, CLASSES]) of the person-time of who has gone, the last first; zero their notes."""
        number, gone = self._numbered()
        for slot, (begin_ms, words) in sorted(self._closed.items(), reverse=True) if len(gone) else ():
            time = np.zeros((self._piece_count, CLASSES), "i8")
            retraction.take_back(words, number, gone, begin_ms, begin_ms + self._length_ms, time)
            yield slot, time

    def granted_to_gone(self) -> list[np.ndarray]:
        """Return the RECORD[n] of steps of each set, then of trips, of who has gone; forget those, and who it was."""
        (number, gone), found = self._numbered(), []
        for kept in [one for by_slot in self.granted for one in zip(*by_slot.values(), strict=True) if len(gone)]:
            found.append(np.concatenate([records[number[rows] > 0] for records, rows in kept]))
            for records, rows in kept:
                records[number[rows] > 0] = np.zeros((), RECORD)
                rows[number[rows] > 0] = 0
        self.gone.clear()
        return found

    def keep(self, note_slot: int, *granted_slots: int) -> None:
        """Drop what lies before a slot: of notes, of steps, of trips."""
        for slot in [slot for slot in self._closed if slot < note_slot]:
            _, words = self._closed.pop(slot)
            wipe(words)
            self._spare.append(np.asarray(words.base))
        self.granted = [{slot: granted for slot, granted in by_slot.items() if slot >= first}
                        for by_slot, first in zip(self.granted, granted_slots, strict=True)]

    def _numbered(self) -> tuple[np.ndarray, np.ndarray]:
        """Return i4[used + 1], by row + 1 the number + 1 of who has gone, 0 = nobody; and PERSON[n]."""
        nobody = np.zeros(0, "i4"), np.zeros(0, tallies.PERSON)
        rows, gone = map(np.concatenate, zip(nobody, *self.gone, strict=True))
        number = np.zeros(self._used * (len(rows) > 0) + 1, "i4")
        number[rows + 1] = np.arange(1, len(rows) + 1)
        return number, gone
