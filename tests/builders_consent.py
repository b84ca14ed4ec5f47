"""Who may be counted, for tests: epochs signed with one key, and a table that every time is fresh for."""

import numpy as np

from probe.consent import Consent
from probe.wire import epochs
from probe.wire.subscribers import SUBSCRIBER, Subscribers

KEY, EVER_MS, ASKED, ZONE = bytes(range(32)), 1 << 61, ("market_research", "consent"), "Europe/Berlin"


def decision(time_ms, fingerprint, row=None):
    """DECISION[1]: a no, or the yes of a subscriber."""
    found = np.zeros(1, epochs.DECISION)
    found["time_ms"], found["fingerprint"] = time_ms, fingerprint
    found["row"] = np.zeros(1, SUBSCRIBER) if row is None else row
    return found


def an_epoch(number, from_ms, until_ms, *decisions, asked=ASKED, key=KEY, shard=0, shards=1):
    """The frame of an epoch; decisions in any order."""
    rows = np.concatenate([np.zeros(0, epochs.DECISION), *decisions])
    rows = rows[np.argsort(rows["time_ms"], kind="stable")]
    return epochs.encode(epochs.Epoch(number, from_ms, until_ms, *asked, shard, shards, rows), key)


def always(rows, *asked, **shards):
    """The Consent of SUBSCRIBER[n], fresh at all times."""
    asked = asked or ASKED
    found = Consent(Subscribers(0, rows), *asked, KEY, ZONE, **shards)
    found.take(an_epoch(1, 0, EVER_MS, asked=asked, shard=shards.get("shard", 0), shards=shards.get("shards", 1)))
    return found
