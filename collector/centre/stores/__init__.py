"""Plugins: where releases are kept.  What every store must offer stands here, check.py tests it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from probe.wire.envelope import Beat
from probe.wire.release import Release


@dataclass(frozen=True)
class Registered:
    """One table of one probe: what is expected, and what its rows mean."""

    probe: int
    table: int
    name: str
    slot_s: int
    first_slot: int
    until_slot: int  # exclusive
    lateness_s: int
    zone: str
    axes: bytes  # 8 bytes
    areas: tuple[tuple[str, str], ...]  # (id, name) by row, elsewhere last


@dataclass(frozen=True)
class Offered:
    """A release that intake found in order."""

    release: Release
    frame: bytes


@dataclass(frozen=True)
class Refused:
    """Bytes that were not taken; their head is kept for a person to look at."""

    probe: int
    why: str
    frame: bytes


@dataclass(frozen=True)
class Beaten:
    """A probe's word of how far event time has come."""

    probe: int
    inc: bytes
    beat: Beat


Entry = Offered | Refused | Beaten


class Verdict(Enum):
    """What became of an entry."""

    STORED = 1
    DUPLICATE = 2  # the same bytes again
    CONFLICT = 3  # other bytes under a name that is taken
    NOTED = 4


@dataclass(frozen=True)
class Known:
    """What a store knows of a probe."""

    inc: bytes  # b"" = never heard of
    watermark_ms: int
    last_slots: dict[int, int]  # by table
    frozen: bool  # a conflict stands, until a person has looked


class Store(Protocol):
    """The record: insert only.  When write returns, its entries are durable, all or none."""

    def register(self, rows: Iterable[Registered]) -> None:
        """Say what is expected; what is registered already stays."""
        ...

    def registered(self) -> list[Registered]:
        """Return what is expected."""
        ...

    def known(self, probe: int) -> Known:
        """Return what was ever stored of a probe."""
        ...

    def write(self, entries: list[Entry]) -> list[Verdict]:
        """Return what became of each entry, in order."""
        ...

    def frames(self, table: int, first_slot: int, until_slot: int) -> Iterator[bytes]:
        """Yield the stored frames of a table's slots, by slot and probe."""
        ...

    def quarantined(self) -> int:
        """Return how many entries were refused or in conflict."""
        ...

    def close(self) -> None:
        """Leave the record whole."""
        ...
