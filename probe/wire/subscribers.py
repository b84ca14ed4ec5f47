"""What the operator knows of its subscribers.  Edge only: a 0700 folder outside the run directory."""

from typing import NamedTuple

import numpy as np

from probe.base.packing import VERSION, opened, pack, require, rows_of

MAGIC, MINOR, COUNT_MAX = "footfall.subscribers", 0xFF, 1 << 24
# subscriber, person : a number of 15 digits, and whose it is
# home, country      : home area (row of the area set) or 0xFFFF; MCC
# age, gender        : 18-24, 25-34, 35-44, 45-54, 55-64, 65+, unknown, or MINOR; women, men, unknown
# contract, consent  : 0 private, 1 business, 2 prepaid; bits of probe.wire.consent
SUBSCRIBER = np.dtype([("subscriber", "<u8"), ("person", "<u8"), ("home", "<u2"), ("country", "<u2"), ("age", "u1"),
                       ("gender", "u1"), ("contract", "u1"), ("consent", "u1")])


class Subscribers(NamedTuple("Subscribers", [("epoch", int), ("rows", np.ndarray)])):
    """All SUBSCRIBER[n] of an edge, sorted by number, and the consent epoch they stand at."""


def encode(subscribers: Subscribers) -> bytes:
    """Return the file."""
    epoch, rows = subscribers
    return pack([MAGIC, VERSION, epoch, len(rows), rows.astype(SUBSCRIBER).tobytes()])


def decode(data: bytes) -> Subscribers:
    """Return the subscribers of a file, or raise WireError."""
    epoch, count, raw = opened(data, MAGIC, (int, int, bytes), COUNT_MAX * SUBSCRIBER.itemsize + 128)
    rows = rows_of(raw, count, SUBSCRIBER, MAGIC)
    rising = bool(np.all(rows["subscriber"][1:] > rows["subscriber"][:-1]))
    require(epoch >= 0 and rising, f"{MAGIC}: epoch {epoch} is negative, or numbers are not in rising order")
    return Subscribers(epoch, rows)
