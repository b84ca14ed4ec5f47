"""What the operator knows of its subscribers.  Edge only: a 0700 folder outside the run directory."""

from dataclasses import dataclass

import numpy as np

from probe.base.packing import VERSION, WireError, opened, pack, rows_of

MAGIC = "footfall.subscribers"
SUBSCRIBER = np.dtype([
    ("subscriber", "<u8"),  # 15 digits
    ("person", "<u8"),
    ("home", "<u2"),  # home area (row of the area set) or 0xFFFF
    ("country", "<u2"),  # MCC
    ("age", "u1"),  # 18-24, 25-34, 35-44, 45-54, 55-64, 65+, unknown; or MINOR
    ("gender", "u1"),  # women, men, unknown
    ("contract", "u1"),  # 0 private, 1 business, 2 prepaid
    ("consent", "u1"),  # bits of probe.wire.consent
])
MINOR = 0xFF
COUNT_MAX = 1 << 24


@dataclass(frozen=True)
class Subscribers:
    """All subscribers of an edge, sorted by number, and the consent epoch they stand at."""

    epoch: int
    rows: np.ndarray  # SUBSCRIBER[n]


def encode(subscribers: Subscribers) -> bytes:
    """Return the file."""
    rows = subscribers.rows
    assert rows.dtype == SUBSCRIBER
    return pack([MAGIC, VERSION, subscribers.epoch, len(rows), rows.tobytes()])


def decode(data: bytes) -> Subscribers:
    """Return the subscribers of a file, or raise WireError."""
    epoch, count, raw = opened(data, MAGIC, (int, int, bytes), COUNT_MAX * SUBSCRIBER.itemsize + 128)
    rows = rows_of(raw, count, SUBSCRIBER, MAGIC)
    if epoch < 0 or np.any(rows["subscriber"][1:] <= rows["subscriber"][:-1]):
        raise WireError(f"{MAGIC}: epoch {epoch} is negative, or numbers are not in rising order")
    return Subscribers(epoch, rows)
