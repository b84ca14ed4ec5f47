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
from simulator.kernels.looks import on_site
from simulator.kernels.radio import FLOOR_DBM, HANDSET_M, HEARD, NO_CELL
from simulator.kernels.timeline import (
    ATTACH, CONNECTION_MS_MAX, DETACH, FRESH, IDLE, LOST, MEASURE_MS, MOVE, NEVER, OUTAGE, PERIODIC, PERIODIC_MS,
    START, is_paged,
)

# kinds of probe.wire.events.Kind, which a kernel may not import; a test holds them together
(SAY_ATTACH, SAY_DETACH, SAY_TAU, SAY_PERIODIC, SAY_REQUEST, SAY_PAGED, SAY_RELEASE, SAY_HANDOVER, SAY_AGAIN,
 SAY_REPORT) = range(1, 11)
NO_TA, NO_RSRP, NO_PCI, NO_AOA = 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
CORE, TRACE, MDT = range(3)  # grades
EXCESS, SPREAD, OFFSET, LEVEL_NOISE, PREPARE = range(140, 145)  # purposes: names of streams
TA_STEP_M, TA_MAX, TA_SIGMA_M, EXCESS_M = 78.07, 1_282, 30.0, 20.0
OFFSET_DB, REPORT_DB, RESELECT_DB = 2.0, 1.0, 3.0  # one error per connection; one per report and cell
REPORT_EVERY_MS = 10_000
REPORTS_MAX = CONNECTION_MS_MAX // REPORT_EVERY_MS  # of one connection
UPDATE_MS = 150  # from a handover to the update of the tracking area

# One connection, or none.  count: cells it measures; level_dbm: filtered; better_ms: since when a neighbour is
# better by the offset, NEVER = it is not; report_ms: next periodic report; next_...: scratch.
LINK = np.dtype([
    ("connected", "u1"), ("count", "i8"), ("cell", "u4", (8,)), ("level_dbm", "f4", (8,)), ("better_ms", "i8", (8,)),
    ("next_cell", "u4", (8,)), ("next_dbm", "f4", (8,)), ("next_ms", "i8", (8,)),
    ("opened_ms", "i8"), ("until_ms", "i8"), ("looked_ms", "i8"), ("report_ms", "i8"), ("x_m", "f4"), ("y_m", "f4"),
], align=True)


@bare
def timing_advance(seed, person, time_ms, x_m, y_m, cell, net):
    """Return the timing advance to a cell: N(excess, 30 m) over the slant range, in steps of 78.07 m."""
    dx, dy = np.float64(x_m) - net.x_m[cell], np.float64(y_m) - net.y_m[cell]
    far_m = sqrt(dx * dx + dy * dy + (net.height_m[cell] - np.float64(HANDSET_M)) ** 2)
    far_m += EXCESS_M * exponential(seed, EXCESS, person, time_ms) + TA_SIGMA_M * normal(seed, SPREAD, person, time_ms)
    return min(max(np.int64(floor(far_m / TA_STEP_M + 0.5)), 0), TA_MAX)


@bare
def rsrp_code(dbm):
    """Return the report mapping of a level: n = floor(dBm + 141), 0 to 97."""
    return min(max(np.int64(floor(dbm + 141.0)), 0), 97)


@bare
def prepare_ms(rules, person, time_ms):
    """Return how long the handover reported for at time_ms takes to prepare, 30 to 70 ms."""
    return 30 + np.int64(bits(rules.seed, PREPARE, person, time_ms) % np.uint64(41))


@bare
def choose(camped, cell, level_dbm):
    """Return the cell to camp on, of those heard: the old one unless the loudest is 3 dB better."""
    for j in range(HEARD):
        if cell[j] == camped and cell[j] != NO_CELL and level_dbm[j] >= level_dbm[0] - RESELECT_DB:
            return camped
    return cell[0]


@bare
def heard(link, cell):
    """Return at which place a connection measures a cell, or -1."""
    for j in range(link.count):
        if link.cell[j] == cell:
            return j
    return -1


@bare
def smooth(link, time_ms, cell, level_dbm):
    """Pass the levels heard through the L3 filter, k = 4: weight 1/2 per 200 ms; forget the unheard."""
    count = 0
    old = np.float32(exp((link.looked_ms - time_ms) * (log(2.0) / MEASURE_MS)))
    while count < HEARD and cell[count] != NO_CELL:
        link.next_dbm[count], link.next_ms[count] = level_dbm[count], NEVER
        j = heard(link, cell[count])
        if j >= 0:
            link.next_dbm[count] += old * (link.level_dbm[j] - level_dbm[count])
            link.next_ms[count] = link.better_ms[j]
        count += 1
    for j in range(count):
        link.cell[j], link.level_dbm[j], link.better_ms[j] = cell[j], link.next_dbm[j], link.next_ms[j]
    link.count, link.looked_ms = count, time_ms


