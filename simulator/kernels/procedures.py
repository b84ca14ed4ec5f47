"""What handset and network say to each other: looks at the radio in, events out, one handset after the other.

Idle: camp on a cell, update the tracking area.  Connected: filtered levels, event A3, handover,
loss of the radio link.  Times are ms since the start of the world until an event is written.

Sources: 3GPP TS 36.331 clause 5.5 (L3 filter, event A3), TS 36.304 (reselection), TS 36.133
clause 9.1.4 (report mapping), TS 36.213 clause 4.2.3 (timing advance).
"""

from math import exp, floor, log, sqrt

import numpy as np

from probe.base.jit import bare
from probe.base.streams import bits, exponential, normal
from simulator.kernels import timeline as tl
from simulator.kernels.looks import on_site
from simulator.kernels.radio import FLOOR_DBM, HANDSET_M, HEARD, NO_CELL

# kinds of probe.wire.events.Kind, which a kernel may not import; a test holds them together
(SAY_ATTACH, SAY_DETACH, SAY_TAU, SAY_PERIODIC, SAY_REQUEST, SAY_PAGED, SAY_RELEASE, SAY_HANDOVER, SAY_AGAIN,
 SAY_REPORT) = range(1, 11)
NO_TA, NO_RSRP, NO_PCI, NO_AOA = 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
CORE, TRACE, MDT = range(3)  # grades
EXCESS, SPREAD, OFFSET, NOISE, PREPARE = range(140, 145)  # purposes: names of streams
TA_STEP_M, TA_MAX, TA_SIGMA_M, EXCESS_M = 78.07, 1_282, 30.0, 20.0
OFFSET_DB, REPORT_DB, RESELECT_DB = 2.0, 1.0, 3.0  # one error per connection; one per report and cell
REPORT_EVERY_MS, UPDATE_MS = 10_000, 150  # UPDATE_MS: from a handover to the update of the tracking area
REPORTS_MAX = tl.CONNECTION_MS_MAX // REPORT_EVERY_MS  # of one connection

# What one handset hears and says at a time, and its connection, if it has one.
# heard, heard_dbm: what the radio just said, loudest first.  said, kind, said_ms, said_cell: events not yet written.
# count, cell, level_dbm: the cells that a connection measures, filtered; better_ms: since when each is better than
# the serving one, NEVER = it is not; report_ms: next periodic report; refuses: 1 where what is said belongs to a
# connection that may not be counted, from access to release (the bit of the wire's flags); next_...: scratch.
EACH = ("heard u4, heard_dbm f4, kind u1, said_ms i8, said_cell u4, cell u4, level_dbm f4, better_ms i8, next_cell u4, "
        "next_dbm f4, next_ms i8")
ONCE = ("x_m f4, y_m f4, said i8, connected u1, refuses u1, count i8, opened_ms i8, until_ms i8, looked_ms i8, "
        "report_ms i8")
LINK = np.dtype([(*field.split(), (HEARD,)) for field in EACH.split(", ")]
                + [tuple(field.split()) for field in ONCE.split(", ")], align=True)


@bare
def timing_advance(seed, person, time_ms, x_m, y_m, cell):
    """Return the timing advance to a cell (NET): N(excess, 30 m) over the slant range, in steps of 78.07 m."""
    dx, dy, dz = np.float64(x_m) - cell.x_m, np.float64(y_m) - cell.y_m, cell.height_m - np.float64(HANDSET_M)
    far_m = sqrt(dx * dx + dy * dy + dz ** 2)
    far_m += EXCESS_M * exponential(seed, EXCESS, person, time_ms) + TA_SIGMA_M * normal(seed, SPREAD, person, time_ms)
    return min(max(np.int64(floor(far_m / TA_STEP_M + 0.5)), 0), TA_MAX)


@bare
def rsrp_code(dbm):
    """Return the report mapping of a level: n = floor(dBm + 141), 0 to 97."""
    return min(max(np.int64(floor(dbm + 141.0)), 0), 97)


@bare
def prepare_ms(law, person, time_ms):
    """Return how long the handover reported for at time_ms takes to prepare, 30 to 70 ms."""
    return 30 + np.int64(bits(law.seed, PREPARE, person, time_ms) % np.uint64(41))


@bare
def choose(camped, link):
    """Return the cell to camp on, of those heard: the old one unless the loudest is 3 dB better."""
    for j in range(HEARD):
        if link.heard[j] == camped and camped != NO_CELL and link.heard_dbm[j] >= link.heard_dbm[0] - RESELECT_DB:
            return link.heard[j]
    return link.heard[0]


@bare
def measured(link, cell):
    """Return at which place a connection measures a cell, or -1."""
    for j in range(link.count):
        if link.cell[j] == cell:
            return j
    return -1


