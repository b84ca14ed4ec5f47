"""Many workers' integer tallies in, whole slots out.  Workers never need to meet."""

import numpy as np

from probe.base.packing import WireError, pack, unpack

MAGIC = "footfall.partial"
VERSION = 1
FIELDS = (str, int, int, int, int, bytes, int)


def encode(worker: int, table: int, slot: int, tally: np.ndarray, watermark_ms: int) -> bytes:
    """Return the frame of one worker's part of one slot."""
    return pack([MAGIC, VERSION, worker, table, slot, tally.astype("<i8").tobytes(), watermark_ms])


class Gather:
    """The parts of one table's slots.  A slot is whole once every worker has come to its end."""

    def __init__(self, workers: int, rows: int, table: int, first_slot: int):
        self._rows, self._table, self._next = rows, table, first_slot
        self._last = [first_slot - 1] * workers
        self._watermark_ms = [0] * workers
        self._sums: dict[int, np.ndarray] = {}
        self._parts: dict[int, int] = {}

    @property
    def watermark_ms(self) -> int:
        """Return the event time that every worker has passed."""
        return min(self._watermark_ms)

    def add(self, frame: bytes) -> None:
        """Take one part, or raise WireError: foreign, twice, or out of order."""
        magic, version, worker, table, slot, raw, watermark_ms = unpack(frame, FIELDS, "partial tally")
        if (magic, version, table) != (MAGIC, VERSION, self._table) or len(raw) != 8 * self._rows:
            raise WireError("partial tally: not of this table, version or area set")
        if not 0 <= worker < len(self._last) or slot <= self._last[worker]:
            raise WireError(f"partial tally: worker {worker} or slot {slot} out of order")
        self._last[worker] = slot
        self._watermark_ms[worker] = max(watermark_ms, self._watermark_ms[worker])
        self._sums[slot] = self._sums.get(slot, 0) + np.frombuffer(raw, "<i8").astype(np.int64)
        self._parts[slot] = self._parts.get(slot, 0) + 1

    def whole(self) -> list[tuple[int, np.ndarray | None]]:
        """Return (slot, tally) of every slot that all workers have passed; None where a part is missing."""
        found = []
        while self._next <= min(self._last):
            tally, parts = self._sums.pop(self._next, None), self._parts.pop(self._next, 0)
            found.append((self._next, tally if parts == len(self._last) else None))
            self._next += 1
        return found
