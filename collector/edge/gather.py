"""Many workers' integer tallies in, whole slots out.  Workers never need to meet."""

from collections import defaultdict

import numpy as np

from probe.base.packing import VERSION, opened, pack, require

MAGIC, TYPES, SIZE_MAX = "footfall.partial", (int, int, int, bytes, int), 1 << 20
SLOT_MAX = (1 << 32) - 1


def encode(worker: int, table: int, slot: int, tally: np.ndarray, watermark_ms: int) -> bytes:
    """Return the frame of one worker's part of one slot."""
    return pack([MAGIC, VERSION, worker, table, slot, tally.astype("<i8").tobytes(), watermark_ms])


class Gather:
    """The parts of one table's slots.  A slot is whole once every worker has come to its end."""

    def __init__(self, workers: int, rows: int, table: int, first_slot: int, last_slot: int = SLOT_MAX):
        self._rows, self._table, self._next, self._last_slot = rows, table, first_slot, last_slot
        self._last, self._passed_ms = [first_slot - 1] * workers, [0] * workers
        self.watermark_ms = 0  # event time that every worker has passed
        self._parts: dict[int, list[np.ndarray]] = defaultdict(list)

    def add(self, frame: bytes) -> None:
        """Take one part, or raise WireError: foreign, twice, or out of order."""
        worker, table, slot, raw, watermark_ms = opened(frame, MAGIC, TYPES, SIZE_MAX)
        require((table, len(raw)) == (self._table, 8 * self._rows), "partial tally: not of this table or area set")
        in_order = 0 <= worker < len(self._last) and self._last[worker] < slot <= self._last_slot
        require(in_order, f"partial tally: worker {worker} or slot {slot} out of order")
        self._last[worker], self._passed_ms[worker] = slot, max(watermark_ms, self._passed_ms[worker])
        self.watermark_ms = min(self._passed_ms)
        self._parts[slot].append(np.frombuffer(raw, "<i8"))

    def whole(self) -> list[tuple[int, np.ndarray | None]]:
        """Return (slot, tally) of every slot that all workers have passed; None where a part is missing."""
        first, self._next = self._next, max(self._next, min(self._last) + 1)
        parts = [(slot, self._parts.pop(slot, [])) for slot in range(first, self._next)]
        return [(slot, np.sum(one, axis=0) if len(one) == len(self._last) else None) for slot, one in parts]
