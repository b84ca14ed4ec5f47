"""Which radio looks many handsets need before a time: time lines walked ahead, the radio not yet asked."""

import numpy as np

from probe.base.jit import bare
from simulator.kernels.move import STAY, position
from simulator.kernels.radio import NO_CELL
from simulator.kernels.timeline import (
    ATTACH, CONNECTION_MS_MAX, DETACH, IDLE, LOOK_AHEAD_MS, MOVE, NEVER, NOTICE_MS_MAX, OUTAGE, PERIODIC, START,
    burst_end, carrier_at, connected_every_ms, idle_look_ms, next_burst, next_switch, notices_ms, pass_looks,
    take_leg, takes_place, walls_db, walls_of,
)


@bare
def put(looks, n, row, h, what, time_ms, about, law, tables):
    """Write look n of handset h and return n + 1.

    about: of START the end of the connection, of OUTAGE the site, else 0
    """
    looks.row[n], looks.what[n], looks.about[n] = row, what, about
    looks.time_ms[n] = law.start_ms + time_ms
    looks.x_m[n], looks.y_m[n] = position(h, time_ms)
    looks.carrier[n], looks.walls[n] = h.carrier, walls_of(h)
    same = n > 0 and looks.row[n - 1] == row and looks.carrier[n - 1] == h.carrier
    same = same and looks.walls[n - 1] == looks.walls[n]
    looks.indoor_db[n] = looks.indoor_db[n - 1] if same else walls_db(law, tables, h)
    return n + 1


@bare
def first_failure(failures, time_ms):
    """Return the first row of failures at time_ms or later."""
    return np.searchsorted(failures.time_ms, time_ms)


@bare
def noticed(failures, time_ms, law, person, calm):
    """Return (delay_ms, the first failure that a person's handset notices at time_ms or later)."""
    if calm:
        return 0, len(failures.time_ms)
    delay_ms = notices_ms(law, person)
    return delay_ms, first_failure(failures, time_ms - delay_ms)


@bare
def failure_ms(failures, i, delay_ms):
    """Return when a handset notices failure i."""
    return failures.time_ms[i] + delay_ms if i < len(failures.time_ms) else NEVER


@bare
def on_site(h, net, site):
    """Return whether h camps on, or is served by, a site."""
    return h.cell != NO_CELL and net[h.cell].site == site


@bare
def connect(h, row, calm, law, tables, failures, country, legs, looks, n):
    """List the looks of the connection that begins with the burst at h.burst_ms; return their count.

    Traffic that begins before the release rides on it.  h stands at its release afterwards.
    """
    opened, begins, person = n, np.int64(h.burst_ms), np.int64(h.person)
    delay, fails = noticed(failures, begins + 1, law, person, calm)
    h.carrier = carrier_at(law, person, begins)
    n = put(looks, n, row, h, START, begins, 0, law, tables)
    release = min(burst_end(law, h), np.int64(h.switch_ms))
    h.burst_ms = next_burst(law, tables, h, begins)
    looked, every_ms = begins, connected_every_ms(h)
    while True:
        failure = failure_ms(failures, fails, delay)
        now = min(min(looked + every_ms, h.end_ms), min(h.burst_ms, failure))
        if now >= release:
            break
        if now == h.end_ms:
            moved = h.mode != STAY
            take_leg(h, now, law, tables, country, legs)
            looked, every_ms = now, connected_every_ms(h)
            if moved:
                n = put(looks, n, row, h, MOVE, now, 0, law, tables)
        elif now == failure:
            n = put(looks, n, row, h, OUTAGE, now, failures.site[fails], law, tables)
            fails += 1
        elif now == h.burst_ms:
            if takes_place(law, h):
                release = max(release, min(burst_end(law, h), begins + CONNECTION_MS_MAX, h.switch_ms))
            h.burst_ms = next_burst(law, tables, h, now)
        else:
            n = put(looks, n, row, h, MOVE, now, 0, law, tables)
            looked = now
    looks.about[opened], h.busy_ms = release, release
    pass_looks(h, release)
    return n


@bare
def walk(h, row, begin_ms, end_ms, calm, law, tables, net, failures, country, legs, looks, n):
    """List the looks of one handset that begin in [begin_ms, end_ms), connections whole; return n."""
    first, due = n, np.int64(h.due_ms)
    person = np.int64(h.person)
    delay, fails = noticed(failures, max(begin_ms, np.int64(h.busy_ms)), law, person, calm)
    while True:
        failure, look = failure_ms(failures, fails, delay), idle_look_ms(h)
        now = min(min(h.end_ms, h.switch_ms), min(min(failure, h.burst_ms), min(look, due)))
        if now >= end_ms:
            return n
        if now == h.end_ms:
            moved = h.mode != STAY and h.on
            take_leg(h, now, law, tables, country, legs)
            if moved:
                n = put(looks, n, row, h, IDLE, now, 0, law, tables)
        elif now == h.switch_ms:
            h.on = 1 - h.on
            pass_looks(h, now)
            n = put(looks, n, row, h, ATTACH if h.on else DETACH, now, 0, law, tables)
            h.switch_ms, due = next_switch(law, tables, person, now), NEVER
        elif now == failure:  # of use only where the handset may be camped on that base station
            if h.on and (n > first or on_site(h, net, failures.site[fails])):
                n = put(looks, n, row, h, OUTAGE, now, failures.site[fails], law, tables)
            fails += 1
        elif now == h.burst_ms:
            if takes_place(law, h):
                n, due = connect(h, row, calm, law, tables, failures, country, legs, looks, n), NEVER
                delay, fails = noticed(failures, np.int64(h.busy_ms), law, person, calm)
            else:
                h.burst_ms = next_burst(law, tables, h, now)
        elif now == look:
            n = put(looks, n, row, h, IDLE, now, 0, law, tables)
            h.look += 1
        else:
            n, due = put(looks, n, row, h, PERIODIC, now, 0, law, tables), NEVER


@bare
def list_looks(handsets, first, begin_ms, end_ms, law, tables, net, failures, country, legs, looks, room):
    """List the looks of handsets from row first on while there is room; return (looks, next row).

    A handset that neither moves nor talks nor is called upon costs one comparison.
    """
    n = 0
    low = first_failure(failures, begin_ms - NOTICE_MS_MAX)
    quiet = low == first_failure(failures, end_ms)  # nobody need be woken
    calm = low == first_failure(failures, end_ms + LOOK_AHEAD_MS)  # nor any connection be broken
    for row in range(first, len(handsets)):
        h = handsets[row]
        soon = min(min(h.end_ms, h.switch_ms), min(h.burst_ms, h.due_ms))
        if h.mode != STAY:
            soon = min(soon, idle_look_ms(h))
        if quiet and soon >= end_ms:
            continue
        if n + room > len(looks.row):
            return n, row
        n = walk(h, row, begin_ms, end_ms, calm, law, tables, net, failures, country, legs, looks, n)
    return n, len(handsets)
