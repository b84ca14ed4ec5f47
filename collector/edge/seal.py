"""Closing a slot: charge, draw, add, keep.  What leaves this file is noised and durable."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collector.edge.ledger import Charge, Ledger, PrivacySettings, Terms
from collector.edge.noise import Bits
from collector.edge.spool import Spool
from probe.wire import release
from probe.wire.release import Flag, Kind, Release, Statement

Witness = Callable[[int, int, np.ndarray], None]  # (table, slot, tally): only a seeded simulation has one


@dataclass(frozen=True)
class Deployment:
    """What every release of an edge says the same."""

    probe: int
    axes: bytes  # 8 bytes: digest of the area set
    consent_epoch: int
    seeded: bool


class Sealer:
    """One edge's seal over its spool.  Every slot of a table is closed once, in rising order."""

    def __init__(
        self,
        spool: Spool,
        tables: dict[int, Terms],
        privacy: PrivacySettings,
        deployment: Deployment,
        bits_of: Callable[[int, int], Bits],
        witness: Witness | None = None,
    ):
        assert deployment.seeded or witness is None, "a tally before noise is for seeded simulations only"
        self._spool, self._tables, self._privacy, self._deployment = spool, tables, privacy, deployment
        self._bits_of, self._witness = bits_of, witness
        self._ledger = Ledger(tables.values(), spool.charges())
        self._closed = spool.last_slots()

    def recover(self) -> int:
        """Declare lost what a crash left between intent and release; return how many slots."""
        orphans = self._spool.orphans()
        for table, slot in orphans:
            self.lose(table, slot, "crash")
        return len(orphans)

    def close_upto(self, table: int, slot: int) -> None:
        """Close every slot up to one that the store holds: a spool restored from a copy draws none again."""
        self._closed[table] = max(slot, self._closed.get(table, -1))

    def last_slots(self) -> list[tuple[int, int]]:
        """Return (table, last slot that is closed), by table."""
        return sorted(self._closed.items())

    def closed(self, table: int, slot: int) -> bool:
        """Return whether nothing may be sealed for a slot any more."""
        return slot <= self._closed.get(table, -1)

    def seal(self, table: int, slot: int, day: int, tally: np.ndarray, warming: bool) -> tuple[int, bytes]:
        """Return (sequence number, frame) of a slot: tally plus noise, rounded to values.

        tally : i8[rows]  tally units;  day : local date ordinal;  warming : the state of the slot
        """
        assert not self.closed(table, slot), "a slot is closed once"
        terms = self._tables[table]
        charge = Charge(table, slot, day, terms.slot_rho)
        self._ledger.check(charge)
        self._spool.intend(charge)
        self._ledger.record(charge)
        bits = self._bits_of(table, slot)
        assert bits.seeded == self._deployment.seeded
        noised = tally + bits.noise(len(tally), terms.sigma_p, terms.sigma_d)
        values = (noised + terms.tally_units // 2) // terms.tally_units
        kept = self._keep(table, slot, Kind.RELEASE, statement=self._statement(terms, warming), values=values)
        if self._witness:
            self._witness(table, slot, tally)
        return kept

    def lose(self, table: int, slot: int, reason: str) -> tuple[int, bytes]:
        """Return (sequence number, frame) of the word that a slot has no value and never will."""
        return self._keep(table, slot, Kind.LOST, reason=reason)

    def void(self, table: int, slot: int) -> tuple[int, bytes]:
        """Return (sequence number, frame) of the word that the sealed bytes of a slot are damaged."""
        return self._keep(table, slot, Kind.VOID, reason="corrupt")

    def _keep(self, table: int, slot: int, kind: Kind, **content) -> tuple[int, bytes]:
        one = self._deployment
        flags = Flag.SEEDED if one.seeded else Flag(0)

        def frame_of(seq: int) -> bytes:
            head = (one.probe, self._spool.inc, seq, table, slot, one.axes, kind, flags)
            return release.encode(Release(*head, **content))

        kept = self._spool.put(table, slot, kind, frame_of)
        self.close_upto(table, slot)
        return kept

    def _statement(self, terms: Terms, warming: bool) -> Statement:
        return Statement(
            table=terms.name,
            axes="area",
            value_unit="person-seconds",
            tally_units=terms.tally_units,
            slot_s=terms.slot_s,
            slots_a_day=terms.slots_a_day,
            bound=terms.bound,
            sigma_p=terms.sigma_p,
            sigma_d=terms.sigma_d,
            rho=terms.day_rho,
            basis=self._privacy.basis,
            purpose=self._privacy.purpose,
            consent_epoch=self._deployment.consent_epoch,
            warming=warming,
        )