@bare
def a3_target(link, serving, time_ms, rules):
    """Return the neighbour to hand over to, or NO_CELL: better by the offset for the time-to-trigger.

    serving : place of the serving cell among those the connection measures
    """
    target, best = NO_CELL, np.float32(-1e9)
    for j in range(link.count):
        if link.level_dbm[j] <= link.level_dbm[serving] + rules.a3_offset_db + rules.a3_hysteresis_db:
            link.better_ms[j] = NEVER
            continue
        link.better_ms[j] = min(link.better_ms[j], time_ms)
        if time_ms - link.better_ms[j] >= rules.time_to_trigger_ms and link.level_dbm[j] > best:
            target, best = link.cell[j], link.level_dbm[j]
    return target


@bare
def write(out, n, h, link, kind, time_ms, rules, net):
    """Write event n of handset h; return n + 1.  Only what the grade of the tap hears is filled in."""
    e = out.events[n]
    e.time_ms, e.subscriber, e.cell = rules.start_ms + time_ms, h.subscriber, h.cell
    e.kind, e.flags, e.ta, e.aoa = kind, 0, NO_TA, NO_AOA
    for j in range(8):
        e.rsrp[j] = NO_RSRP
    for j in range(7):
        e.neighbour_pci[j] = NO_PCI
    out.x_m[n], out.y_m[n] = link.x_m, link.y_m
    if rules.grade != CORE and kind != SAY_RELEASE:
        person = np.int64(h.person)
        e.ta = timing_advance(rules.seed, person, time_ms, link.x_m, link.y_m, h.cell, net)
        if kind in (SAY_REPORT, SAY_HANDOVER):
            report_levels(e, link, h.cell, person, time_ms, rules.seed, net)
    return n + 1


@bare
def report_levels(e, link, serving, person, time_ms, seed, net):
    """Fill in the levels of the serving cell and up to 7 neighbours, loudest first, as measured."""
    count, level, cell = 0, link.next_dbm, link.next_cell
    offset_db = OFFSET_DB * normal(seed, OFFSET, person, link.opened_ms)
    for j in range(link.count):
        error = offset_db + REPORT_DB * normal(seed, LEVEL_NOISE, person, time_ms * 8 + j)
        measured = np.float32(link.level_dbm[j] + error)
        if link.cell[j] == serving:
            e.rsrp[0] = rsrp_code(measured)
        elif measured >= FLOOR_DBM:
            k = count
            while k > 0 and level[k - 1] < measured:
                level[k], cell[k] = level[k - 1], cell[k - 1]
                k -= 1
            level[k], cell[k] = measured, link.cell[j]
            count += 1
    for j in range(min(count, 7)):
        e.rsrp[j + 1], e.neighbour_pci[j] = rsrp_code(level[j]), net.pci[cell[j]]


@bare
def say(out, n, h, link, kind, time_ms, rules, net):
    """Write one event after the last one; it is a contact, so the periodic update waits anew.

    A3 reports are heard at grade trace and above, yet take their place in time at any grade.
    """
    if h.due_ms != NEVER:
        time_ms = max(time_ms, h.due_ms - PERIODIC_MS + 1)
    h.due_ms = time_ms + PERIODIC_MS
    if kind == SAY_REPORT and rules.grade == CORE:
        return n
    return write(out, n, h, link, kind, time_ms, rules, net)


@bare
def camp(out, n, h, link, cell, time_ms, rules, net):
    """Camp on a cell, or on none; update the tracking area where it is another or coverage was lost."""
    h.cell = cell
    if cell == NO_CELL:
        h.tac = LOST
        return n
    known = h.tac
    h.tac = net.tac[cell]
    if known != FRESH and known != h.tac:
        n = say(out, n, h, link, SAY_TAU, time_ms, rules, net)
    return n


@bare
def report_until(out, n, h, link, time_ms, rules, net):
    """Write the periodic reports of grade mdt before time_ms; other events keep their times."""
    while link.connected and rules.grade == MDT and link.report_ms < time_ms:
        at = max(link.report_ms, h.due_ms - PERIODIC_MS + 1)
        if at < time_ms:
            n = write(out, n, h, link, SAY_REPORT, at, rules, net)
        link.report_ms += REPORT_EVERY_MS
    return n


@bare
def open_link(out, n, h, link, until_ms, time_ms, cell, level_dbm, rules, net):
    """Begin a connection on the cell that h camps on, if there is one."""
    person = np.int64(h.person)
    n = camp(out, n, h, link, choose(h.cell, cell, level_dbm), time_ms, rules, net)
    if h.cell == NO_CELL:
        h.due_ms = until_ms + PERIODIC_MS
        return n
    kind = SAY_PAGED if is_paged(rules, person, time_ms) else SAY_REQUEST
    n = say(out, n, h, link, kind, time_ms, rules, net)
    link.connected, link.count, link.looked_ms = 1, 0, time_ms
    link.until_ms, link.report_ms = until_ms, time_ms + REPORT_EVERY_MS
    link.opened_ms = time_ms
    smooth(link, time_ms, cell, level_dbm)
    return n


