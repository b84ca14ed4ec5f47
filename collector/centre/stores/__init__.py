"""Plugins: where releases are kept.  What every store must offer stands here; check.py tests it."""

from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple, Protocol

from probe.base.packing import WireError
from probe.wire.envelope import Beat
from probe.wire.release import Release, decode


class Registered(namedtuple("Registered", "probe table name slot_s first_slot until_slot lateness_s zone axes areas")):
    """One table of one probe: what is expected, and what its rows mean.

    name, zone : str;  axes : 8 bytes;  areas : (id, name) by row, elsewhere last;  the others : int
    until_slot : exclusive
    """

    def due_ms(self, slot: int) -> int:
        """Return the watermark at which a slot is due."""
        return ((slot + 1) * self.slot_s + self.lateness_s) * 1_000


class Offered(NamedTuple("Offered", [("release", Release), ("frame", bytes)])):
    """A release that intake found in order."""


class Refused(NamedTuple("Refused", [("probe", int), ("why", str), ("frame", bytes)])):
    """Bytes that were not taken; their head is kept for a person to look at."""


class Beaten(NamedTuple("Beaten", [("probe", int), ("inc", bytes), ("beat", Beat)])):
    """A probe's word of how far event time has come."""


Entry = Offered | Refused | Beaten
# What became of an entry.  DUPLICATE: the same bytes again; CONFLICT: other bytes under a name that is taken.
Verdict = StrEnum("Verdict", {"STORED": "stored", "DUPLICATE": "duplicates", "CONFLICT": "conflicts",
                              "QUARANTINED": "quarantined", "NOTED": "beats"})


class Known(namedtuple("Known", "inc watermark_ms last_slots frozen")):
    """What a store knows of a probe.

    inc    : bytes, b"" = never heard of;  watermark_ms : int;  last_slots : {table: slot}
    frozen : bool, a conflict stands, until a person has looked
    """


class Store(Protocol):
    """The record: insert only.  When write returns, its entries are durable, all or none."""

    def register(self, expected: list[Registered]) -> None:
        """Say what is expected; what is registered already stays."""

    def registered(self) -> list[Registered]:
        """Return what is expected, by probe and table."""

    def known(self, probe: int) -> Known:
        """Return what was ever stored of a probe."""

    def write(self, entries: list[Entry]) -> list[Verdict]:
        """Return what became of each entry, in order."""

    def frames(self, table: int) -> Iterator[bytes]:
        """Yield the stored frames of a table, by slot and probe."""

    def close(self) -> None:
        """Leave the record whole."""


def whole(store: Store, table: int) -> Iterator[Release]:
    """Yield the stored releases of a table; a frame that no longer is what was sealed counts as not stored."""
    for frame in store.frames(table):
        with suppress(WireError):
            yield decode(frame)
