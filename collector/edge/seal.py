"""Closing a slot: charge, draw, add, keep.  What leaves this file is noised and durable."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from collector.edge.ledger import Charge, Ledger
from collector.edge.noise import Bits
from collector.edge.spool import Spool
from probe.wire import release
from probe.wire.release import Flag, Kind, Release, Statement

Source = Callable[[int, int], Bits]  # of the noise of (table, slot)
Witness = Callable[[int, int, np.ndarray], None]  # (table, slot, tally): only a seeded simulation has one


class Sealer:
    """One edge's seal over its spool.  Every slot of a table is closed once, in rising order.

    tables : {number: (statement, share of rho)};  axes : 8 bytes, digest of the area set
    """

    def __init__(
        self,
        spool: Spool,
        tables: dict[int, tuple[Statement, Fraction]],
        probe: int,
        axes: bytes,
        source: Source,
        witness: Witness | None = None,
    ):
        self._spool, self._probe, self._axes = spool, probe, axes
        self._statements = {number: statement for number, (statement, _) in tables.items()}
        self._ledger = Ledger({number: share for number, (_, share) in tables.items()}, spool.charges())
        self._source, self._witness = source, witness
        self.closed = spool.last_slots()  # by table

    def recover(self) -> int:
        """Declare lost what a crash left between intent and release; return how many slots."""
        orphans = self._spool.orphans()
        for table, slot in orphans:
            self.lose(table, slot, "crash")
        return len(orphans)

    def close_upto(self, table: int, slot: int) -> None:
        """Close the slots up to one that the store holds: a spool restored from a copy draws none again."""
        self.closed[table] = max(slot, self.closed.get(table, -1))

    def seal(
        self, table: int, slot: int, day: int, tally: np.ndarray, warming: bool = False
    ) -> tuple[int, bytes]:
        """Return (sequence number, frame) of a slot: tally plus noise, then rounded to values.

        tally : i8[rows]  tally units;  day : local date ordinal;  warming : the state of the slot
        """
        assert slot > self.closed.get(table, -1), "a slot is closed once"
        stated = self._statements[table]
        charge = Charge(table, slot, day, stated.slot_rho)
        self._ledger.check(charge)
        self._spool.intend(charge)
        self._ledger.record(charge)
        bits = self._source(table, slot)
        noised = tally + bits.noise(len(tally), stated.sigma_p, stated.sigma_d)
        values = (noised + stated.tally_units // 2) // stated.tally_units
        flags = Flag.SEEDED if bits.seeded else Flag(0)
        stated = replace(stated, warming=warming)
        kept = self._keep(table, slot, Kind.RELEASE, flags, statement=stated, values=values)
        if self._witness:
            assert bits.seeded, "a tally before noise is for seeded simulations only"
            self._witness(table, slot, tally)
        return kept

    def lose(self, table: int, slot: int, reason: str) -> tuple[int, bytes]:
        """Return (sequence number, frame) of the word that a slot has no value and never will."""
        return self._keep(table, slot, Kind.LOST, Flag(0), reason=reason)

    def _keep(self, table: int, slot: int, kind: Kind, flags: Flag, **content) -> tuple[int, bytes]:
        seq = self._spool.next_seq
        head = (self._probe, self._spool.inc, seq, table, slot, self._axes, kind, flags)
        frame = release.encode(Release(*head, **content))
        self._spool.put(seq, table, slot, frame)
        self.close_upto(table, slot)
        return seq, frame
