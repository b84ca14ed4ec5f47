"""Where people are: the day of one person as legs, a place on a leg, the area of a place.

A day is written whole, as stays and trips from midnight to midnight, and is a pure function
of (seed, person, day): whoever asks again gets the same day.  Paths are straight lines; the
detours of real streets are inside the speeds.

Sources: Mobilitaet in Deutschland 2017 (MiD, Ergebnisbericht): 3.1 trips per person and day,
85 % of people leave home on a day, peaks at 7-9 and 16-18 h, about 22 % of trips on foot.
Bicycles are left out.  Shares and hours that are not named there are assumptions.
"""

from math import floor, sqrt

import numpy as np

from probe.base.jit import kernel
from probe.base.streams import bits
from simulator.kernels.people import PERSON, bell, draw, home_of, pick, share, spot

DAY = 102  # purpose: name of a stream
STAY, WALK, CAR, TRANSIT = range(4)  # mode
HOME, WORK, ERRAND, LEISURE, SCHOOL, OUTSIDE, STATION = range(7)  # place; of a trip: where it leads
NO_JOB = 255
LEGS_MAX = 40  # 3 tours of a stay at home, 3 trips of at most 3 legs, 2 stays; and the night: 37
LEG = np.dtype(  # times since local midnight, places in local metres
    [("start_ms", "i4"), ("end_ms", "i4"), ("from_x", "f4"), ("from_y", "f4"), ("to_x", "f4"), ("to_y", "f4"),
     ("mode", "u1"), ("place", "u1")],
    align=True,
)  # fmt: skip
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
WALK_M_S, CAR_M_S, TRANSIT_M_S = 1.3, 8.0, 7.0
PACE_SIGMA = 0.12
SLOWEST_M_S, SLOWEST_EXTRA_MS = 4.0, 50 * MINUTE_MS  # no trip takes longer than this, by mode and pace


@kernel
def beyond(country, key, index):
    """Return (x_m, y_m) of a place 5 to 15 km beyond the edge of the map, any direction (three draws)."""
    dx, dy = bell(key, index), bell(key, index + 1) + 1e-9
    far = (country.reach_m + 5_000.0 + 10_000.0 * share(key, index + 2)) / sqrt(dx * dx + dy * dy)
    return country.middle_x_m + dx * far, country.middle_y_m + dy * far


@kernel
def person_of(seed, person, country):
    """Return (home area, home x and y, job, its x and y, whether a car is used); job is a place or NO_JOB."""
    area, x, y = home_of(seed, person, country)
    key = bits(seed, PERSON, person, 1)
    minor = share(key, 0) < country.minor_share
    job, job_x, job_y = NO_JOB, x, y
    if minor:
        job, job_x, job_y = SCHOOL, x + 600.0 * bell(key, 1), y + 600.0 * bell(key, 2)
    elif share(key, 3) < country.worker_share:
        job = WORK
        job_x, job_y = spot(country, pick(country.work_cum[area], draw(key, 4)), key, 5)
        if share(key, 7) < country.outside_share:
            job = OUTSIDE
            job_x, job_y = beyond(country, key, 8)
    return area, x, y, job, job_x, job_y, share(key, 11) < 0.7 and not minor


@kernel
def put(legs, n, start_ms, end_ms, from_x, from_y, to_x, to_y, mode, place):
    """Write leg n and return n + 1."""
    leg = legs[n]
    leg.start_ms, leg.end_ms = start_ms, end_ms
    leg.from_x, leg.from_y, leg.to_x, leg.to_y = from_x, from_y, to_x, to_y
    leg.mode, leg.place = mode, place
    return n + 1