@bare
def hang_up(out, n, h, link, rules, net):
    """End the connection, if there is one."""
    if link.connected:
        n = report_until(out, n, h, link, link.until_ms, rules, net)
        n = say(out, n, h, link, SAY_RELEASE, link.until_ms, rules, net)
        link.connected = 0
    return n


@bare
def watch(out, n, h, link, time_ms, cell, level_dbm, rules, net):
    """Measure while connected: report and hand over, or find another cell after losing the link."""
    smooth(link, time_ms, cell, level_dbm)
    serving = heard(link, h.cell)
    if serving < 0:
        h.cell = cell[0]
        if h.cell == NO_CELL:
            link.connected = 0
            return camp(out, n, h, link, NO_CELL, time_ms, rules, net)
        n = say(out, n, h, link, SAY_AGAIN, time_ms, rules, net)
    else:
        target = a3_target(link, serving, time_ms, rules)
        if target == NO_CELL:
            return n
        n = say(out, n, h, link, SAY_REPORT, time_ms, rules, net)
        time_ms += prepare_ms(rules, np.int64(h.person), time_ms)
        h.cell = target
        n = say(out, n, h, link, SAY_HANDOVER, time_ms, rules, net)
    for j in range(link.count):
        link.better_ms[j] = NEVER
    return camp(out, n, h, link, h.cell, time_ms + UPDATE_MS, rules, net)


@bare
def switch(out, n, h, link, what, time_ms, cell, level_dbm, rules, net):
    """Say goodbye, or register again, if a cell is heard."""
    h.cell = choose(h.cell, cell, level_dbm)
    if h.cell != NO_CELL:
        n = say(out, n, h, link, SAY_ATTACH if what == ATTACH else SAY_DETACH, time_ms, rules, net)
    if what == DETACH:
        h.cell, h.tac, h.due_ms = NO_CELL, LOST, NEVER
    elif h.cell == NO_CELL:
        h.due_ms = time_ms + PERIODIC_MS
    else:
        h.tac = net.tac[h.cell]
    return n


@bare
def act(out, n, h, link, what, about_ms, time_ms, cell, level_dbm, rules, failures, net):
    """Do what one look was for; return the number of events."""
    if what == START:
        return open_link(out, n, h, link, np.int64(about_ms), time_ms, cell, level_dbm, rules, net)
    if what in (ATTACH, DETACH):
        return switch(out, n, h, link, what, time_ms, cell, level_dbm, rules, net)
    if what == MOVE or (what == OUTAGE and link.connected and on_site(h, failures, about_ms)):
        return watch(out, n, h, link, time_ms, cell, level_dbm, rules, net) if link.connected else n
    if what == IDLE or (what == OUTAGE and not link.connected and on_site(h, failures, about_ms)):
        return camp(out, n, h, link, choose(h.cell, cell, level_dbm), time_ms, rules, net)
    if what == PERIODIC and time_ms == h.due_ms:
        n = camp(out, n, h, link, choose(h.cell, cell, level_dbm), time_ms, rules, net)
        if h.cell == NO_CELL:
            h.due_ms = time_ms + PERIODIC_MS
        elif h.due_ms == time_ms:
            n = say(out, n, h, link, SAY_PERIODIC, time_ms, rules, net)
    return n


@bare
def follow(handsets, looks, count, cell, level_dbm, rules, failures, net, link, out, n):
    """Play the first `count` looks of some handsets; return n and the new events.

    cell, level_dbm : u4, f4[looks, HEARD]  what the radio said
    link            : LINK[1]  scratch     out : events EVENT[...], x_m, y_m f4[...]  written from row n on
    """
    one = link[0]
    one.connected, before = 0, -1
    for i in range(count):
        row = np.int64(looks.row[i])
        h = handsets[row]
        time_ms = looks.time_ms[i] - rules.start_ms
        if one.connected and (row != before or time_ms >= one.until_ms):
            n = hang_up(out, n, handsets[before], one, rules, net)
        before = row
        n = report_until(out, n, h, one, time_ms, rules, net)
        one.x_m, one.y_m = looks.x_m[i], looks.y_m[i]
        n = act(
            out,
            n,
            h,
            one,
            looks.what[i],
            looks.about_ms[i],
            time_ms,
            cell[i],
            level_dbm[i],
            rules,
            failures,
            net,
        )
    if before >= 0:
        n = hang_up(out, n, handsets[before], one, rules, net)
    return n
