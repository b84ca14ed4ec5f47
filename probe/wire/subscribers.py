"""What the operator knows of its subscribers.  Edge only: a 0700 folder outside the run directory."""

from dataclasses import dataclass

import numpy as np

from probe.base.packing import WireError, pack, unpack

VERSION = 1
MAGIC = "footfall.subscribers"
SUBSCRIBER = np.dtype(
    [
        ("subscriber", "<u8"),  # 15 digits
        ("person", "<u8"),
        ("home", "<u2"),  # home area (row of the area set) or 0xFFFF
        ("country", "<u2"),  # MCC
        ("age", "u1"),  # row of AGE_BANDS, or MINOR
        ("gender", "u1"),  # row of GENDERS
        ("contract", "u1"),  # 0 private, 1 business, 2 prepaid
        ("consent", "u1"),  # bits of probe.wire.consent
    ]
)
MINOR = 0xFF
COUNT_MAX = 1 << 24


@dataclass(frozen=True)
class Subscribers:
    """All subscribers of an edge, sorted by number, and the consent epoch they stand at."""

    epoch: int
    rows: np.ndarray  # SUBSCRIBER[n]


FIELDS = (str, int, int, int, bytes)


def encode(subscribers: Subscribers) -> bytes:
    """Return the file."""
    rows = subscribers.rows
    assert rows.dtype == SUBSCRIBER
    return pack([MAGIC, VERSION, subscribers.epoch, len(rows), rows.tobytes()])


def decode(data: bytes) -> Subscribers:
    """Return the subscribers of a file, or raise WireError."""
    limit = COUNT_MAX * SUBSCRIBER.itemsize + 128
    magic, version, epoch, count, raw = unpack(data, FIELDS, "subscribers", limit)
    if magic != MAGIC or version != VERSION or epoch < 0:
        raise WireError(f"subscribers: {magic} version {version}, expected {MAGIC} version {VERSION}")
    if count != len(raw) // SUBSCRIBER.itemsize or len(raw) % SUBSCRIBER.itemsize:
        raise WireError(f"subscribers: {count} declared, {len(raw)} bytes")
    rows = np.frombuffer(raw, SUBSCRIBER)
    if np.any(rows["subscriber"][1:] <= rows["subscriber"][:-1]):
        raise WireError("subscribers: numbers are not in rising order")
    return Subscribers(epoch, rows)