@kernel
def trip(legs, n, t, x, y, to_x, to_y, car, place, key, index):
    """Write a trip that starts at t; return (n, its end).  Draws index to index + 2.

    On foot when near (more often the nearer); else by car, or by transit: a walk to the
    station, a wait of 0.5 to 3 minutes, the ride.
    """
    dx, dy = to_x - x, to_y - y
    far_m = sqrt(dx * dx + dy * dy)
    u = share(key, index)
    pace_ms = 1_000.0 / (1.0 + PACE_SIGMA * bell(key, index + 1))  # ms per s at mean speed
    if far_m < 400.0 + 1_800.0 * u * u:
        end = t + 1_000 + int(far_m / WALK_M_S * pace_ms)
        return put(legs, n, t, end, x, y, to_x, to_y, WALK, place), end
    if car:
        end = t + 1_000 + int(far_m / CAR_M_S * pace_ms)
        return put(legs, n, t, end, x, y, to_x, to_y, CAR, place), end
    on_foot = min(300.0 / far_m, 0.2)
    station_x, station_y = x + dx * on_foot, y + dy * on_foot
    there = t + 1_000 + int(on_foot * far_m / WALK_M_S * pace_ms)
    leaves = there + 30_000 + int(share(key, index + 2) * 150_000.0)
    end = leaves + 1_000 + int((1.0 - on_foot) * far_m / TRANSIT_M_S * pace_ms)
    n = put(legs, n, t, there, x, y, station_x, station_y, WALK, STATION)
    n = put(legs, n, there, leaves, station_x, station_y, station_x, station_y, STAY, STATION)
    return put(legs, n, leaves, end, station_x, station_y, to_x, to_y, TRANSIT, place), end


@kernel
def slowest_ms(x, y, to_x, to_y):
    """Return a time in which any trip between two places ends."""
    dx, dy = to_x - x, to_y - y
    return SLOWEST_EXTRA_MS + int(sqrt(dx * dx + dy * dy) / SLOWEST_M_S * 1_000.0)


@kernel
def place_for(what, x, y, area, free, country, key, index):
    """Return (place, x_m, y_m) for an errand or leisure (draws index to index + 3)."""
    u = share(key, index)
    away = 0.02 if what == ERRAND else (0.12 if free else 0.05)
    near = 0.4 if what == ERRAND else 0.15
    if u < away:
        to_x, to_y = beyond(country, key, index + 1)
        return OUTSIDE, to_x, to_y
    if u < away + near:
        return what, x + 500.0 * bell(key, index + 1), y + 500.0 * bell(key, index + 2)
    to_x, to_y = spot(country, pick(country.leisure_cum[area], draw(key, index + 1)), key, index + 2)
    return what, to_x, to_y


@kernel
def stay_ms(place, job, key, index):
    """Return how long somebody stays (draws index and index + 1)."""
    u, v = share(key, index), share(key, index + 1)
    if place == ERRAND:  # a short stop, or shopping
        return int((2.0 + 13.0 * v if u < 0.55 else 15.0 + 45.0 * v) * MINUTE_MS)
    mean, spread = 1.8, 0.6
    if place == job:
        mean, spread = (8.5, 0.8) if u < 0.7 else (5.2, 0.9)  # full and part time
        if job == SCHOOL:
            mean, spread = 6.8, 1.1
    return max(int((mean + spread * bell(key, index + 1)) * HOUR_MS), 2 * MINUTE_MS)


@kernel
def begins_ms(number, to_job, job, key, index):
    """Return when tour `number` of the day leaves home (draws index and index + 1)."""
    mean, spread = (9.8, 1.2) if number == 0 else ((15.9, 1.2) if number == 1 else (18.3, 1.0))
    if to_job:
        u = share(key, index + 1)
        mean, spread = (7.6, 0.9) if u < 0.8 else ((12.8, 1.0) if u < 0.92 else (5.2, 0.4))
        if job == SCHOOL:
            mean, spread = 7.45, 0.25
    return int((mean + spread * bell(key, index)) * HOUR_MS)


@kernel
def day_plan(seed, person, day, length_ms, country, legs):
    """Write the local day of a person; return the number of legs.

    person, day : int   day counts local dates from 1970-01-01
    length_ms   : int   23, 24 or 25 hours
    country     : Country
    legs        : LEG[LEGS_MAX]  out: stays and trips that tile [0, length_ms), home to home
    """
    who = person_of(seed, person, country)
    key = bits(seed, DAY, person, day)
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    free = weekday > 4
    _, home_x, home_y, job, _, _, _ = who
    working = not free and job != NO_JOB and share(key, 1) < 0.85
    n, t = 0, 0
    if share(key, 0) < (0.72 if weekday == 6 else 0.87):  # the others stay at home
        for number in range(3):
            wanted = 0.66 if number == 0 else (0.7 if number == 1 else 0.28)
            if working:
                wanted = 1.0 if number == 0 else (0.0 if number == 1 else 0.48)
            index = 8 + 40 * number
            if share(key, index) < wanted:
                n, t = tour(legs, n, t, length_ms, number, working, free, who, country, key, index + 1)
    return put(legs, n, t, length_ms, home_x, home_y, home_x, home_y, STAY, HOME)


