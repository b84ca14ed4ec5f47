"""Who may be counted: a table of those who may, and of nobody else.  Not in it = refused."""

import numpy as np

from probe.base.jit import kernel
from probe.base.streams import mix64
from probe.wire.cells import COUNTRIES, HOME_ABROAD
from probe.wire.consent import countable
from probe.wire.observations import NO_HOME
from probe.wire.subscribers import MINOR, Subscribers

LOAD, UNKNOWN_AGE, UNKNOWN_GENDER, KNOWN = 0.8, 6, 2, np.array([mcc for mcc, _ in COUNTRIES])
COUNTED = np.dtype([("subscriber", "u8"), ("person", "u8"), ("home", "u2"), ("klass", "u1"), ("weekly", "u1")],
                   align=True)


def counted(subscribers: Subscribers, purpose: str, basis: str, shard=0, shards=1, weekly=False) -> np.ndarray:
    """Return COUNTED[2^k]: an open-addressing table of the subscribers of a shard who may be counted.

    Minors, objections, absent and conflicting answers are no (probe.wire.consent).  An
    entry with subscriber 0 is empty; at least one in five is.  Over a week (weekly) only
    those are followed who said yes, whatever the basis.  The home of a guest is a country.
    """
    rows = subscribers.rows.copy()
    asked = rows["consent"], rows["age"] == MINOR, rows["person"], purpose
    ours = countable(*asked, basis) & of_shard(np.ascontiguousarray(rows["person"]), shard, shards)
    table, agreed = np.zeros(1 << int(ours.sum() / LOAD).bit_length(), COUNTED), countable(*asked, "consent") & weekly
    abroad = np.argmax(np.append(rows["country"][:, None] == KNOWN[:-1], np.ones((len(rows), 1), "?"), axis=1), axis=1)
    guest = (rows["home"] == NO_HOME) & (rows["country"] > 0)
    rows["home"][guest] = HOME_ABROAD + abroad[guest]
    fill(rows[ours], agreed[ours], table)
    return table


@kernel
def of_shard(person, shard, shards):
    """Return bool[n]: which of u8[n] persons belong to a shard; shards divides 64."""
    return np.array([mix64(one) % np.uint64(shards) == np.uint64(shard) for one in person])


@kernel
def fill(rows, weekly, table):
    """Put SUBSCRIBER[n] with distinct numbers into an empty table; weekly is bool[n]."""
    for i, one in enumerate(rows):
        entry = table[find(one.subscriber, table, start(one.subscriber, table))]
        entry.subscriber, entry.person, entry.home, entry.weekly = one.subscriber, one.person, one.home, weekly[i]
        entry.klass = min(one.age, UNKNOWN_AGE) * (UNKNOWN_GENDER + 1) + min(one.gender, UNKNOWN_GENDER)


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
