"""Which releases are due, here or lost.  Missing is never zero: a zero appears only with STORED."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from collector.centre.stores import Registered, Store
from probe.wire.release import Kind


class Cell(StrEnum):
    """The state of one expected release."""

    STORED = "stored"
    LOST = "lost"
    DUE = "due"  # its time has come, and it is not here
    NOT_DUE = "not_due"


def completeness(expected: Registered, kinds: Mapping[int, Kind], watermark_ms: int) -> dict[int, Cell]:
    """Return the state of every slot expected of a probe's table: by what is stored, and its watermark."""
    found = {}
    for slot in range(expected.first_slot, expected.until_slot):
        if slot in kinds:
            found[slot] = Cell.STORED if kinds[slot] == Kind.RELEASE else Cell.LOST
        else:
            found[slot] = Cell.DUE if expected.due_ms(slot) <= watermark_ms else Cell.NOT_DUE
    return found


def account(store: Store) -> dict[str, int]:
    """Return how many releases are due by now, and how many of them are stored or declared lost."""
    cells: Counter[Cell] = Counter()
    for one in store.registered():
        kinds, known = store.kinds(one.probe, one.table), store.known(one.probe)
        cells.update(completeness(one, kinds, known.watermark_ms).values())
    stored, lost = cells[Cell.STORED], cells[Cell.LOST]
    return {"due": stored + lost + cells[Cell.DUE], "stored": stored, "lost": lost}
