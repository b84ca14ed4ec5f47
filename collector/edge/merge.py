"""The lateness buffer: rows come in as they arrive and leave in the order in which they happened."""

import numpy as np

from probe.wire.observations import OBSERVATION

RAW = np.dtype((np.void, OBSERVATION.itemsize))  # numpy moves rows as bytes 20 times faster than as records
BATCH_MIN, PERSON_BITS = 1 << 14, 20  # bits of the pseudonym in a sort key, below the time


class Merge:
    """Holds observations until nothing older can come.  What comes even later is counted, and dropped.

    Rows leave at the latest when the collector asks for all before an instant; before that
    only when `enough` are waiting: the buffer has doubled, so that each row is moved about twice however full it is.
    """

    def __init__(self, start_ms: int, lateness_ms: int):
        self._lateness_ms, self.enough, self._chunks = lateness_ms, BATCH_MIN, [np.empty(0, RAW)]
        self.bound_ms, self.waiting, self.late = start_ms, 0, 0  # rows before the bound are late

    def take(self, observations: np.ndarray, watermark_ms: int) -> None:
        """Hold OBSERVATION[n], then let time go forward to watermark_ms."""
        timely = np.ascontiguousarray(observations).view(RAW)[observations["time_ms"] >= self.bound_ms]
        self._chunks.append(timely)
        self.late, self.waiting = self.late + len(observations) - len(timely), self.waiting + len(timely)
        self.bound_ms = max(self.bound_ms, watermark_ms - self._lateness_ms)

    def before(self, time_ms: int) -> np.ndarray:
        """Return the OBSERVATION[m] before time_ms, in order of time; ties by content, not by arrival."""
        assert time_ms <= self.bound_ms, "what is let go can no longer be joined"
        rows = np.concatenate(self._chunks)
        ripe = rows.view(OBSERVATION)["time_ms"] < time_ms
        ripened, kept = rows[ripe], rows[~ripe]
        self._chunks, self.waiting, self.enough = [kept], len(kept), 2 * len(kept) + BATCH_MIN
        return ripened[in_order(ripened.view(OBSERVATION))].view(OBSERVATION)


def in_order(rows: np.ndarray) -> np.ndarray:
    """Return i8[n], the order of OBSERVATION[n] by time, that of one person's rows by (time, kind, cell).

    One sort by time and a piece of the pseudonym; the few rows that it cannot tell apart
    (two handsets of a person in one millisecond) are sorted again by everything.
    """
    key = (rows["time_ms"] - rows["time_ms"].min(initial=0)).astype("u8") << np.uint64(PERSON_BITS)
    key |= rows["pseudonym"] >> np.uint64(64 - PERSON_BITS)
    order = np.argsort(key)
    same = np.diff(key[order]) == 0
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = np.sort(order[tied])
    order[tied] = among[np.lexsort([*(rows[name][among] for name in ("cell", "kind", "pseudonym")), key[among]])]
    return order
