"""Where people are: the day of one person as legs, a place on a leg, its area.

A day is written whole, as stays and trips from midnight to midnight, and is a pure function
of (seed, person, day): whoever asks again gets the same day.  Paths are straight lines; the
detours of real streets are inside the speeds.

Sources: Mobilitaet in Deutschland 2017 (MiD, Ergebnisbericht): 3.1 trips per person and day,
85 % of people leave home on a day, peaks at 7-9 and 16-18 h, about 22 % of trips on foot.
Bicycles are left out.  Shares and hours that are not named there are assumptions.
"""

from math import floor, sqrt

import numpy as np

from probe.base.jit import bare
from probe.base.streams import bits
from simulator.kernels.people import PERSON, bell, draw, home_of, pick, share, spot

STAY, WALK, CAR, TRANSIT = range(4)  # mode
HOME, WORK, ERRAND, LEISURE, SCHOOL, OUTSIDE, STATION = range(7)  # place; of a trip: where it leads
DAY, NO_JOB = 102, 255  # purpose: name of a stream; in the place of a place
LEGS_MAX = 40  # 3 tours of a stay at home, 3 trips of at most 3 legs, 2 stays; and the night: 37
LEG = np.dtype([("start_ms", "i4"), ("end_ms", "i4"), ("from_x", "f4"), ("from_y", "f4"), ("to_x", "f4"),
                ("to_y", "f4"), ("mode", "u1"), ("place", "u1")], align=True)  # ms since midnight, local metres
MINUTE_MS, SLOT_MS, HOUR_MS = 60_000, 900_000, 3_600_000
# Speed by mode; a piece of a trip, when it is told by area, is no longer and lies where its middle does.
SPEED_M_S, PACE_SIGMA, PIECE_M = (0.0, 1.3, 8.0, 7.0), 0.12, 25.0
SLOWEST_M_S, SLOWEST_EXTRA_MS = 4.0, 50 * MINUTE_MS  # no trip takes longer than this, by mode and pace
# By tour of the day: the mean and deviation of the hour it begins, the shares of people who set out for it.
TOUR_HOUR = ((9.8, 1.2), (15.9, 1.2), (18.3, 1.0))
TOUR_SHARE, TOUR_SHARE_WORKING = (0.66, 0.7, 0.28), (1.0, 0.0, 0.48)


@bare
def distance_m(a, b):
    """Return the length of a straight line."""
    return sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2)


@bare
def near(a, far_m, key, index):
    """Return a place about `far_m` from a (two draws)."""
    return a[0] + far_m * bell(key, index), a[1] + far_m * bell(key, index + 1)


@bare
def beyond(country, key, index):
    """Return (x_m, y_m) of a place 5 to 15 km beyond the edge of the map, any direction (three draws)."""
    dx, dy = bell(key, index), bell(key, index + 1) + 1e-9
    far = (country.reach_m + 5_000.0 + 10_000.0 * share(key, index + 2)) / sqrt(dx * dx + dy * dy)
    return country.middle_x_m + dx * far, country.middle_y_m + dy * far


@bare
def person_of(seed, person, country):
    """Return (home area, home, job, its place, whether a car is used); job is a place or NO_JOB."""
    area, home = home_of(seed, person, country)
    key = bits(seed, PERSON, person, 1)
    if share(key, 0) < country.minor_share:
        return area, home, SCHOOL, near(home, 600.0, key, 1), False
    job, job_at = NO_JOB, home
    if share(key, 3) < country.worker_share:
        job, job_at = WORK, spot(country, pick(country.work_cum[area], draw(key, 4)), key, 5)
        if share(key, 7) < country.outside_share:
            job, job_at = OUTSIDE, beyond(country, key, 8)
    return area, home, job, job_at, share(key, 11) < 0.7


@bare
def put(legs, n, end_ms, to, mode, place):
    """Write leg n, which begins when and where the one before ends; return n + 1."""
    leg, before = legs[n], legs[n - 1]
    leg.start_ms, leg.from_x, leg.from_y = before.end_ms, before.to_x, before.to_y
    leg.end_ms, leg.to_x, leg.to_y, leg.mode, leg.place = end_ms, to[0], to[1], mode, place
    return n + 1


@bare
def trip(legs, n, here, to, car, place, key, index):
    """Write a trip from the end of leg n - 1; return n after it.  Draws index to index + 2.

    On foot when near (more often the nearer); else by car, or by transit: a walk to the
    station, a wait of 0.5 to 3 minutes, the ride.
    """
    t, far_m, u = np.int64(legs[n - 1].end_ms), distance_m(here, to), share(key, index)
    pace_ms = 1_000.0 / (1.0 + PACE_SIGMA * bell(key, index + 1))  # ms per s at mean speed
    on_foot = far_m < 400.0 + 1_800.0 * u * u
    if on_foot or car:
        mode = WALK if on_foot else CAR
        return put(legs, n, t + 1_000 + int(far_m / SPEED_M_S[mode] * pace_ms), to, mode, place)
    part = min(300.0 / far_m, 0.2)
    station = here[0] + (to[0] - here[0]) * part, here[1] + (to[1] - here[1]) * part
    there = t + 1_000 + int(part * far_m / SPEED_M_S[WALK] * pace_ms)
    leaves = there + 30_000 + int(share(key, index + 2) * 150_000.0)
    n = put(legs, put(legs, n, there, station, WALK, STATION), leaves, station, STAY, STATION)
    end = leaves + 1_000 + int((1.0 - part) * far_m / SPEED_M_S[TRANSIT] * pace_ms)
    return put(legs, n, end, to, TRANSIT, place)


@bare
def slowest_ms(here, to):
    """Return a time in which any trip between two places ends."""
    return SLOWEST_EXTRA_MS + int(distance_m(here, to) / SLOWEST_M_S * 1_000.0)


