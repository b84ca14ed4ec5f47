"""Who may be counted: a table of those who may, and of nobody else.  Not in it = refused."""

import numpy as np

from probe.base.jit import kernel
from probe.base.streams import mix64
from probe.wire.consent import countable
from probe.wire.subscribers import MINOR, Subscribers

UNKNOWN_AGE, GENDER_COUNT = 6, 3
COUNTED = np.dtype(
    [("subscriber", "<u8"), ("person", "<u8"), ("home", "<u2"), ("klass", "u1"), ("pad", "u1", (5,))]
)


def counted(subscribers: Subscribers, purpose: str, basis: str) -> np.ndarray:
    """Return COUNTED[2^k]: an open-addressing table of the subscribers who may be counted.

    Minors, objections, absent and conflicting answers are no (probe.wire.consent).  An
    entry with subscriber 0 is empty; at least half are.
    """
    rows = subscribers.rows
    rows = rows[countable(rows["consent"], rows["age"] == MINOR, purpose, basis)]
    entries = np.empty(len(rows), COUNTED)
    for name in ("subscriber", "person", "home"):
        entries[name] = rows[name]
    entries["klass"] = np.minimum(rows["age"], UNKNOWN_AGE) * GENDER_COUNT
    entries["klass"] += np.minimum(rows["gender"], GENDER_COUNT - 1)
    table = np.zeros(1 << int(2 * len(rows)).bit_length(), COUNTED)
    fill(entries, table)
    return table


@kernel
def fill(entries, table):
    """Put COUNTED[n] entries with distinct subscribers into an empty table."""
    for row in range(len(entries)):
        subscriber = entries[row].subscriber
        table[find(subscriber, table, start(subscriber, table))] = entries[row]


@kernel
def start(subscriber, table):
    """Return where the search for a subscriber begins."""
    return np.int64(mix64(subscriber) & np.uint64(len(table) - 1))


@kernel
def find(subscriber, table, at):
    """Return the entry of a subscriber, or the empty one that ends the search from `at`."""
    while table[at].subscriber != subscriber and table[at].subscriber != 0:
        at = (at + 1) & (len(table) - 1)
    return at
