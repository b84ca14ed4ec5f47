"""Slow, obvious answers for the counting half of the edge.  Imports numpy only; never a kernel."""

import itertools

import numpy as np

DETACH, CELL_ONLY = 2, 1


def siphash_2_4(key: bytes, message: bytes) -> int:
    """SipHash-2-4 of any message, typed from Aumasson and Bernstein (2012), section 2."""
    mask = (1 << 64) - 1
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def left(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & mask

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = left(v[1], 13) ^ v[0]
            v[0] = left(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = left(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = left(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = left(v[1], 17) ^ v[2]
            v[2] = left(v[2], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def mix64(x):
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
    return x ^ (x >> 31)


def timely(batches, start_ms, lateness_ms):
    """The rows that are not late: [(rows, watermark_ms)] in, one list of rows out."""
    kept, bound = [], start_ms
    for rows, watermark_ms in batches:
        kept += [row for row in rows if row["time_ms"] >= bound]
        bound = max(bound, watermark_ms - lateness_ms)
    return kept


def presence(rows, midnights_ms, expiry_ms, slot_ms, slots, area_count):
    """Person-ms x 64 by (slot, area): the stays of each person, one after the other.

    rows: dicts with time_ms, person, kind, cell, content and units (by area), none late.
    A stay lasts until the next row of the same person and day, the expiry or midnight.
    """
    tally = {slot: np.zeros(area_count, np.int64) for slot in slots}
    for (first_ms, last_ms), person in (
        (day, person)
        for day in itertools.pairwise(midnights_ms)
        for person in sorted({row["person"] for row in rows})
    ):
        mine = [row for row in rows if row["person"] == person and first_ms <= row["time_ms"] < last_ms]
        mine.sort(key=lambda row: (row["time_ms"], row["kind"], row["cell"]))
        held = silent_ms = None
        for row, following in zip(mine, [*mine, None][1:], strict=True):
            here = held is not None and row["time_ms"] < silent_ms
            if row["kind"] == DETACH:
                held = None
            elif not (here and row["content"] == CELL_ONLY and row["cell"] == held["cell"]):
                held = row
            silent_ms = row["time_ms"] + expiry_ms
            end_ms = min(silent_ms, last_ms, following["time_ms"] if following else last_ms)
            if held is not None:
                add_stay(tally, row["time_ms"], end_ms, held["units"], slot_ms)
    return tally


def add_stay(tally, from_ms, until_ms, units, slot_ms):
    """Share a stay among the slots that it touches."""
    for slot, areas in tally.items():
        overlap_ms = min(until_ms, (slot + 1) * slot_ms) - max(from_ms, slot * slot_ms)
        if overlap_ms > 0:
            for area, weight in units.items():
                areas[area] += weight * overlap_ms
