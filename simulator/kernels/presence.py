"""Person-time by slot and area: what truly happened, exact to the millisecond."""

from math import ceil, sqrt

from probe.base.jit import kernel
from simulator.kernels.move import STAY, area_at, day_plan

SLOT_MS = 900_000
PIECE_M = 25.0  # a trip is cut into pieces no longer than this; each lies where its middle does


@kernel
def add_span(presence, area, counted, from_ms, until_ms, start_ms, end_ms):
    """Add [from_ms, until_ms), as far as the window holds it, to an area's slots."""
    t = max(from_ms, start_ms)
    until = min(until_ms, end_ms)
    while t < until:
        slot = (t - start_ms) // SLOT_MS
        upto = min(until, start_ms + (slot + 1) * SLOT_MS)
        presence[slot, area, 0] += upto - t
        if counted:
            presence[slot, area, 1] += upto - t
        t = upto


@kernel
def add_trip(presence, leg, counted, midnight_ms, start_ms, end_ms, raster):
    """Add one trip: spans of pieces that lie in the same area."""
    bins, first_column, first_row, terms = raster
    dx, dy = float(leg.to_x) - leg.from_x, float(leg.to_y) - leg.from_y
    count = max(1, ceil(sqrt(dx * dx + dy * dy) / PIECE_M))
    begins, duration_ms = midnight_ms + leg.start_ms, leg.end_ms - leg.start_ms
    since, area = begins, -1
    for piece in range(count):
        part = (piece + 0.5) / count
        here = int(
            area_at(leg.from_x + dx * part, leg.from_y + dy * part, bins, first_column, first_row, terms)
        )
        if here != area:
            at = begins + duration_ms * piece // count
            if area >= 0:
                add_span(presence, area, counted, since, at, start_ms, end_ms)
            since, area = at, here
    add_span(presence, area, counted, since, begins + duration_ms, start_ms, end_ms)


@kernel
def add_day(
    seed, persons, counted, day, midnight_ms, length_ms, start_ms, end_ms, country, raster, legs, presence
):
    """Add one local day of many persons.

    Parameters
    ----------
    persons    : i8[n]
    counted    : bool[n]  whether each is counted at the edge
    day        : int      local date, days since 1970-01-01; it begins at midnight_ms (UTC), length_ms long
    start_ms, end_ms : int  the window of the truth, UTC; whole slots
    raster     : (bins, first_column, first_row, terms) of the areas
    legs       : LEG[LEGS_MAX]  scratch
    presence   : i8[slots, areas, 2]  in and out: person-ms of everyone and of the counted
    """
    for i in range(len(persons)):
        leg_count = day_plan(seed, persons[i], day, length_ms, country, legs)
        for leg in legs[:leg_count]:
            begins, ends = midnight_ms + leg.start_ms, midnight_ms + leg.end_ms
            if ends <= start_ms or begins >= end_ms:
                continue
            if leg.mode == STAY:
                area = area_at(leg.from_x, leg.from_y, raster[0], raster[1], raster[2], raster[3])
                add_span(presence, area, counted[i], begins, ends, start_ms, end_ms)
            else:
                add_trip(presence, leg, counted[i], midnight_ms, start_ms, end_ms, raster)
