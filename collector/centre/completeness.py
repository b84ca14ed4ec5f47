"""Which releases are due, here or lost.  Missing is never zero: a zero appears only where a release is stored."""

from collections import Counter

from collector.centre.stores import Store, whole
from probe.wire.release import Kind


def account(store: Store) -> dict[str, int]:
    """Return how many releases are due by now (or here), and how many of them are stored or declared lost."""
    found = Counter(due=0, stored=0, lost=0)
    for one in store.registered():
        kinds = {its.slot: its.kind for its in whole(store, one.table) if its.probe == one.probe}
        passed_ms, stored = store.known(one.probe).watermark_ms, [*kinds.values()].count(Kind.RELEASE)
        found["due"] += sum(slot in kinds or one.due_ms(slot) <= passed_ms for slot in one.spans)
        found.update(stored=stored, lost=len(kinds) - stored)
    return found
