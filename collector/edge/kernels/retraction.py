"""Taking someone out: of a table of rows, of the open slot, of the person-time of earlier ones.

Where a key stood in an open-addressing table no trace is left: who stands behind moves up (Knuth, The Art of
Computer Programming, volume 3, 6.4, algorithm R).
"""

import numpy as np

from collector.edge.kernels.tallies import AREAS_MAX, LOWER, U8, depart, place_of
from probe.base.jit import bare


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
def go(rows, people, diary):
    """Let i4[n] persons hold their units until the slot ends, no longer: what they held stands in the journal then."""
    for row in rows:
        depart(row, people.persons[row], diary.clock[1] + diary.clock[2], people, diary)
        people.persons[row].weight[:] = 0


@bare
def take_back(journal, number, gone, begin_ms, end_ms, time):
    """Add the person-time that those who have gone held in a slot, and go back to its begin.

    journal : u4[n]      that of the slot; their notes are zeroed
    number  : i4[r + 1]  by row + 1, that of who has gone + 1, or 0
    gone    : PERSON[m]  in: where they were at the end of the slot; out: at its begin; last_ms is for own use
    time    : i8[pieces, classes] in and out
    """
    for k in range(len(gone)):
        gone[k].last_ms = end_ms
    end = len(journal)
    while end > 0:
        until, k = journal[end - 2], number[journal[end - 1]] - 1
        held = until & 7
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
        time[one.area[k] * (one.weight[k] > 0), one.klass] += np.int64(one.weight[k]) * (one.last_ms - from_ms)
    one.last_ms = from_ms
