"""Person-time by slot and area: what truly happened, exact to the millisecond."""

from math import ceil, sqrt

from probe.base.jit import bare
from simulator.kernels.move import area_at, day_plan
from simulator.kernels.timeline import SLOT_MS

PIECE_M = 25.0  # a trip is cut into pieces no longer than this; each lies where its middle does


@bare
def add_span(presence, area, counted, from_ms, until_ms):
    """Add [from_ms, until_ms), as far as the window holds it, to an area's slots."""
    t, until = max(from_ms, 0), min(until_ms, len(presence) * SLOT_MS)
    while t < until:
        slot = t // SLOT_MS
        upto = min(until, (slot + 1) * SLOT_MS)
        presence[slot, area, 0] += upto - t
        presence[slot, area, 1] += (upto - t) * counted
        t = upto


@bare
def add_leg(presence, leg, counted, begins_ms, raster):
    """Add one leg that begins at begins_ms: spans of pieces that lie in the same area; a stay is one piece."""
    dx, dy = float(leg.to_x) - leg.from_x, float(leg.to_y) - leg.from_y
    count, duration_ms = max(1, ceil(sqrt(dx * dx + dy * dy) / PIECE_M)), leg.end_ms - leg.start_ms
    since, area = begins_ms, -1
    for piece in range(count):
        part = (piece + 0.5) / count
        here = int(area_at(leg.from_x + dx * part, leg.from_y + dy * part, *raster))
        if here != area:
            at = begins_ms + duration_ms * piece // count
            if area >= 0:
                add_span(presence, area, counted, since, at)
            since, area = at, here
    add_span(presence, area, counted, since, begins_ms + duration_ms)


@bare
def add_day(seed, persons, counted, day, midnight_ms, length_ms, country, raster, legs, presence):
    """Add one local day of many persons.

    Parameters
    ----------
    persons    : i8[n]
    counted    : bool[n]  whether each is counted at the edge
    day        : int      local date, days since 1970-01-01, length_ms long
    midnight_ms : int     its beginning since that of the first slot, may be negative
    raster     : (bins, first_column, first_row, terms) of the areas
    legs       : LEG[LEGS_MAX]  scratch
    presence   : i8[slots, areas, 2]  in and out: person-ms of everyone and of the counted
    """
    for i in range(len(persons)):
        for leg in legs[: day_plan(seed, persons[i], day, length_ms, country, legs)]:
            if midnight_ms + leg.end_ms > 0 and midnight_ms + leg.start_ms < len(presence) * SLOT_MS:
                add_leg(presence, leg, counted[i], midnight_ms + leg.start_ms, raster)