@kernel
def tour(legs, n, t, length_ms, number, working, free, who, country, key, index):
    """Write the stay at home, the way out, what is done there and the way back; return (n, end).

    Nobody sets out for a place from which they would not be home by midnight.
    Draws index to index + 33.
    """
    area, x, y, job, job_x, job_y, car = who
    to_job = working and number == 0
    what = LEISURE if share(key, index) < (0.65 if number == 2 else 0.4) else ERRAND
    place, to_x, to_y = place_for(what, x, y, area, free, country, key, index + 1)
    if to_job:
        place, to_x, to_y = job, job_x, job_y
    leaves = max(begins_ms(number, to_job, job, key, index + 5), t + 10 * MINUTE_MS)
    slow = slowest_ms(x, y, to_x, to_y)
    if leaves + 2 * slow + 2 * MINUTE_MS > length_ms:
        return n, t
    n = put(legs, n, t, leaves, x, y, x, y, STAY, HOME)
    n, t = trip(legs, n, leaves, x, y, to_x, to_y, car, place, key, index + 7)
    until = min(t + stay_ms(place, job, key, index + 10), length_ms - slow)
    n = put(legs, n, t, until, to_x, to_y, to_x, to_y, STAY, place)
    if share(key, index + 22) < 0.36:  # a shop on the way back, near home or near here
        near_x, near_y = (x, y) if share(key, index + 23) < 0.6 else (to_x, to_y)
        shop_x, shop_y = near_x + 400.0 * bell(key, index + 24), near_y + 400.0 * bell(key, index + 25)
        slow = slowest_ms(shop_x, shop_y, x, y)
        if until + slowest_ms(to_x, to_y, shop_x, shop_y) + slow + 2 * MINUTE_MS <= length_ms:
            n, t = trip(legs, n, until, to_x, to_y, shop_x, shop_y, car, ERRAND, key, index + 26)
            to_x, to_y = shop_x, shop_y
            until = min(t + stay_ms(ERRAND, NO_JOB, key, index + 29), length_ms - slow)
            n = put(legs, n, t, until, to_x, to_y, to_x, to_y, STAY, ERRAND)
    return trip(legs, n, until, to_x, to_y, x, y, car, HOME, key, index + 31)


@kernel
def position(leg, t_ms):
    """Return (x_m, y_m), f4, of a leg at t_ms since local midnight."""
    if leg.mode == STAY:
        return leg.from_x, leg.from_y
    part = (t_ms - leg.start_ms) / (leg.end_ms - leg.start_ms)
    x, y = leg.from_x + (leg.to_x - leg.from_x) * part, leg.from_y + (leg.to_y - leg.from_y) * part
    return np.float32(x), np.float32(y)


@kernel
def leg_at(legs, n, t_ms):
    """Return which of n legs holds t_ms since local midnight; the last one after its end."""
    i = 0
    while i < n - 1 and legs[i].end_ms <= t_ms:
        i += 1
    return i


@kernel
def area_at(x, y, bins, first_column, first_row, terms):
    """Return the area row of a place.

    x, y : float  local metres; the rest is of probe.wire.areas.AreaSet: bins u2[rows, columns],
    first_column, first_row int, terms f8[2, 6].  The outermost bins are elsewhere, so a
    place off the raster is clamped to it.
    """
    xx, xy, yy = x * x, x * y, y * y
    a, b = terms[0], terms[1]
    column = floor(a[0] + a[1] * x + a[2] * y + a[3] * xx + a[4] * xy + a[5] * yy) - first_column
    row = floor(b[0] + b[1] * x + b[2] * y + b[3] * xx + b[4] * xy + b[5] * yy) - first_row
    return bins[min(max(row, 0), bins.shape[0] - 1), min(max(column, 0), bins.shape[1] - 1)]
