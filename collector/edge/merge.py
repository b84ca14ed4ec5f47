"""The lateness buffer: rows come in as they arrive and leave in the order in which they happened."""

import numpy as np

from probe.base.tally import Tally
from probe.wire.observations import OBSERVATION

BATCH_MIN = 1 << 14


class Merge:
    """Holds observations until nothing older can come.  What comes even later is counted, and dropped.

    Rows leave at the latest when the collector asks for all before an instant; before that
    only when the buffer has doubled, so that each row is sorted about twice however full it is.
    """

    def __init__(self, start_ms: int, lateness_ms: int):
        self._lateness_ms = lateness_ms
        self._chunks: list[np.ndarray] = []
        self._enough = BATCH_MIN
        self.bound_ms = start_ms  # rows before it are late
        self.waiting = 0
        self.counts = Tally()

    def take(self, observations: np.ndarray, watermark_ms: int) -> None:
        """Hold OBSERVATION[n], then let time go forward to watermark_ms."""
        timely = observations[observations["time_ms"] >= self.bound_ms]
        self.counts.count("late", len(observations) - len(timely))
        self._chunks.append(timely)
        self.waiting += len(timely)
        self.bound_ms = max(self.bound_ms, watermark_ms - self._lateness_ms)

    def enough(self) -> bool:
        """Return whether it pays to let rows go now."""
        return self.waiting >= self._enough

    def before(self, time_ms: int) -> np.ndarray:
        """Return the OBSERVATION[m] before time_ms, in order of time; ties by content, not by arrival."""
        assert time_ms <= self.bound_ms, "what is let go can no longer be joined"
        rows = np.concatenate([np.empty(0, OBSERVATION), *self._chunks])
        order = in_order(rows)
        count = int(np.searchsorted(rows["time_ms"], time_ms, sorter=order))
        self._chunks = [rows[order[count:]]]
        self.waiting = len(rows) - count
        self._enough = 2 * self.waiting + BATCH_MIN
        return rows[order[:count]]


def in_order(rows: np.ndarray) -> np.ndarray:
    """Return i8[n], the order of OBSERVATION[n] by (time, pseudonym, kind, cell).

    Sorted runs merge in a single pass; only rows that share a millisecond are sorted by the rest.
    """
    time_ms = np.ascontiguousarray(rows["time_ms"])
    order = np.argsort(time_ms, kind="stable")
    same = np.diff(time_ms[order]) == 0
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = order[tied]
    keys = [rows[name][among] for name in ("cell", "kind", "pseudonym", "time_ms")]
    order[tied] = among[np.lexsort(keys)]
    return order
