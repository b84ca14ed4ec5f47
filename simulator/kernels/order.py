"""Events into the order of time: the canonical order (time, subscriber) of a bucket or a shard."""

import numpy as np

from probe.base.jit import kernel

DIGIT_BITS, DIGIT_MAX = 10, (1 << 10) - 1


@kernel
def by_digit(key, order, sorted_order, shift):
    """Write the stable order of order by ten bits of key."""
    count = np.zeros(DIGIT_MAX + 2, np.int64)
    for i in order:
        count[((key[i] >> shift) & DIGIT_MAX) + 1] += 1
    first = np.cumsum(count)
    for i in order:
        digit = (key[i] >> shift) & DIGIT_MAX
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
            key[i], due[ready], ready = rows.events[i].time_ms - begin_ms, i, ready + 1
    order, spare, subscriber = due[:ready], np.empty(ready, np.int32), rows.events["subscriber"]
    by_digit(key, order, spare, 0)
    by_digit(key, spare, order, DIGIT_BITS)
    for k in range(1, ready):  # ties: by subscriber
        i, j = order[k], k
        while j > 0 and key[order[j - 1]] == key[i] and subscriber[order[j - 1]] > subscriber[i]:
            order[j], j = order[j - 1], j - 1
        order[j] = i
    for i in order:
        out.events[n], out.x_m[n], out.y_m[n] = rows.events[i], rows.x_m[i], rows.y_m[i]
        n += 1
    for i in range(count):
        if rows.events[i].time_ms >= end_ms:
            rows.events[kept], rows.x_m[kept], rows.y_m[kept] = rows.events[i], rows.x_m[i], rows.y_m[i]
            kept += 1
    return kept, n
