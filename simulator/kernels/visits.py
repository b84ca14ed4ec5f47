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


@bare
def add_one(table, at_ms, cell, counted):
    """Add one to a cell of the span that holds at_ms, if there is one."""
    row = np.searchsorted(table.edges, at_ms, "right") - 1
    if 0 <= row < len(table.cells):
        table.cells[row, cell, 0] += 1
        table.cells[row, cell, 1] += counted


@bare
def add_time(table, from_ms, until_ms, cell, counted):
    """Add [from_ms, until_ms), as far as the spans hold it, to a cell of theirs."""
    edges, row = table.edges, max(np.searchsorted(table.edges, from_ms, "right") - 1, 0)
    while row < len(table.cells) and edges[row] < until_ms:
        held_ms = min(until_ms, edges[row + 1]) - max(from_ms, edges[row])
        table.cells[row, cell, 0] += held_ms
        table.cells[row, cell, 1] += held_ms * counted
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
def walk(seed, person, date, length_ms, country, raster, legs, way):
    """Write the way of a person on a local day; return how many parts it has.  legs: LEG[LEGS_MAX], scratch."""
    return way_of(legs[: day_plan(seed, person, date, length_ms, country, legs)], raster, way)


@bare
def add_moves(way, midnight_ms, length_ms, counted, ground, tables):
    """Add the arrivals, departures and trips of a day; at its ends nobody arrives, nobody leaves."""
    last, areas = -1, len(ground.zone_of)
    for here in way:
        if here.kind == STOP:
            begins, area = midnight_ms + here.begin_ms, int(here.area)
            if last >= 0:
                add_one(tables.moves, begins, 2 * area, counted)
                add_one(tables.flows, begins, last * areas + area, counted)
                pair = int(ground.zone_of[last]) * ground.zones + ground.zone_of[area]
                add_one(tables.zone_flows, begins, pair, counted)
            if here.end_ms < length_ms:
                add_one(tables.moves, midnight_ms + here.end_ms, 2 * area + 1, counted)
            last = area


@bare
def add_visits(way, midnight_ms, home, resident, klass, counted, levels, tables):
    """Add a person to every area of a day, once in each, by the longest stay there.

    levels : u1[areas]  out: 1 + the level of that stay, 0 = not seen there; what it was before is forgotten
    """
    levels[:], areas = 0, len(levels)
    for here in way:
        level = np.searchsorted(LEVEL_MS, here.end_ms - here.begin_ms, "right")  # 0 of a pass-by
        levels[here.area] = max(levels[here.area], 1 + level)
    for area in range(areas):
        if levels[area]:
            level = int(levels[area]) - 1
            role = 0 if area == resident else (1 if level == 5 else (2 if level else 3))
            add_one(tables.visitors, midnight_ms, 4 * area + role, counted)
            if klass != NO_CLASS:
                add_one(tables.dwell, midnight_ms, (5 * area + min(level, 4)) * 3 + klass % 3, counted)
            if level:
                add_one(tables.origin, midnight_ms, home * areas + area, counted)


@bare
def add_day(seed, persons, counted, klasses, homes, day, country, ground, scratch, tables, visited):
    """Add one local day of many persons, exact to the millisecond.

    Parameters
    ----------
    persons : i8[n]
    counted : bool[n]  whether each is counted at the edge
    klasses : u1[n]    NO_CLASS = minor
    homes   : i8[n]    rows of `origin`: areas of the primary set first, then what is none
    day     : (local date, days since 1970-01-01; its midnight, ms since the first slot, may be negative; length_ms;
              its number in the week)
    country : simulator.population.Country
    ground  : simulator.truth.Ground
    scratch : (LEG[LEGS_MAX], PART[parts], u1[areas])
    tables  : simulator.truth.Tables  in and out
    visited : u1[n, areas], or [0, areas] where nobody asks  in and out: a bit for every day of the week
    """
    date, midnight_ms, length_ms, number = day
    legs, room, levels = scratch
    for i in range(len(persons)):
        klass, agreed = klasses[i], counted[i]
        way = room[: walk(seed, persons[i], date, length_ms, country, ground.raster, legs, room)]
        for here in way:
            begins, ends, area = midnight_ms + here.begin_ms, midnight_ms + here.end_ms, int(here.area)
            add_time(tables.presence, begins, ends, area, agreed)
            if klass != NO_CLASS:
                add_time(tables.profile, begins, ends, area * CLASSES + klass, agreed)
        find_stops(way)
        add_moves(way, midnight_ms, length_ms, agreed, ground, tables)
        home = homes[i]
        add_visits(way, midnight_ms, home, home if ground.primary else -1, klass, agreed, levels, tables)
        if len(visited):
            for area in range(len(levels)):
                visited[i, area] |= (levels[area] > 1) << number
