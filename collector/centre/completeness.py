"""Which releases are due, here or lost.  Missing is never zero: a zero appears only with STORED."""

from collections.abc import Mapping
from enum import StrEnum

from collector.centre.stores import Registered
from probe.wire.release import Kind


class Cell(StrEnum):
    """The state of one expected release."""

    STORED = "stored"
    LOST = "lost"
    DUE = "due"  # its time has come, and it is not here
    NOT_DUE = "not due"


def state_of(expected: Registered, slot: int, kinds: Mapping[int, Kind], watermark_ms: int) -> Cell:
    """Return the state of a slot by what is stored of its table (kind by slot) and the probe's watermark."""
    if slot in kinds:
        return Cell.STORED if kinds[slot] == Kind.RELEASE else Cell.LOST
    due_ms = ((slot + 1) * expected.slot_s + expected.lateness_s) * 1_000
    return Cell.DUE if due_ms <= watermark_ms else Cell.NOT_DUE


def completeness(expected: Registered, kinds: Mapping[int, Kind], watermark_ms: int) -> dict[int, Cell]:
    """Return the state of every slot that is expected of a table of a probe."""
    slots = range(expected.first_slot, expected.until_slot)
    return {slot: state_of(expected, slot, kinds, watermark_ms) for slot in slots}
