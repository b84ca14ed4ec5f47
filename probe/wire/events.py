"""Signalling as the tap hears it, with identity.  Never imported behind the probe.

One event is 48 packed little-endian bytes, the same in memory and on the wire.
A batch is one frame: a msgpack list of header fields, the last one the raw rows.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from probe.base.packing import WireError, pack, unpack

VERSION = 1
MAGIC = "footfall.events"
COUNT_MAX = 1 << 18

EVENT = np.dtype(
    [
        ("time_ms", "<i8"),  # UTC
        ("subscriber", "<u8"),  # 15 digits
        ("cell", "<u4"),  # row of the plan
        ("kind", "u1"),
        ("flags", "u1"),
        ("ta", "<u2"),  # timing advance, steps of 78.07 m one way
        ("rsrp", "u1", (8,)),  # serving + 7, TS 36.133 code: dBm = code - 140.5
        ("neighbour_pci", "<u2", (7,)),
        ("aoa", "<u2"),  # half degrees
    ]
)
NO_CELL = 0xFFFFFFFF
NO_TA = 0xFFFF
NO_RSRP = 0xFF
NO_PCI = 0xFFFF
NO_AOA = 0xFFFF
RSRP_CODE_MAX = 97
TA_MAX = 1282


class Kind(IntEnum):
    """What the handset and the network said to each other."""

    ATTACH = 1
    DETACH = 2
    TAU = 3
    TAU_PERIODIC = 4
    SERVICE_REQUEST = 5
    PAGING_RESPONSE = 6
    RELEASE = 7
    HANDOVER = 8
    REESTABLISHMENT = 9
    REPORT = 10
    CALL = 11
    SMS = 12


@dataclass(frozen=True)
class Batch:
    """Rows of one shard; no later frame of it holds an event before watermark_ms."""

    plan_digest: bytes  # 8 bytes
    watermark_ms: int
    shard: int
    events: np.ndarray  # EVENT[n]


def encode(batch: Batch) -> bytes:
    """Return one frame."""
    assert batch.events.dtype == EVENT and len(batch.events) <= COUNT_MAX
    return pack(
        [
            MAGIC,
            VERSION,
            batch.plan_digest,
            batch.watermark_ms,
            len(batch.events),
            batch.shard,
            batch.events.tobytes(),
        ]
    )


FIELDS = (str, int, bytes, int, int, int, bytes)


def decode(frame: bytes) -> Batch:
    """Return the batch in a frame, or raise WireError.  Rows are checked by the tap, one by one."""
    limit = COUNT_MAX * EVENT.itemsize + 128
    magic, version, digest, watermark_ms, count, shard, rows = unpack(frame, FIELDS, "event batch", limit)
    if magic != MAGIC or version != VERSION:
        raise WireError(f"event batch: {magic} version {version}, expected {MAGIC} version {VERSION}")
    if len(digest) != 8 or not 0 <= shard < 64 or not 0 <= watermark_ms < 1 << 62:
        raise WireError("event batch: digest, shard or watermark out of range")
    if not 0 <= count <= COUNT_MAX or len(rows) != count * EVENT.itemsize:
        raise WireError(f"event batch: {count} events declared, {len(rows)} bytes of rows")
    return Batch(digest, watermark_ms, shard, np.frombuffer(rows, EVENT))
