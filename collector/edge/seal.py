"""Closing a slot: charge, draw, add, keep.  What leaves this file is noised and durable.

Before it, many workers' integer tallies come together as whole slots: workers never need to meet.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from collector.edge.ledger import Ledger
from collector.edge.spool import Spool
from probe.base.packing import VERSION, opened, pack, require
from probe.wire import release

MAGIC, TYPES, SIZE_MAX = "footfall.partial", (int, int, int, bytes, int, int), 1 << 20
Source = Callable[[int, int, int, int, int], np.ndarray]  # of (table, slot, count, p, d): noise, sigma = p/d
Witness = Callable[[str, int, np.ndarray], None]  # (name, slot, tally): only a seeded simulation has one


def encode(worker: int, table: int, slot: int, tally: np.ndarray, watermark_ms: int, epoch: int) -> bytes:
    """Return the frame of one worker's part of one slot of a table; epoch: of its probe, 0 = none to its end."""
    return pack([MAGIC, VERSION, worker, table, slot, tally.astype("<i8").tobytes(), watermark_ms, epoch])


class Whole(NamedTuple("Whole", [("table", int), ("slot", int), ("tally", np.ndarray | None), ("epoch", int)])):
    """One slot of a table, of all workers.

    tally : i8[cells], None where one leapt over it
    epoch : the lowest of its parts: every worker knew that word of who may be counted, or a later one; 0 = one did
            not know it to the end, and the slot is not to be sealed
    """


class Gather:
    """The parts of the tables' slots.  A slot of a table is whole once every worker has come to its end.

    expected : (cells, slots in rising order) of each table, by number
    """

    def __init__(self, workers: int, expected: Mapping[int, tuple[int, list[int]]]):
        self._expected = {table: (8 * cells, slots, {slot: at for at, slot in enumerate(slots)})
                          for table, (cells, slots) in expected.items()}
        self._come = {table: [0] * workers for table in expected}  # how many slots each worker is through with
        self._passed_ms, self.watermark_ms = [0] * workers, 0  # event time that all have passed
        self._parts = defaultdict[tuple[int, int], list[tuple[np.ndarray, int]]](list)

    def add(self, frame: bytes) -> list[Whole]:
        """Take one part; return what it makes whole.  WireError: it is foreign, here already, or out of order."""
        worker, table, slot, raw, watermark_ms, epoch = opened(frame, MAGIC, TYPES, SIZE_MAX)
        size, slots, at = self._expected.get(table, (0, [], {}))
        require(len(raw) == size > 0, "partial tally: not of a table that is counted, or of other axes")
        in_order = 0 <= worker < len(self._passed_ms) and at.get(slot, -1) >= self._come[table][worker]
        require(in_order and epoch >= 0, f"partial tally: worker {worker} or slot {slot} or epoch {epoch} out of order")
        before, self._come[table][worker] = min(self._come[table]), at[slot] + 1
        self._passed_ms[worker] = max(watermark_ms, self._passed_ms[worker])
        self.watermark_ms = min(self._passed_ms)
        self._parts[table, slot].append((np.frombuffer(raw, "<i8"), epoch))
        whole = [(slot, self._parts.pop((table, slot), [])) for slot in slots[before : min(self._come[table])]]
        return [Whole(table, slot, np.sum([tally for tally, _ in parts], axis=0) if
                      len(parts) == len(self._passed_ms) else None, min((epoch for _, epoch in parts), default=0))
                for slot, parts in whole]


class Sealer:
    """One edge's seal over its spool.  Every slot of a table is closed once, in rising order.

    tables : (8 bytes, digest of its axes; its statement) of each, by number
    epochs : the consent epoch that the last release of each stated; none states a lower one, no store would take it
    """

    def __init__(self, spool: Spool, tables: Mapping[int, tuple[bytes, release.Statement]], probe: int, source: Source,
                 seeded: bool, witness: Witness | None = None):
        self._spool, self._tables, self._probe = spool, tables, probe
        weekly = [table for table, (_, stated) in tables.items() if stated.span == "week"]
        self.epochs = {table: its.consent_epoch for table in tables if (its := spool.stated(table))}
        self._ledger = Ledger({table: stated.rho for table, (_, stated) in tables.items()}, spool.charges(), weekly)
        assert seeded or witness is None, "a tally before noise is for seeded simulations only"
        self._source, self._flags, self._witness = source, release.Flag.SEEDED if seeded else release.Flag(0), witness

    def recover(self) -> int:
        """Declare lost what a crash left between intent and release; return how many slots."""
        return len([self.lose(*orphan, "crash") for orphan in self._spool.orphans()])

    def seal(self, table: int, slot: int, day: int, tally: np.ndarray, warming: bool = False, epoch: int = 0) -> bytes:
        """Return the frame of a slot: tally plus noise, then rounded to values.

        tally : i8[cells]  tally units;  day : date ordinal of the local day or week that pays;  warming : its state
        epoch : of consent, that every worker knew
        """
        assert slot > self._spool.closed.get(table, -1), "a slot is closed once"
        assert epoch >= self.epochs.get(table, 0), "an epoch never goes back"
        self.epochs[table], stated = epoch, self._tables[table][1]._replace(warming=warming, consent_epoch=epoch)
        self._spool.intend(self._ledger.spend(table, slot, day))
        noised = tally + self._source(table, slot, len(tally), stated.sigma_p, stated.sigma_d)
        values = (noised + stated.tally_units // 2) // stated.tally_units
        frame = self._keep(table, slot, release.Kind.RELEASE, self._flags, stated, values, "")
        if self._witness:
            self._witness(stated.table, slot, tally)
        return frame

    def lose(self, table: int, slot: int, reason: str) -> bytes:
        """Return the frame of the word that a slot has no value and never will."""
        return self._keep(table, slot, release.Kind.LOST, release.Flag(0), None, None, reason)

    def _keep(self, table: int, slot: int, *content) -> bytes:
        named = self._probe, self._spool.inc, self._spool.next_seq, table, slot, self._tables[table][0]
        frame = release.encode(release.Release(*named, *content))
        self._spool.put(table, slot, frame)
        return frame
