"""Events into the order of time: the canonical order (time, subscriber) of a bucket or a shard."""

import numpy as np

from probe.base.jit import kernel

DIGIT_BITS = 10


@kernel
def by_digit(key, order, sorted_order, shift):
    """Write the stable order of order by ten bits of key."""
    first = np.zeros((1 << DIGIT_BITS) + 1, np.int64)
    for i in order:
        first[((key[i] >> shift) & ((1 << DIGIT_BITS) - 1)) + 1] += 1
    for digit in range(1 << DIGIT_BITS):
        first[digit + 1] += first[digit]
    for i in order:
        digit = (key[i] >> shift) & ((1 << DIGIT_BITS) - 1)
        sorted_order[first[digit]] = i
        first[digit] += 1


@kernel
def in_time_order(rows, count, begin_ms, end_ms, out, n):
    """Move the rows with time in [begin_ms, end_ms) to out, in order, from row n on; return (kept, n).

    rows, out : events EVENT[...], x_m, y_m f4[...]
    count     : int  rows in use; those that are later stay, in their order, and are `kept`
    A step is at most 2**20 ms.  A handset has one event a millisecond, so (time, subscriber) decides.
    """
    key, due, kept, ready = np.empty(count, np.int32), np.empty(count, np.int32), 0, 0
    for i in range(count):
        if rows.events[i].time_ms < end_ms:
            key[i] = rows.events[i].time_ms - begin_ms
            due[ready] = i
            ready += 1
    order, spare = due[:ready], np.empty(ready, np.int32)
    by_digit(key, order, spare, 0)
    by_digit(key, spare, order, DIGIT_BITS)
    for k in range(1, ready):  # ties: by subscriber
        i, j = order[k], k
        while j > 0 and key[order[j - 1]] == key[i]:
            if rows.events[order[j - 1]].subscriber <= rows.events[i].subscriber:
                break
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    for i in order:
        out.events[n], out.x_m[n], out.y_m[n] = rows.events[i], rows.x_m[i], rows.y_m[i]
        n += 1
    for i in range(count):
        if rows.events[i].time_ms >= end_ms:
            rows.events[kept], rows.x_m[kept], rows.y_m[kept] = rows.events[i], rows.x_m[i], rows.y_m[i]
            kept += 1
    return kept, n


@kernel
def count_load(events, connects, paged, load):
    """Add events to the load of their cells, u4[cells, 3]: events, connections, answered pages.

    connects, paged : bool[256]  which kinds of event begin a connection; answer a page
    """
    for e in events:
        load[e.cell, 0] += 1
        load[e.cell, 1] += connects[e.kind]
        load[e.cell, 2] += paged[e.kind]
