"""The lateness buffer: rows come in as they arrive and leave in the order in which they happened."""

import math
import mmap
from contextlib import suppress

import numpy as np

from probe.base.memory import wipe
from probe.wire.observations import OBSERVATION

RAW = np.dtype((np.void, OBSERVATION.itemsize))  # numpy moves rows as bytes 20 times faster than as records
BATCH_MIN, PAGES = 1 << 14, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Merge:
    """Holds observations until nothing older can come.  What comes even later is counted, and dropped.

    Rows leave at the latest when the collector asks for all before an instant; before that
    only when `enough` are waiting: they have doubled, so that each row is moved about twice however many wait.
    What has left is zeroed at once.  Rooms are kept: memory that is freed is overwritten, and again when it is given.
    """

    def __init__(self, start_ms: int, lateness_ms: int):
        self._lateness_ms, self.enough = lateness_ms, BATCH_MIN
        self._rows, self._spare, self._ripe = (np.zeros(0, RAW) for _ in range(3))
        self.bound_ms, self.waiting, self.late = start_ms, 0, 0  # rows before the bound are late

    def take(self, observations: np.ndarray, watermark_ms: int) -> None:
        """Hold OBSERVATION[n], then let time go forward to watermark_ms."""
        timely = np.flatnonzero(observations["time_ms"] >= self.bound_ms)
        first, self.waiting = self.waiting, self.waiting + len(timely)
        if self.waiting > len(self._rows):
            held, self._rows = self._rows, room(self._rows, self.waiting)
            self._rows[:first] = held[:first]
            wipe(held)
        raw = np.ascontiguousarray(observations).view(RAW)
        raw.take(timely, out=self._rows[first : self.waiting], mode="clip")  # straight into it, without a copy
        self.late += len(observations) - len(timely)
        self.bound_ms = max(self.bound_ms, watermark_ms - self._lateness_ms)

    def of(self, pseudonyms: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return bool[n], which of the rows that wait are of u8[m] pseudonyms, and whether one of those is ripe."""
        rows = self._rows[: self.waiting].view(OBSERVATION)
        found = np.isin(rows["pseudonym"], pseudonyms)
        return found, bool(np.any(rows["time_ms"][found] < self.bound_ms))

    def remove(self, found: np.ndarray) -> int:
        """Let nothing be left of rows that wait, bool[n]; return how many these are."""
        if found.any():
            rows, kept = self._rows[: self.waiting], np.flatnonzero(~found)
            self._spare, self.waiting = room(self._spare, len(kept)), len(kept)
            rows.take(kept, out=self._spare[: len(kept)], mode="clip")
            wipe(rows)
            self._rows, self._spare = self._spare, self._rows
        return int(found.sum())

    def before(self, time_ms: int) -> np.ndarray:
        """Return the OBSERVATION[m] before time_ms, in order of time; ties by content, not by arrival.

        They lie in a room that is used again: to be wiped when they are done with.
        """
        assert time_ms <= self.bound_ms, "what is let go can no longer be joined"
        rows = self._rows[: self.waiting]
        ripe = rows.view(OBSERVATION)["time_ms"] < time_ms
        at, kept = np.flatnonzero(ripe), np.flatnonzero(~ripe)
        self._ripe, self._spare = room(self._ripe, len(at)), room(self._spare, len(kept))
        rows.take(at[in_order(rows.view(OBSERVATION), at)], out=self._ripe[: len(at)], mode="clip")
        rows.take(kept, out=self._spare[: len(kept)], mode="clip")
        wipe(rows)
        self._rows, self._spare = self._spare, self._rows
        self.waiting, self.enough = len(kept), 2 * len(kept) + BATCH_MIN
        return self._ripe[: len(at)].view(OBSERVATION)


def room(held: np.ndarray, count: int) -> np.ndarray:
    """Return an array for so many rows: the one that is held, or zeros."""
    return held if count <= len(held) else pages((2 * count,), held.dtype)


def pages(shape: tuple[int, ...], dtype: np.dtype, large: bool = True) -> np.ndarray:
    """Return zeros in pages of their own; those that nobody uses yet cost no memory.

    large : as few pages as can be: for what is found here and there; to make them costs more than to fill small ones

    Not from malloc: in an edge process it writes to all that it gives, small page by small page.
    """
    block = mmap.mmap(-1, max(1, math.prod(shape) * dtype.itemsize), PAGES)
    with suppress(AttributeError, OSError):  # a system without large pages
        block.madvise(mmap.MADV_HUGEPAGE if large else mmap.MADV_NORMAL)
    return np.ndarray(shape, dtype, block)


def in_order(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return i8[n], the order of OBSERVATION[at] by time, that of one person's rows by (time, kind, cell).

    One sort of numbers by time and the beginning of the pseudonym, each with its row in the lowest bits: faster than
    a sort of rows.  The few that it cannot tell apart (two handsets of a person in one millisecond) are sorted again
    by everything.
    """
    time_ms = rows["time_ms"][at]
    time_ms -= time_ms.min(initial=1 << 62)  # of none, too
    of_row = len(at).bit_length()
    of_person = 64 - of_row - int(time_ms.max(initial=0)).bit_length()
    key = time_ms.view("u8") << np.uint64(of_person)
    key |= rows["pseudonym"][at] >> np.uint64(64 - of_person)
    ranked = key << np.uint64(of_row)
    ranked |= np.arange(len(at), dtype="u8")
    ranked.sort()
    same = np.diff(ranked >> np.uint64(of_row)) == 0
    ranked &= np.uint64((1 << of_row) - 1)
    order = ranked.view("i8")
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = np.sort(order[tied])
    order[tied] = among[np.lexsort([*(rows[name][at[among]] for name in ("cell", "kind", "pseudonym")), key[among]])]
    return order
