"""Plugins: where releases are kept.  What every store must offer stands here; check.py tests it."""

from collections import namedtuple
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Protocol

from probe.base import clock
from probe.base.packing import WireError
from probe.wire.envelope import Beat
from probe.wire.release import Release, decode


class Registered(namedtuple("Registered", "probe table name span value_unit slot_s first_slot until_slot lateness_s "
                                          "zone axes_digest axes hits")):
    """One table of one probe: what is expected, and what its cells mean.

    span, slot_s : what it is counted over, of clock.SPAN_S; the grid that slots are numbered on
    first_slot, until_slot : those of the run, on this grid; until is exclusive
    axes : [[name, [[id, name], ...]], ...]; cells lie in C order over them;  axes_digest : 8 bytes
    hits : by area, the share of a fix's weight that lies in it when one stands in it, as the edge believes; or []
    """

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """Return (begin_ms, end_ms) of every slot expected, in order: of every span that lies wholly inside the run."""
        slot_ms = self.slot_s * clock.SECOND_MS
        run_ms = self.first_slot * slot_ms, self.until_slot * slot_ms
        return {span[0] // slot_ms: span for span in clock.spans(self.span, *run_ms, self.zone, slot_ms)}

    def due_ms(self, slot: int) -> int:
        """Return the watermark at which a slot is due."""
        return self.spans[slot][1] + self.lateness_s * clock.SECOND_MS

    @property
    def averaged(self) -> bool:
        """Return whether its values are times, of which the mean number of persons is told; counts are added up."""
        return self.value_unit == "person-seconds"

    @property
    def shape(self) -> list[int]:
        """Return how many rows each axis has."""
        return [len(rows) for _, rows in self.axes]


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


class Known(namedtuple("Known", "inc watermark_ms last_slots epochs frozen")):
    """What a store knows of a probe.

    inc    : bytes, b"" = never heard of;  watermark_ms : int;  last_slots : {table: slot}
    epochs : {table: (slot, consent epoch)} of the last release that is whole: no later slot may state a lower one
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
    """Return the stored releases of a table; a frame that no longer is what was sealed counts as not stored."""
    return readable(store.frames(table))


def readable(frames: Iterable[bytes]) -> Iterator[Release]:
    """Yield the releases in frames, but for those that are damaged."""
    for frame in frames:
        with suppress(WireError):
            yield decode(frame)
