"""Closing a slot: charge, draw, add, keep.  What leaves this file is noised and durable."""

from collections.abc import Callable

import numpy as np

from collector.edge.ledger import Charge, Ledger
from collector.edge.noise import OsBits, SeededBits
from collector.edge.spool import Spool
from probe.wire import release
from probe.wire.release import Flag, Kind, Release, Statement

Source = Callable[[int, int], OsBits | SeededBits]  # of the noise of (table, slot)
Witness = Callable[[int, int, np.ndarray], None]  # (table, slot, tally): only a seeded simulation has one


class Sealer:
    """One edge's seal over its spool.  Every slot of a table is closed once, in rising order.

    tables : statements by number;  axes : 8 bytes, digest of the area set
    """

    def __init__(self, spool: Spool, tables: dict[int, Statement], probe: int, axes: bytes, source: Source,
                 witness: Witness | None = None):
        self._spool, self._tables, self._probe, self._axes = spool, tables, probe, axes
        self._ledger = Ledger({table: stated.rho for table, stated in tables.items()}, spool.charges())
        self._source, self._witness = source, witness

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
        bits, half = self._source(table, slot), stated.tally_units // 2
        noised = tally + bits.noise(len(tally), stated.sigma_p, stated.sigma_d)
        flags = Flag.SEEDED if bits.seeded else Flag(0)
        frame = self._keep(table, slot, Kind.RELEASE, flags, stated, (noised + half) // stated.tally_units, "")
        if self._witness:
            assert bits.seeded, "a tally before noise is for seeded simulations only"
            self._witness(table, slot, tally)
        return frame

    def lose(self, table: int, slot: int, reason: str) -> bytes:
        """Return the frame of the word that a slot has no value and never will."""
        return self._keep(table, slot, Kind.LOST, Flag(0), None, None, reason)

    def _keep(self, table: int, slot: int, *content) -> bytes:
        named = self._probe, self._spool.inc, self._spool.next_seq, table, slot, self._axes
        frame = release.encode(Release(*named, *content))
        self._spool.put(table, slot, frame)
        return frame