@bare
def smooth(link, time_ms):
    """Pass the levels heard through the L3 filter, k = 4: weight 1/2 per 200 ms; forget the unheard."""
    count, old = 0, np.float32(exp((link.looked_ms - time_ms) * (log(2.0) / tl.MEASURE_MS)))
    while count < HEARD and link.heard[count] != NO_CELL:
        link.next_dbm[count], link.next_ms[count] = link.heard_dbm[count], tl.NEVER
        j = measured(link, link.heard[count])
        if j >= 0:
            link.next_dbm[count] += old * (link.level_dbm[j] - link.heard_dbm[count])
            link.next_ms[count] = link.better_ms[j]
        count += 1
    for j in range(count):
        link.cell[j], link.level_dbm[j], link.better_ms[j] = link.heard[j], link.next_dbm[j], link.next_ms[j]
    link.count, link.looked_ms = count, time_ms


@bare
def a3_target(link, serving, time_ms, law):
    """Return the neighbour to hand over to, or NO_CELL: better by the offset for the time-to-trigger.

    serving : place of the serving cell among those the connection measures
    """
    target, best = NO_CELL, np.float32(-1e9)
    for j in range(link.count):
        better = link.level_dbm[j] > link.level_dbm[serving] + law.a3_offset_db + law.a3_hysteresis_db
        link.better_ms[j] = min(link.better_ms[j], time_ms) if better else tl.NEVER
        if time_ms - link.better_ms[j] >= law.time_to_trigger_ms and link.level_dbm[j] > best:
            target, best = link.cell[j], link.level_dbm[j]
    return target


@bare
def report_levels(e, link, person, time_ms, seed, net):
    """Fill in the levels of the serving cell and up to 7 neighbours, loudest first, as measured."""
    count, level, cell = 0, link.next_dbm, link.next_cell
    offset_db = OFFSET_DB * normal(seed, OFFSET, person, link.opened_ms)
    for j in range(link.count):
        dbm = np.float32(link.level_dbm[j] + (offset_db + REPORT_DB * normal(seed, NOISE, person, time_ms * 8 + j)))
        if link.cell[j] == e.cell:
            e.rsrp[0] = rsrp_code(dbm)
        elif dbm >= FLOOR_DBM:
            k = count
            while k > 0 and level[k - 1] < dbm:
                level[k], cell[k] = level[k - 1], cell[k - 1]
                k -= 1
            level[k], cell[k] = dbm, link.cell[j]
            count += 1
    for j in range(min(count, 7)):
        e.rsrp[j + 1], e.neighbour_pci[j] = rsrp_code(level[j]), net[cell[j]].pci


@bare
def write(out, n, h, link, kind, time_ms, cell, law, net):
    """Write event n of handset h, on a cell; return n + 1.  Only what the grade of the tap hears is filled in."""
    e, person = out.events[n], np.int64(h.person)
    e.time_ms, e.subscriber, e.cell = law.start_ms + time_ms, h.subscriber, cell
    e.kind, e.flags, e.ta, e.aoa, e.rsrp[:], e.neighbour_pci[:] = kind, link.refuses, NO_TA, NO_AOA, NO_RSRP, NO_PCI
    out.x_m[n], out.y_m[n] = link.x_m, link.y_m
    if law.grade != CORE and kind != SAY_RELEASE:
        e.ta = timing_advance(law.seed, person, time_ms, link.x_m, link.y_m, net[cell])
        if kind in (SAY_REPORT, SAY_HANDOVER):
            report_levels(e, link, person, time_ms, law.seed, net)
    return n + 1


@bare
def write_reports(out, n, h, link, time_ms, law, net):
    """Write the periodic reports of grade mdt before time_ms; return n.  Other events keep their times."""
    while link.connected and law.grade == MDT and link.report_ms < time_ms:
        at = max(link.report_ms, h.due_ms - tl.PERIODIC_MS + 1)
        if at < time_ms:
            n = write(out, n, h, link, SAY_REPORT, at, h.cell, law, net)
        link.report_ms += REPORT_EVERY_MS
    return n


@bare
def write_said(out, n, h, link, law, net):
    """Write what was said; return n."""
    for k in range(link.said):
        n = write(out, n, h, link, link.kind[k], link.said_ms[k], link.said_cell[k], law, net)
    link.said = 0
    return n


@bare
def say(h, link, kind, time_ms, law):
    """Say something after the last word; it is a contact, so the periodic update waits anew.

    A3 reports are heard at grade trace and above, yet take their place in time at any grade.
    """
    time_ms = time_ms if h.due_ms == tl.NEVER else max(time_ms, h.due_ms - tl.PERIODIC_MS + 1)
    h.due_ms = time_ms + tl.PERIODIC_MS
    if kind != SAY_REPORT or law.grade != CORE:
        link.kind[link.said], link.said_ms[link.said], link.said_cell[link.said] = kind, time_ms, h.cell
        link.said += 1


