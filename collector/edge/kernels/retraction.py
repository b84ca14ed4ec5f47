"""Taking someone out: of the rows that await their time, of a table of rows, of the person-time of open spans.

Where a key stood in an open-addressing table no trace is left: who stands behind moves up (Knuth, The Art of
Computer Programming, volume 3, 6.4, algorithm R).
"""

import numpy as np

from collector.edge.kernels.tallies import AREAS_MAX, LOWER, U8, place_of
from probe.base.jit import bare, kernel

GONE = np.dtype([("until_ms", "<i4"), ("area", "<u2", AREAS_MAX), ("weight", "u1", AREAS_MAX), ("klass", "u1")])


@kernel
def among(observations, pseudonyms):
    """Return bool[n]: which of OBSERVATION[n] are of u8[m] pseudonyms, in order."""
    found = np.zeros(len(observations), np.bool_)
    for i in range(len(observations)):
        key, first, last = observations[i].pseudonym, 0, len(pseudonyms)
        while first < last:
            middle = (first + last) // 2
            if pseudonyms[middle] < key:
                first = middle + 1
            else:
                last = middle
        found[i] = first < len(pseudonyms) and pseudonyms[first] == key
    return found


@bare
def take_out(keys, rows, table, lower):
    """Write to i4[n] the row that each u8 key had, -1 if none; no key finds it from now on."""
    mask = U8(len(table) - 1)
    for i in range(len(keys)):
        hole = place_of(U8(keys[i]), table, lower)
        rows[i], at = np.int64(table[hole] & LOWER) - 1, (hole + U8(1)) & mask
        while rows[i] >= 0 and table[at] != U8(0):
            home = U8(lower[np.int64(table[at] & LOWER) - 1]) & mask
            if (at - home) & mask >= (at - hole) & mask:
                table[hole], hole = table[at], at
            at = (at + U8(1)) & mask
        table[hole] = U8(0)


@bare
def take_back(journal, number, gone, begin_ms, end_ms, time):
    """Add the person-time that those who have gone held in a slot, and go back to its begin.

    journal : u4[n]      that of the slot; their notes are zeroed
    number  : i4[r + 1]  by row + 1, that of who has gone + 1, or 0
    gone    : GONE[m]    in: where they were at the end of the slot; out: at its begin
    time    : i8[pieces, classes] in and out
    """
    for k in range(len(gone)):
        gone[k].until_ms = end_ms
    end = len(journal)
    while end > 0:
        row, until = journal[end - 1], journal[end - 2]
        held, k = until & 7, number[row] - 1
        end -= held + 2
        if k >= 0:
            hold(gone[k], until >> 3, time)
            gone[k].weight[:] = 0
            for j in range(held):
                gone[k].area[j], gone[k].weight[j] = journal[end + j] >> 8, journal[end + j] & 255
                journal[end + j] = 0
            journal[end + held], journal[end + held + 1] = held, 0
    for k in range(len(gone)):
        hold(gone[k], begin_ms, time)


@bare
def hold(one, from_ms, time):
    """Add what one who has gone held from then on."""
    for k in range(AREAS_MAX):
        if one.weight[k] == 0:
            break
        time[one.area[k], one.klass] += np.int64(one.weight[k]) * (np.int64(one.until_ms) - from_ms)
    one.until_ms = from_ms
