"""The noise of a release: exact draws, from the operating system or, in a seeded run, by name."""

import hashlib
import os
from collections.abc import Callable

import numpy as np

from collector.edge.kernels import gaussian

# BLOCKS of 32 bytes, for a cell of a seeded run; doubled for the few that need more.
DOMAIN, BULK_BYTES, BLOCKS = b"footfall release noise 1", 1 << 16, 8


def drawn(count: int, p: int, d: int, source: Callable[[int], bytes] = os.urandom,
          bulk_bytes: int = BULK_BYTES) -> np.ndarray:
    """Return i8[count] draws for sigma = p/d, with bits of the operating system, in bulk.

    A draw that the pool's end cuts is repeated on the extended pool; what was used is overwritten, none kept or told.
    """
    noise, at, cell, pool = np.zeros(count, np.int64), np.zeros(2, np.int64), 0, np.empty(0, np.uint8)
    while (cell := gaussian.fill(noise, cell, p, d, pool, at)) < count:
        pool[:], at[0], pool = 0, 0, np.concatenate([pool[at[0] :], np.frombuffer(source(bulk_bytes), np.uint8)])
    pool[:] = 0
    return noise


def named(seed: int, table: int, slot: int, count: int, p: int, d: int) -> np.ndarray:
    """Return i8[count] draws for sigma = p/d, with bits named by (seed, table, slot, cell).

    They are the same whatever else is drawn, in any order: that of a cell depends on its own number alone.
    """
    name = DOMAIN + b"".join(part.to_bytes(8, "little") for part in (seed, table, slot))
    key = np.frombuffer(hashlib.sha256(name).digest(), "<u8").astype(np.uint64)
    noise, cell, blocks = np.zeros(count, np.int64), 0, BLOCKS
    while (cell := gaussian.fill_by_name(noise, cell, p, d, key, np.zeros(4 * blocks, np.uint64))) < count:
        blocks *= 2
    return noise