@bare
def camp(h, link, cell, time_ms, law, net):
    """Camp on a cell, or on none; update the tracking area where it is another or coverage was lost."""
    known, h.cell, h.tac = h.tac, cell, tl.LOST if cell == NO_CELL else net[cell].tac
    if h.tac != tl.LOST and known != tl.FRESH and known != h.tac:
        say(h, link, SAY_TAU, time_ms, law)


@bare
def contact(h, link, kind, time_ms, law, net):
    """Camp on a cell and say something there; without one, try again after the periodic timer."""
    camp(h, link, choose(h.cell, link), time_ms, law, net)
    if h.cell == NO_CELL:
        h.due_ms = time_ms + tl.PERIODIC_MS
    elif kind != SAY_PERIODIC or h.due_ms == time_ms:  # an update of the area does for a periodic one
        say(h, link, kind, time_ms, law)


@bare
def watch(h, link, time_ms, law, net):
    """Measure while connected: report and hand over, or find another cell after losing the link."""
    smooth(link, time_ms)
    serving = measured(link, h.cell)
    if serving < 0:
        h.cell, link.connected = link.heard[0], link.heard[0] != NO_CELL
        if link.connected:
            say(h, link, SAY_AGAIN, time_ms, law)
    else:
        target = a3_target(link, serving, time_ms, law)
        if target == NO_CELL:
            return
        say(h, link, SAY_REPORT, time_ms, law)
        h.cell, time_ms = target, time_ms + prepare_ms(law, np.int64(h.person), time_ms)
        say(h, link, SAY_HANDOVER, time_ms, law)
    link.better_ms[:] = tl.NEVER
    camp(h, link, h.cell, time_ms + UPDATE_MS, law, net)


@bare
def act(h, link, what, about, time_ms, law, net):
    """Do what one look was for.  A look about an outage is of use to who is on that site."""
    if what == tl.OUTAGE and on_site(h, net, about):
        what = tl.MOVE if link.connected else tl.IDLE
    if not link.connected:
        link.refuses = what == tl.START and tl.refuses(law, np.int64(h.person), time_ms)
    if what == tl.MOVE and link.connected:
        watch(h, link, time_ms, law, net)
    elif what == tl.IDLE:
        camp(h, link, choose(h.cell, link), time_ms, law, net)
    elif what == tl.START:
        paged = tl.is_paged(law, np.int64(h.person), time_ms)
        contact(h, link, SAY_PAGED if paged else SAY_REQUEST, time_ms, law, net)
        link.connected, link.count, link.opened_ms = h.cell != NO_CELL, 0, time_ms
        link.until_ms, link.report_ms = about, time_ms + REPORT_EVERY_MS
        smooth(link, time_ms)
        h.due_ms = h.due_ms if link.connected else about + tl.PERIODIC_MS
    elif what == tl.PERIODIC and time_ms == h.due_ms:  # unless the handset was in contact since this was due
        contact(h, link, SAY_PERIODIC, time_ms, law, net)
    elif what in (tl.ATTACH, tl.DETACH):
        h.tac = tl.FRESH
        contact(h, link, SAY_ATTACH if what == tl.ATTACH else SAY_DETACH, time_ms, law, net)
        if what == tl.DETACH:
            h.cell, h.due_ms = NO_CELL, tl.NEVER


@bare
def hang_up(out, n, h, link, law, net):
    """End the connection, if there is one; return n."""
    if link.connected:
        n = write_reports(out, n, h, link, link.until_ms, law, net)
        say(h, link, SAY_RELEASE, link.until_ms, law)
        link.connected = 0
    return write_said(out, n, h, link, law, net)


@bare
def follow(handsets, looks, count, cell, level_dbm, law, net, scratch, out, n):
    """Play the first `count` looks of some handsets; return n and the new events.

    cell, level_dbm : u4, f4[looks, HEARD]  what the radio said
    scratch         : LINK[1]     out : events EVENT[...], x_m, y_m f4[...]  written from row n on
    """
    link, before = scratch[0], np.int64(-1)
    link.connected, link.refuses, link.said = 0, 0, 0
    for i in range(count):
        row, what, time_ms = np.int64(looks.row[i]), np.int64(looks.what[i]), looks.time_ms[i] - law.start_ms
        h = handsets[row]
        if link.connected and (row != before or time_ms >= link.until_ms):
            n = hang_up(out, n, handsets[before], link, law, net)
        n = write_reports(out, n, h, link, time_ms, law, net)
        before, link.x_m, link.y_m = row, looks.x_m[i], looks.y_m[i]
        for j in range(HEARD):
            link.heard[j], link.heard_dbm[j] = cell[i, j], level_dbm[i, j]
        act(h, link, what, looks.about[i], time_ms, law, net)
        n = write_said(out, n, h, link, law, net)
    return hang_up(out, n, handsets[max(before, 0)], link, law, net)
