"""Signalling behind the probe: who it was is gone, a day's pseudonym and a class remain.

One observation is 51 packed little-endian bytes; batches as in `events`.
"""

from dataclasses import dataclass

import numpy as np

from probe.base.packing import WireError, pack, unpack

VERSION = 1
MAGIC = "footfall.observations"
COUNT_MAX = 1 << 18

OBSERVATION = np.dtype(
    [
        ("time_ms", "<i8"),
        ("pseudonym", "<u8"),  # of the person, under the key of the local day
        ("cell", "<u4"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("ta", "<u2"),
        ("rsrp", "u1", (8,)),
        ("neighbour_pci", "<u2", (7,)),
        ("aoa", "<u2"),
        ("home", "<u2"),  # home area or country, 0xFFFF = unknown
        ("klass", "u1"),  # age band * 3 + gender
    ]
)
NO_CELL, NO_TA, NO_RSRP, NO_PCI, NO_HOME = 0xFFFFFFFF, 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+", "unknown")
GENDERS = ("women", "men", "unknown")
DETACH = 2  # the one kind that ends presence


@dataclass(frozen=True)
class Batch:
    """Rows of one shard; no later one is older than watermark_ms."""

    plan_digest: bytes
    watermark_ms: int
    shard: int
    observations: np.ndarray  # OBSERVATION[n]


FIELDS = (str, int, bytes, int, int, int, bytes)


def encode(batch: Batch) -> bytes:
    """Return one frame."""
    rows = batch.observations
    assert rows.dtype == OBSERVATION and len(rows) <= COUNT_MAX
    return pack(
        [MAGIC, VERSION, batch.plan_digest, batch.watermark_ms, len(rows), batch.shard, rows.tobytes()]
    )


def decode(frame: bytes) -> Batch:
    """Return the batch in a frame, or raise WireError."""
    limit = COUNT_MAX * OBSERVATION.itemsize + 128
    magic, version, digest, watermark_ms, count, shard, rows = unpack(
        frame, FIELDS, "observation batch", limit
    )
    if magic != MAGIC or version != VERSION:
        raise WireError(f"observation batch: {magic} version {version}, expected {MAGIC} version {VERSION}")
    if len(digest) != 8 or not 0 <= shard < 64 or not 0 <= watermark_ms < 1 << 62:
        raise WireError("observation batch: digest, shard or watermark out of range")
    if not 0 <= count <= COUNT_MAX or len(rows) != count * OBSERVATION.itemsize:
        raise WireError(f"observation batch: {count} rows declared, {len(rows)} bytes")
    return Batch(digest, watermark_ms, shard, np.frombuffer(rows, OBSERVATION))
