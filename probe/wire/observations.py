"""Signalling behind the probe: who it was is gone, a day's pseudonym and a class remain.

One observation is 51 packed little-endian bytes; batches as in `events`.
"""

import numpy as np

from probe.base.packing import HEARD, Batch, decode_batch, encode_batch

MAGIC = "footfall.observations"
OBSERVATION = np.dtype([
    ("time_ms", "<i8"),
    ("pseudonym", "<u8"),  # of the person, under the key of the local day
    *HEARD,
    ("home", "<u2"),  # home area or country, NO_HOME = unknown
    ("klass", "u1"),  # age band * 3 + gender
])
NO_CELL, NO_TA, NO_RSRP, NO_PCI, NO_HOME = 0xFFFFFFFF, 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
DETACH = 2  # the one kind that ends presence


def encode(batch: Batch) -> bytes:
    """Return the frame of a batch of OBSERVATION[n]."""
    return encode_batch(batch, MAGIC, OBSERVATION)


def decode(frame: bytes) -> Batch:
    """Return the batch in a frame, or raise WireError."""
    return decode_batch(frame, MAGIC, OBSERVATION)
