"""What people truly did: the way of a person through the areas of a day, its stops, and the exact tables.

Rules (README, "Tables"): a stay of STOP_MS is a stop; who leaves a stop and is back within that time never left.
Arrivals, departures and trips lead from stop to stop; a level is that of the longest stay, a stop or not.
The truth has no caps.  Times are ms since local midnight in a way, since the first slot in a table.
"""

from math import ceil, sqrt

import numpy as np

from probe.base.jit import bare
from simulator.kernels.move import PIECE_M, area_at, day_plan

STOP_MS, LEVEL_MS = 600_000, np.array([120_000, 300_000, 900_000, 3_600_000, 14_400_000])  # a stop; least of levels 1-5
CLASSES, NO_CLASS = 21, 0xFF  # age band * 3 + gender; minors have none
PASS, STOP, JOINED = range(3)  # JOINED: part of a stop before it, which it prolongs
PART = np.dtype([("begin_ms", "i4"), ("end_ms", "i4"), ("area", "u2"), ("kind", "u2")], align=True)
# Of whom something is told.  customer: 1 = an adult with a handset of ours; the window in which they are counted, ms
# since the first slot: who is no customer has none.
WHO = np.dtype([("customer", "i8"), ("from_ms", "i8"), ("until_ms", "i8")], align=True)


@bare
def add(table, begin_ms, cell, who, length_ms=1):
    """Add [begin_ms, begin_ms + length_ms), as far as the spans hold it, to a cell of theirs; 1 ms counts one.

    To the last column what is counted: what lies in the window, of spans that were sealed before its end alone; the
    rest to that of customers or, the first, of others.
    """
    edges, end_ms, row = table.edges, begin_ms + length_ms, max(np.searchsorted(table.edges, begin_ms, "right") - 1, 0)
    while row < len(table.sealed_ms) and edges[row] < end_ms:
        first_ms, last_ms, counted_ms = max(begin_ms, edges[row]), min(end_ms, edges[row + 1]), 0
        if table.sealed_ms[row] <= who.until_ms:
            counted_ms = max(last_ms - max(first_ms, who.from_ms), 0)
            table.cells[2, row, cell] += counted_ms
        table.cells[who.customer, row, cell] += last_ms - first_ms - counted_ms
        row += 1


@bare
def way_of(legs, raster, way):
    """Write PART[n], the way of a day through areas: no two in a row in the same; return n.

    A trip goes by pieces of PIECE_M, each where its middle lies; a stay is one piece.
    """
    n = 0
    for leg in legs:
        dx, dy = float(leg.to_x) - leg.from_x, float(leg.to_y) - leg.from_y
        count = max(1, ceil(sqrt(dx * dx + dy * dy) / PIECE_M))
        for piece in range(count):
            part = (piece + 0.5) / count
            area = area_at(leg.from_x + dx * part, leg.from_y + dy * part, *raster)
            if n == 0 or area != way[n - 1].area:
                way[n].begin_ms = way[n - 1].end_ms = leg.start_ms + (leg.end_ms - leg.start_ms) * piece // count
                way[n].area, n = area, n + 1
    way[n - 1].end_ms = legs[-1].end_ms
    return n


@bare
def find_stops(way):
    """Say what each part of a way is; a stop ends when the person is gone for good."""
    last = -1
    for i in range(len(way)):
        here = way[i]
        if last >= 0 and here.area == way[last].area and here.begin_ms - way[last].end_ms < STOP_MS:
            here.kind, way[last].end_ms = JOINED, here.end_ms
        elif here.end_ms - here.begin_ms < STOP_MS:
            here.kind = PASS
        else:
            here.kind, last = STOP, i


@bare
def add_moves(way, midnight_ms, length_ms, who, ground, tables):
    """Add the arrivals, departures and trips of a day; at its ends nobody arrives, nobody leaves."""
    last, areas = -1, len(ground.zone_of)
    for here in way:
        if here.kind == STOP:
            begins, area = midnight_ms + here.begin_ms, int(here.area)
            if last >= 0:
                add(tables.moves, begins, 2 * area, who)
                add(tables.flows, begins, last * areas + area, who)
                pair = int(ground.zone_of[last]) * ground.zones + ground.zone_of[area]
                add(tables.zone_flows, begins, pair, who)
            if here.end_ms < length_ms:
                add(tables.moves, midnight_ms + here.end_ms, 2 * area + 1, who)
            last = area


@bare
def add_visits(way, midnight_ms, home, resident, klass, who, levels, days, tables):
    """Add a person to every area of a day, once in each, by the longest stay there.

    levels : u1[areas]  scratch: 1 + the level of that stay, 0 = not seen there
    days   : u1[areas]  in and out: on how many days of the week the area was visited
    """
    levels[:], areas = 0, len(levels)
    for here in way:
        level = np.searchsorted(LEVEL_MS, here.end_ms - here.begin_ms, "right")  # 0 of a pass-by
        levels[here.area] = max(levels[here.area], 1 + level)
    for area in range(areas):
        if levels[area]:
            level = int(levels[area]) - 1
            role = 0 if area == resident else (1 if level == 5 else (2 if level else 3))
            add(tables.visitors, midnight_ms, 4 * area + role, who)
            if klass != NO_CLASS:
                add(tables.dwell, midnight_ms, (5 * area + min(level, 4)) * 3 + klass % 3, who)
            if level:
                add(tables.origin, midnight_ms, home * areas + area, who)
                days[area] += 1


@bare
def add_week(seed, persons, whose, klasses, homes, week, country, ground, scratch, tables, days):
    """Add at most seven local days of many persons, exact to the millisecond.

    Parameters
    ----------
    persons : i8[n]
    whose   : WHO[n]
    klasses : u1[n]  NO_CLASS = minor
    homes   : i8[n]  rows of `origin`: areas of the primary set first, then what is none
    week    : i8[days, 3]  local date, days since 1970-01-01; its midnight, ms since the first slot, may be negative;
              its length in ms
    country : simulator.population.Country
    ground  : simulator.truth.Ground
    scratch : (LEG[LEGS_MAX], PART[parts], u1[areas])
    tables  : simulator.truth.Tables  in and out
    days    : u1[n, areas]  scratch, zero: on how many days each area was visited
    """
    legs, room, levels = scratch
    for row in range(len(week)):
        date, midnight_ms, length_ms = week[row, 0], week[row, 1], week[row, 2]
        for i in range(len(persons)):
            klass, home, who = klasses[i], homes[i], whose[i]
            plan = legs[: day_plan(seed, persons[i], date, length_ms, country, legs)]
            way = room[: way_of(plan, ground.raster, room)]
            for here in way:
                begins, stays_ms, area = midnight_ms + here.begin_ms, here.end_ms - here.begin_ms, int(here.area)
                add(tables.presence, begins, area, who, stays_ms)
                if klass != NO_CLASS:
                    add(tables.profile, begins, area * CLASSES + klass, who, stays_ms)
            find_stops(way)
            add_moves(way, midnight_ms, length_ms, who, ground, tables)
            add_visits(way, midnight_ms, home, home if ground.primary else -1, klass, who, levels, days[i], tables)
    for i in range(len(persons)):
        for area in range(len(levels)):
            if days[i, area]:  # of repeat: 1, 2, 3-4, 5-7
                row = (days[i, area] > 1) + (days[i, area] > 2) + (days[i, area] > 4)
                add(tables.repeat, week[0, 1], 4 * area + row, whose[i])
