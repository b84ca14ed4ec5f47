"""The noise of a release: exact draws, from the operating system or, in a seeded run, by name."""

import hashlib
import os
from collections.abc import Callable
from typing import Protocol

import numpy as np

from collector.edge.kernels import gaussian

DOMAIN = b"footfall release noise 1"
BULK_BYTES = 1 << 16
BLOCKS = 8  # of 32 bytes, for a cell of a seeded run; doubled for the few that need more


class Bits(Protocol):
    """Where the noise of one (table, slot) comes from."""

    seeded: bool

    def noise(self, count: int, p: int, d: int) -> np.ndarray:
        """Return i8[count] draws of the discrete Gaussian of sigma = p/d."""
        ...


class OsBits:
    """Bits of the operating system, in bulk; used ones are overwritten, none is kept or told."""

    seeded = False

    def __init__(self, source: Callable[[int], bytes] = os.urandom, bulk_bytes: int = BULK_BYTES):
        self._source = source
        self._bulk_bytes = bulk_bytes
        self._pool = np.empty(0, np.uint8)

    def noise(self, count: int, p: int, d: int) -> np.ndarray:
        """Return i8[count]; a draw that the pool's end cuts is repeated on the extended pool."""
        noise, at, cell = np.zeros(count, np.int64), np.zeros(2, np.int64), 0
        while (cell := gaussian.fill(noise, cell, p, d, self._pool, at)) < count:
            self._extend(int(at[0]))
            at[0] = 0
        self._extend(int(at[0]), 0)
        return noise

    def _extend(self, used: int, more_bytes: int | None = None) -> None:
        more = self._source(self._bulk_bytes if more_bytes is None else more_bytes)
        pool = np.concatenate([self._pool[used:], np.frombuffer(more, np.uint8)])
        self._pool[:] = 0
        self._pool = pool


class SeededBits:
    """Bits named by (seed, table, slot, cell): the same whatever else is drawn, in any order."""

    seeded = True

    def __init__(self, seed: int, table: int, slot: int):
        name = b"".join(part.to_bytes(8, "little") for part in (seed, table, slot))
        self._key = np.frombuffer(hashlib.sha256(DOMAIN + name).digest(), "<u8").astype(np.uint64)

    def noise(self, count: int, p: int, d: int) -> np.ndarray:
        """Return i8[count]; the noise of a cell depends on its own number alone."""
        noise, at, cell, blocks = np.zeros(count, np.int64), np.zeros(2, np.int64), 0, BLOCKS
        while True:
            pool = np.zeros(32 * blocks, np.uint8)
            reached = gaussian.fill_by_name(noise, cell, p, d, self._key, pool, at)
            if reached == count:
                return noise
            cell, blocks = reached, 2 * blocks
