"""The noise of a release: exact draws, from the operating system or, in a seeded run, by name."""

import hashlib
import os
from collections.abc import Callable

import numpy as np

from collector.edge.kernels import gaussian

DOMAIN = b"footfall release noise 1"
BULK_BYTES = 1 << 16
BLOCKS = 8  # of 32 bytes, for a cell of a seeded run; doubled for the few that need more


class OsBits:
    """Bits of the operating system, in bulk; the pool is overwritten after the draw, none is kept or told."""

    seeded = False

    def __init__(self, source: Callable[[int], bytes] = os.urandom, bulk_bytes: int = BULK_BYTES):
        self._source, self._bulk_bytes = source, bulk_bytes

    def noise(self, count: int, p: int, d: int) -> np.ndarray:
        """Return i8[count] draws for sigma = p/d; one that the pool's end cuts is repeated on the extended pool."""
        noise, at, cell, pool = np.zeros(count, np.int64), np.zeros(2, np.int64), 0, np.empty(0, np.uint8)
        while (cell := gaussian.fill(noise, cell, p, d, pool, at)) < count:
            longer = np.concatenate([pool[at[0] :], np.frombuffer(self._source(self._bulk_bytes), np.uint8)])
            pool[:], at[0] = 0, 0
            pool = longer
        pool[:] = 0
        return noise


class SeededBits:
    """Bits named by (seed, table, slot, cell): the same whatever else is drawn, in any order."""

    seeded = True

    def __init__(self, seed: int, table: int, slot: int):
        name = b"".join(part.to_bytes(8, "little") for part in (seed, table, slot))
        self._key = np.frombuffer(hashlib.sha256(DOMAIN + name).digest(), "<u8").astype(np.uint64)

    def noise(self, count: int, p: int, d: int) -> np.ndarray:
        """Return i8[count] draws for sigma = p/d; that of a cell depends on its own number alone."""
        noise, cell, blocks = np.zeros(count, np.int64), 0, BLOCKS
        while (cell := gaussian.fill_by_name(noise, cell, p, d, self._key, np.zeros(4 * blocks, np.uint64))) < count:
            blocks *= 2
        return noise
