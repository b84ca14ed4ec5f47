"""Which radio looks many handsets need before a time: time lines walked ahead, the radio not yet asked."""

import numpy as np

from probe.base.jit import bare
from simulator.kernels import timeline as tl
from simulator.kernels.move import STAY, position
from simulator.kernels.timeline import NEVER, NO_CELL


@bare
def on_site(h, net, site):
    """Return whether h camps on, or is served by, a site."""
    return h.cell != NO_CELL and net[h.cell].site == site


@bare
def walk(h, row, begin_ms, end_ms, calm, law, tables, net, failures, country, legs, looks, n):
    """List the looks of one handset that begin in [begin_ms, end_ms), connections whole; return n.

    Traffic that begins before the release of a connection rides on it.
    looks.about is of START the end of the connection, of OUTAGE the site, else 0.
    """
    first, person, due, release = n, np.int64(h.person), np.int64(h.due_ms), np.int64(NEVER)
    opened, begins, looked, every_ms = n, begin_ms, begin_ms, np.int64(NEVER)  # of a connection
    delay_ms = np.int64(0) if calm else tl.notices_ms(law, person)
    fails = (len(failures.time_ms) - 1 if calm else
             np.searchsorted(failures.time_ms, max(begin_ms, np.int64(h.busy_ms)) - delay_ms))
    indoor_db = tl.walls_db(law, tables, h)
    while True:
        talks, failure, what, about = release < NEVER, failures.time_ms[fails] + delay_ms, tl.NOTHING, np.int64(0)
        look = looked + every_ms if talks else tl.idle_look_ms(h)
        now = min(min(min(h.end_ms, h.switch_ms), min(failure, h.burst_ms)), min(min(look, due), release))
        if now >= end_ms and not talks:
            return n
        if now == release:
            looks.about[opened], h.busy_ms, release = now, now, NEVER
            tl.pass_looks(h, now)
        elif now == h.end_ms:
            if h.mode != STAY and h.on:
                what = tl.MOVE if talks else tl.IDLE
            tl.take_leg(h, now, law, tables, country, legs)
            looked, every_ms, indoor_db = now, tl.connected_every_ms(h), tl.walls_db(law, tables, h)
        elif now == h.switch_ms:
            h.switch_ms, h.on = tl.next_switch(law, tables, person, now)[0], 1 - h.on
            what, due = tl.ATTACH if h.on else tl.DETACH, NEVER
            tl.pass_looks(h, now)
        elif now == failure:  # of use only where the handset may be camped on that base station
            if h.on and (n > first or on_site(h, net, failures.site[fails])):
                what, about = tl.OUTAGE, failures.site[fails]
            fails += 1
        elif now == h.burst_ms:
            wanted, until = tl.takes_place(law, h), min(tl.burst_end(law, h), np.int64(h.switch_ms))
            if wanted and talks:
                release = max(release, min(until, begins + tl.CONNECTION_MS_MAX))
            elif wanted:
                h.carrier, what, due, release, opened = tl.carrier_at(law, person, now), tl.START, NEVER, until, n
                begins, looked, every_ms, indoor_db = now, now, tl.connected_every_ms(h), tl.walls_db(law, tables, h)
            h.burst_ms = tl.next_burst(law, tables, h, now)
        elif now == look:
            what, looked = tl.MOVE if talks else tl.IDLE, now
            h.look += 1 - talks
        else:
            what, due = tl.PERIODIC, NEVER
        if what != tl.NOTHING:
            looks.row[n], looks.what[n], looks.about[n], looks.time_ms[n] = row, what, about, law.start_ms + now
            (looks.x_m[n], looks.y_m[n]), looks.carrier[n], looks.indoor_db[n] = position(h, now), h.carrier, indoor_db
            n += 1


@bare
def list_looks(handsets, first, begin_ms, end_ms, law, tables, net, failures, country, legs, looks, room):
    """List the looks of handsets from row first on while there is room; return (looks, next row).

    A handset that neither moves nor talks nor is called upon costs one comparison.
    """
    n, low = 0, np.searchsorted(failures.time_ms, begin_ms - tl.NOTICE_MS_MAX)
    quiet = failures.time_ms[low] >= end_ms  # nobody need be woken
    calm = failures.time_ms[low] >= end_ms + tl.LOOK_AHEAD_MS  # nor any connection be broken
    for row in range(first, len(handsets)):
        h = handsets[row]
        soon = min(min(min(h.end_ms, h.switch_ms), min(h.burst_ms, h.due_ms)), tl.idle_look_ms(h))
        if quiet and soon >= end_ms:
            continue
        if n + room > len(looks.row):
            return n, row
        n = walk(h, row, begin_ms, end_ms, calm, law, tables, net, failures, country, legs, looks, n)
    return n, len(handsets)
