"""Signalling as the tap hears it, with identity.  Never imported behind the probe.

One event is 48 packed little-endian bytes, the same in memory and on the wire.  A batch is
one frame: a msgpack list of header fields, the last one the raw rows.
"""

from enum import IntEnum

import numpy as np

from probe.base.packing import HEARD, VERSION, Batch, opened, pack, require, rows_of

EVENT = np.dtype([("time_ms", "<i8"), ("subscriber", "<u8"), *HEARD])  # UTC; 15 digits
MAGIC, COUNT_MAX, FRAME_MAX = "footfall.events", 1 << 18, (48 << 18) + 128  # rows of a batch, bytes of its frame
NO_CELL, NO_TA, NO_RSRP, NO_PCI, NO_AOA = 0xFFFFFFFF, 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
RSRP_CODE_MAX, TA_MAX, REFUSES = 97, 1282, 1  # REFUSES: the bit of flags by which a connection may not be counted
# What the handset and the network said to each other.
Kind = IntEnum("Kind", "ATTACH DETACH TAU TAU_PERIODIC SERVICE_REQUEST PAGING_RESPONSE RELEASE HANDOVER "
                       "REESTABLISHMENT REPORT CALL SMS")

def encode(batch: Batch) -> bytes:
    """Return the frame of a batch of EVENT[n]."""
    digest, watermark_ms, shard, rows = batch
    return pack([MAGIC, VERSION, digest, watermark_ms, len(rows), shard, rows.tobytes()])


def decode(frame: bytes) -> Batch:
    """Return the batch in a frame, or raise WireError.  What its rows say is checked by the tap, one by one."""
    digest, watermark_ms, count, shard, raw = opened(frame, MAGIC, (bytes, int, int, int, bytes), FRAME_MAX)
    require(len(digest) == 8 and 0 <= shard < 64 and 0 <= watermark_ms < 1 << 62 and count <= COUNT_MAX,
            f"{MAGIC}: digest, shard, watermark or count out of range")
    return Batch(digest, watermark_ms, shard, rows_of(raw, count, EVENT, MAGIC))
