"""Slow, obvious answers about signalling.  Imports numpy only; never imports a kernel."""

import numpy as np


def rsrp_code(dbm):
    """TS 36.133 table 9.1.4-1, typed row by row: 0 below -140, 97 from -44 on, else 1 dB a step."""
    if dbm < -140:
        return 0
    if dbm >= -44:
        return 97
    return next(n for n in range(1, 97) if -141 + n <= dbm < -140 + n)


def timing_advance(slant_m):
    """The nearest step of 16 Ts round trip without noise: 78.07 m one way."""
    return int(np.argmin(np.abs(np.arange(1283) * 78.07 - slant_m)))


def l3_filtered(samples_dbm):
    """TS 36.331 clause 5.5.3.2 with k = 4, one sample per 200 ms: F = F / 2 + M / 2."""
    f = samples_dbm[0]
    for m in samples_dbm[1:]:
        f = 0.5 * f + 0.5 * m
    return f


def in_order(rows):
    """Events by (time, subscriber)."""
    return rows[np.lexsort((rows["subscriber"], rows["time_ms"]))]


def outage_at(outages, time_ms):
    """Whether any of [(from, until)] holds time_ms."""
    return any(start <= time_ms < end for start, end in outages)


def step_back_one_at_a_time(level_dbm, serving, offset_db, trigger_ms, every_ms):
    """Event A3 as the clause tells it: the first look at which a neighbour was better for the whole trigger.

    level_dbm[look][cell] filtered; returns (look, cell) or None.
    """
    for look in range(len(level_dbm)):
        for since in range(look, -1, -1):
            better = [
                cell
                for cell in range(len(level_dbm[0]))
                if cell != serving
                and all(row[cell] > row[serving] + offset_db for row in level_dbm[since : look + 1])
            ]
            held = [cell for cell in better if (look - since) * every_ms >= trigger_ms]
            if held:
                return look, max(held, key=lambda cell: level_dbm[look][cell])
    return None