@bare
def place_for(what, here, area, free, country, key, index):
    """Return (place, (x_m, y_m)) for an errand or leisure (draws index to index + 3)."""
    u = share(key, index)
    away, nearby = (0.02, 0.4) if what == ERRAND else (0.12 if free else 0.05, 0.15)
    if u < away:
        return OUTSIDE, beyond(country, key, index + 1)
    if u < away + nearby:
        return what, near(here, 500.0, key, index + 1)
    return what, spot(country, pick(country.leisure_cum[area], draw(key, index + 1)), key, index + 2)


@bare
def day_plan(seed, person, day, length_ms, country, legs):
    """Write the local day of a person; return the number of legs.

    person, day : int   day counts local dates from 1970-01-01
    length_ms   : int   23, 24 or 25 hours
    country     : Country
    legs        : LEG[LEGS_MAX]  out: stays and trips that tile [0, length_ms), home to home
    """
    area, home, job, job_at, car = person_of(seed, person, country)
    key, n = bits(seed, DAY, person, day), 0
    put(legs, LEGS_MAX - 1, 0, home, STAY, HOME)  # legs[-1], before the first: the night before
    free, weekday = (day + 3) % 7 > 4, (day + 3) % 7  # 1970-01-01 was a Thursday
    working, out = not free and job != NO_JOB and share(key, 1) < 0.85, share(key, 0) < (0.72 if weekday == 6 else 0.87)
    for number in range(3 if out else 0):  # the others stay at home
        index = 9 + 40 * number  # of the draws of a tour, to index + 33
        if share(key, index - 1) >= (TOUR_SHARE_WORKING[number] if working else TOUR_SHARE[number]):
            continue
        to_job, what = working and number == 0, LEISURE if share(key, index) < (0.65 if number > 1 else 0.4) else ERRAND
        place, to = (job, job_at) if to_job else place_for(what, home, area, free, country, key, index + 1)
        u = share(key, index + 6)
        shift = (7.6, 0.9) if u < 0.8 else (12.8, 1.0) if u < 0.92 else (5.2, 0.4)
        mean, spread = TOUR_HOUR[number] if not to_job else (7.45, 0.25) if job == SCHOOL else shift
        leaves = max(int((mean + spread * bell(key, index + 5)) * HOUR_MS), legs[n - 1].end_ms + 10 * MINUTE_MS)
        if leaves + 2 * slowest_ms(home, to) + 2 * MINUTE_MS > length_ms:
            continue  # nobody sets out for a place from which they would not be home by midnight
        n = put(legs, n, leaves, home, STAY, HOME)
        n = visit(legs, n, length_ms, home, to, place, home, job, car, key, index + 7)
        if share(key, index + 22) < 0.36:  # a shop on the way back, near home or near here
            shop = near(home if share(key, index + 23) < 0.6 else to, 400.0, key, index + 24)
            if legs[n - 1].end_ms + slowest_ms(to, shop) + slowest_ms(shop, home) + 2 * MINUTE_MS <= length_ms:
                n, to = visit(legs, n, length_ms, to, shop, ERRAND, home, job, car, key, index + 26), shop
        n = trip(legs, n, to, home, car, HOME, key, index + 31)
    return put(legs, n, length_ms, home, STAY, HOME)


@bare
def visit(legs, n, length_ms, here, to, place, home, job, car, key, index):
    """Write the way to a place and a stay that leaves time to be home by midnight.  Draws index to index + 4."""
    n = trip(legs, n, here, to, car, place, key, index)
    u, v = share(key, index + 3), share(key, index + 4)
    at_job = (6.8, 1.1) if job == SCHOOL else (8.5, 0.8) if u < 0.7 else (5.2, 0.9)  # full, part time
    mean, spread = at_job if place == job else (1.8, 0.6)
    stay_ms = max(int((mean + spread * bell(key, index + 4)) * HOUR_MS), 2 * MINUTE_MS)
    if place == ERRAND:  # a short stop, or shopping
        stay_ms = int((2.0 + 13.0 * v if u < 0.55 else 15.0 + 45.0 * v) * MINUTE_MS)
    return put(legs, n, min(legs[n - 1].end_ms + stay_ms, length_ms - slowest_ms(to, home)), to, STAY, place)


@bare
def position(leg, t_ms):
    """Return (x_m, y_m), f4, of a leg at t_ms since local midnight."""
    part = (t_ms - leg.start_ms) / (leg.end_ms - leg.start_ms)
    x, y = leg.from_x + (leg.to_x - leg.from_x) * part, leg.from_y + (leg.to_y - leg.from_y) * part
    return np.float32(x), np.float32(y)


@bare
def leg_at(legs, n, t_ms):
    """Return which of n legs holds t_ms since local midnight; the last one after its end."""
    return np.searchsorted(legs["end_ms"][: n - 1], t_ms, "right")


@bare
def area_at(x, y, bins, first_column, first_row, terms):
    """Return the area row of a place.

    x, y : float  local metres; the rest is of probe.wire.areas.AreaSet: bins u2[rows, columns],
    first_column, first_row int, terms f8[2, 6].  The outermost bins are elsewhere, so a
    place off the raster is clamped to it.
    """
    a, b, xx, xy, yy = terms[0], terms[1], x * x, x * y, y * y
    column = floor(a[0] + a[1] * x + a[2] * y + a[3] * xx + a[4] * xy + a[5] * yy) - first_column
    row = floor(b[0] + b[1] * x + b[2] * y + b[3] * xx + b[4] * xy + b[5] * yy) - first_row
    return bins[min(max(row, 0), bins.shape[0] - 1), min(max(column, 0), bins.shape[1] - 1)]
