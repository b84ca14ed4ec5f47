"""Closing a slot: charge, draw, add, keep.  What leaves this file is noised and durable.

Before it, many workers' integer tallies come together as whole slots: workers never need to meet.
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from collector.edge.ledger import Charge, Ledger
from collector.edge.spool import SLOT_MAX, Spool
from probe.base.packing import VERSION, opened, pack, require
from probe.wire import release

MAGIC, TYPES, SIZE_MAX = "footfall.partial", (int, int, int, bytes, int), 1 << 20
Source = Callable[[int, int, int, int, int], np.ndarray]  # of (table, slot, count, p, d): noise, sigma = p/d
Witness = Callable[[int, int, np.ndarray], None]  # (table, slot, tally): only a seeded simulation has one


def encode(worker: int, table: int, slot: int, tally: np.ndarray, watermark_ms: int) -> bytes:
    """Return the frame of one worker's part of one slot."""
    return pack([MAGIC, VERSION, worker, table, slot, tally.astype("<i8").tobytes(), watermark_ms])


class Gather:
    """The parts of one table's slots.  A slot is whole once every worker has come to its end."""

    def __init__(self, workers: int, rows: int, table: int, first_slot: int, last_slot: int = SLOT_MAX):
        self._rows, self._table, self._next, self._last_slot = rows, table, first_slot, last_slot
        self._last, self._passed_ms = [first_slot - 1] * workers, [0] * workers
        self.watermark_ms, self._parts = 0, defaultdict[int, list[np.ndarray]](list)  # event time that all have passed

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


class Sealer:
    """One edge's seal over its spool.  Every slot of a table is closed once, in rising order.

    tables : statements by number;  axes : 8 bytes, digest of the area set
    """

    def __init__(self, spool: Spool, tables: dict[int, release.Statement], probe: int, axes: bytes, source: Source,
                 seeded: bool, witness: Witness | None = None):
        self._spool, self._tables, self._probe, self._axes = spool, tables, probe, axes
        self._ledger = Ledger({table: stated.rho for table, stated in tables.items()}, spool.charges())
        assert seeded or witness is None, "a tally before noise is for seeded simulations only"
        self._source, self._flags, self._witness = source, release.Flag.SEEDED if seeded else release.Flag(0), witness

    def recover(self) -> int:
        """Declare lost what a crash left between intent and release; return how many slots."""
        return len([self.lose(*orphan, "crash") for orphan in self._spool.orphans()])

    def seal(self, table: int, slot: int, day: int, tally: np.ndarray, warming: bool = False) -> bytes:
        """Return the frame of a slot: tally plus noise, then rounded to values.

        tally : i8[rows]  tally units;  day : local date ordinal;  warming : the state of the slot
        """
        assert slot > self._spool.closed.get(table, -1), "a slot is closed once"
        stated = self._tables[table]._replace(warming=warming)
        self._ledger.spend(charge := Charge(table, slot, day, stated.slot_rho))
        self._spool.intend(charge)
        noised = tally + self._source(table, slot, len(tally), stated.sigma_p, stated.sigma_d)
        values = (noised + stated.tally_units // 2) // stated.tally_units
        frame = self._keep(table, slot, release.Kind.RELEASE, self._flags, stated, values, "")
        if self._witness:
            self._witness(table, slot, tally)
        return frame

    def lose(self, table: int, slot: int, reason: str) -> bytes:
        """Return the frame of the word that a slot has no value and never will."""
        return self._keep(table, slot, release.Kind.LOST, release.Flag(0), None, None, reason)

    def _keep(self, table: int, slot: int, *content) -> bytes:
        named = self._probe, self._spool.inc, self._spool.next_seq, table, slot, self._axes
        frame = release.encode(release.Release(*named, *content))
        self._spool.put(table, slot, frame)
        return frame
