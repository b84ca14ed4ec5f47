"""Pseudonyms: who a person is for one local day, under a key that dies with the day."""

import hashlib
from collections.abc import Callable

import numpy as np

from probe.base.clock import HOUR_MS, midnights_ms
from probe.base.jit import kernel, lanes, prange

U8, DAY_MAX_MS = np.uint64, 25 * HOUR_MS


def system_key(midnight_ms: int, key: memoryview) -> None:
    """Fill key from the operating system, without a copy that would outlive it.  For live use."""
    with open("/dev/urandom", "rb", buffering=0) as source:
        filled = source.readinto(key)
    assert filled == len(key)


def seeded_key(seed: int, of: str = "pseudonym") -> Callable[[int, memoryview], None]:
    """Return a source of keys that anyone with the seed can repeat.  For simulations only."""

    def source(midnight_ms: int, key: memoryview) -> None:
        key[:] = hashlib.sha256(f"{of} key {seed} {midnight_ms}".encode()).digest()[: len(key)]

    return source


class Keys:
    """One 128-bit key for each local day that can still be heard of: one, or two about midnight.

    source : given (midnight_ms, 16 bytes to fill);  days : that a key lives, counted from the day of start_ms
    """

    def __init__(self, source: Callable[[int, memoryview], None], zone: str, start_ms: int, lateness_ms: int, days=1):
        self._source, self._zone, self._lateness_ms, self._days = source, zone, lateness_ms, days
        self.midnights_ms = np.array(midnights_ms(start_ms, start_ms, zone)[:1], "i8")  # days and their end
        self.keys = np.zeros((0, 2), "u8")
        self.hold(start_ms, start_ms)

    def hold(self, watermark_ms: int, until_ms: int) -> None:
        """Make keys for every day that begins by until_ms; destroy those of days that the watermark made late.

        Late is a day that ended so long ago that whatever is left of it is.  No copy of a key stays in freed memory.
        """
        gone = int(np.sum(self.midnights_ms[1:-1] + self._lateness_ms < watermark_ms))
        last_ms, until_ms = int(self.midnights_ms[-1]), until_ms + (self._days - 1) * DAY_MAX_MS
        later_ms = midnights_ms(last_ms, until_ms, self._zone) if last_ms <= until_ms else [last_ms]
        later_ms, kept = later_ms[:: self._days], self.keys[gone:]
        if gone or len(later_ms) > 1:
            keys = np.zeros((len(kept) + len(later_ms) - 1, 2), "u8")
            keys[: len(kept)] = kept
            for midnight_ms, key in zip(later_ms, keys[len(kept):], strict=False):
                self._source(midnight_ms, memoryview(key).cast("B"))
            self.keys[:] = 0
            self.keys, self.midnights_ms = keys, np.append(self.midnights_ms[gone:-1], later_ms)


@kernel
def turned(x, left):
    return (x << U8(left)) | (x >> U8(64 - left))


@kernel
def sip_round(a, b, c, d):
    a, c = a + b, c + d
    b, d = turned(b, 13) ^ a, turned(d, 16) ^ c
    c, a = c + b, turned(a, 32) + d
    b, d = turned(b, 17) ^ c, turned(d, 21) ^ a
    return a, b, turned(c, 32), d


@kernel
def siphash(key0, key1, number):
    """Return the u8 SipHash-2-4 of a u8 number as 8 little-endian bytes, under the key (u8, u8).

    Source: Aumasson and Bernstein, SipHash: a fast short-input PRF, INDOCRYPT 2012, section 2.
    """
    a, b = key0 ^ U8(0x736F6D6570736575), key1 ^ U8(0x646F72616E646F6D)
    c, d = key0 ^ U8(0x6C7967656E657261), key1 ^ U8(0x7465646279746573)
    for word in (number, U8(8 << 56)):  # the message, and its length in the last block
        d ^= word
        a, b, c, d = sip_round(*sip_round(a, b, c, d))
        a ^= word
    c ^= U8(0xFF)
    for _ in range(4):
        a, b, c, d = sip_round(a, b, c, d)
    return a ^ b ^ c ^ d


@lanes
def pseudonyms(person, day, keys):
    """Return u8[n] pseudonyms of u8[n] persons under keys[day], for i8[n] days.

    Eight at a time: 1.3 ns each where one by one costs 25.
    """
    pseudonym = np.empty(len(person), np.uint64)
    for i in prange(len(person)):
        pseudonym[i] = siphash(keys[day[i], 0], keys[day[i], 1], person[i])
    return pseudonym


def fingerprints(numbers: np.ndarray, key: bytes) -> np.ndarray:
    """Return u8[n] by which u8[n] subscriber numbers are known where no number may stand, under the register's key."""
    derived = np.frombuffer(bytearray(hashlib.sha256(b"footfall fingerprint" + key).digest()[:16]), "u8")
    return pseudonyms(np.ascontiguousarray(numbers), np.zeros(len(numbers), "i8"), derived.reshape(1, 2))
