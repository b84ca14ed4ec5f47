"""Slow, obvious answers about places and person-time.  Imports numpy only; never imports a kernel."""

from itertools import pairwise

import numpy as np

SLOT_MS = 900_000


def inside_rings(rings, x, y):
    """Return whether a point lies inside rings by the even-odd rule (crossings of a ray to the east)."""
    crossings = 0
    for ring in rings:
        for (x0, y0), (x1, y1) in pairwise(ring):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
                crossings += 1
    return crossings % 2 == 1


def places_at(legs, t_ms):
    """Return (x, y) of a day at rising times since its midnight: straight lines between the ends of legs."""
    ends_ms = np.concatenate([legs["start_ms"], legs["end_ms"][-1:]])
    return [np.interp(t_ms, ends_ms, [*legs[f"from_{axis}"], legs[f"to_{axis}"][-1]]) for axis in "xy"]


def seconds_by_slot_and_area(legs, midnight_ms, start_ms, slots, areas, area_of):
    """Return f8[slots, areas]: seconds of one person, looked at in the middle of each second.

    area_of(x, y) gives the area row of arrays of places.
    """
    t_ms = np.arange(0, int(legs["end_ms"][-1]), 1_000) + 500
    x, y = places_at(legs, t_ms)
    slot = (midnight_ms + t_ms - start_ms) // SLOT_MS
    found = np.zeros((slots, areas))
    held = (slot >= 0) & (slot < slots)
    np.add.at(found, (slot[held], area_of(x[held], y[held])), 1.0)
    return found


def stops_of(way):
    """Return [(area, begin_ms, end_ms)] of the stops of a way, [(area, begin_ms, end_ms)] without holes.

    Whoever stops, leaves and is back within ten minutes never left; looked for again after every such return.
    """
    stays, again = [list(part) for part in way], True
    while again:
        again = False
        for k, (area, begin, end) in enumerate(stays):
            back = [j for j in range(k + 1, len(stays)) if stays[j][0] == area and stays[j][1] - end < 600_000]
            if end - begin >= 600_000 and back:
                stays[k][2] = stays[back[0]][2]
                del stays[back[0]]
                again = True
                break
    return [tuple(stay) for stay in stays if stay[2] - stay[1] >= 600_000]


def counts_of(way, length_ms):
    """Return what a day holds: arrivals, departures and trips by area and instant, level of everybody's areas."""
    stops = stops_of(way)
    levels = {}
    for area, begin, end in [*way, *stops]:
        minutes = (end - begin) / 60_000
        level = sum(minutes >= least for least in (2, 5, 15, 60, 240))
        levels[area] = max(levels.get(area, 0), level)
    trips = [(a[0], b[0], b[1]) for a, b in pairwise(stops)]
    return {
        "arrivals": [(to, at) for _, to, at in trips],
        "departures": [(area, end) for area, _, end in stops if end < length_ms],
        "trips": trips,
        "levels": levels,
    }
