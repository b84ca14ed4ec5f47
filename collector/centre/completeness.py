"""Which releases are due, here or lost.  Missing is never zero: a zero appears only with STORED."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from collector.centre.stores import Registered, Store, whole
from probe.wire.release import Kind

# The state of one expected release.  DUE: its time has come, and it is not here.
Cell = StrEnum("Cell", "STORED LOST DUE NOT_DUE")


def completeness(expected: Registered, kinds: Mapping[int, Kind], watermark_ms: int) -> dict[int, Cell]:
    """Return the state of every slot expected of a probe's table: by what is stored, and its watermark."""
    return {slot: (Cell.STORED if kinds[slot] == Kind.RELEASE else Cell.LOST) if slot in kinds else
            Cell.DUE if expected.due_ms(slot) <= watermark_ms else Cell.NOT_DUE
            for slot in expected.spans}


def account(store: Store) -> dict[str, int]:
    """Return how many releases are due by now, and how many of them are stored or declared lost."""
    cells = Counter[Cell]()
    for one in store.registered():
        kinds = {its.slot: its.kind for its in whole(store, one.table) if its.probe == one.probe}
        cells.update(completeness(one, kinds, store.known(one.probe).watermark_ms).values())
    return {"due": cells.total() - cells[Cell.NOT_DUE], "stored": cells[Cell.STORED], "lost": cells[Cell.LOST]}
