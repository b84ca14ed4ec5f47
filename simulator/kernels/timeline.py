"""When something happens to a handset: the instants of its own time line, and the radio looks they need.

Every instant is a pure function of (seed, person, day), so a cohort may list the looks of many
handsets first and ask the radio once.  Only the periodic update depends on what was said
before; it is listed as if nothing intervened, and dropped later if something did.
Times are ms since the start of the world.
"""

from math import ceil, sqrt

import numpy as np

from probe.base.jit import bare
from probe.base.streams import U8, bits, exponential, mix64, uniform, unit
from simulator.kernels.move import CAR, HOUR_MS, SLOT_MS, STATION, STAY, TRANSIT, day_plan, leg_at
from simulator.kernels.radio import NO_CELL, indoor_loss_db

BURST_MS_MAX, CONNECTION_MS_MAX, NOTICE_MS_MAX = 300_000, 1_500_000, 1_040
# T3412; one sample of the L3 filter; beyond any step and the connections that begin in it.
PERIODIC_MS, MEASURE_MS, LOOK_AHEAD_MS = 3_240_000, 200, 3_600_000
IDLE_LOOK_M, CONNECTED_LOOK_M, NEVER = 100.0, 5.0, (1 << 31) - 1
FRESH, LOST = 0xFFFE, 0xFFFF  # tac: just begun, or about to be switched: no update is due; out of coverage
# purposes: names of streams
ACTIVITY, COUNT, BURST, KEEP, LENGTH, CARRIER, NIGHT, PHASE, WALL, NOTICE, PAGED, REFUSE = range(120, 132)
NOTHING, START, MOVE, OUTAGE, IDLE, PERIODIC, ATTACH, DETACH = range(8)  # what a look is for

# One handset, 64 bytes.  cell: camped on, or serving.  start_ms to to_y, mode, place: the leg it is on, as in
# LEG.  burst_ms: next candidate for traffic.  due_ms: next periodic update, the last contact + PERIODIC_MS.
# switch_ms: when it is next switched on or off.  busy_ms: end of the last connection.  tac: tracking area it is
# registered in.  look: number of the next idle look on this leg.
FIELDS = {"subscriber": "u8", "person cell": "u4", "start_ms end_ms": "i4", "from_x from_y to_x to_y": "f4",
          "burst_ms due_ms switch_ms busy_ms": "i4", "tac look": "u2", "mode place carrier on": "u1"}
HANDSET = np.dtype([(name, kind) for names, kind in FIELDS.items() for name in names.split()])


@bare
def is_kept(law, person, time_ms):
    """Return whether the candidate at time_ms is traffic off a trip, too."""
    return uniform(law.seed, KEEP, person, time_ms) * law.trip_factor < 1.0


@bare
def next_burst(law, tables, h, after_ms):
    """Return the first time after after_ms at which traffic of h may begin, or NEVER.

    Candidates that fall into the rest of a stay and would come to nothing are left out at once.
    """
    person, rest_ms = np.int64(h.person), h.end_ms if h.mode == STAY else 0
    u = uniform(law.seed, ACTIVITY, person, 0)
    activity = 0 if u < 0.3 else (1 if u < 0.8 else 2)
    for slot in range((after_ms + 1) // SLOT_MS, len(tables.bursts_mean)):
        u, p = uniform(law.seed, COUNT, person, slot), tables.bursts_none[slot, activity]
        if u < p:
            continue
        found, count, total = NEVER, 0, p
        while u >= total and count < 16:
            begins = slot * SLOT_MS + np.int64(bits(law.seed, BURST, person, slot * 16 + count) % U8(SLOT_MS))
            if after_ms < begins < found and (begins >= rest_ms or is_kept(law, person, begins)):
                found = begins
            count += 1
            p *= tables.bursts_mean[slot, activity] / count
            total += p
        if found < NEVER:
            return found
    return NEVER


@bare
def takes_place(law, h):
    """Return whether the candidate h.burst_ms is traffic: always on a trip, less often off it."""
    return h.on != 0 and (h.mode != STAY or is_kept(law, np.int64(h.person), np.int64(h.burst_ms)))


@bare
def burst_end(law, h):
    """Return when the connection that carries the burst at h.burst_ms would be released."""
    mean = 1_000.0 * (law.transit_data_s if h.mode == TRANSIT else law.data_s)
    length = mean * exponential(law.seed, LENGTH, np.int64(h.person), np.int64(h.burst_ms))
    return h.burst_ms + 200 + np.int64(min(length, BURST_MS_MAX)) + np.int64(1_000.0 * law.inactivity_s)


@bare
def is_paged(law, person, time_ms):
    """Return whether the network began the session at time_ms."""
    return uniform(law.seed, PAGED, person, time_ms) < law.paged_share


@bare
def refuses(law, person, time_ms):
    """Return whether the connection opened at time_ms may not be used for counting."""
    return uniform(law.seed, REFUSE, person, time_ms) < law.refusing_share


@bare
def carrier_at(law, person, time_ms):
    """Return the carrier of the session at time_ms: load is spread over them."""
    return np.int64(bits(law.seed, CARRIER, person, time_ms) % U8(law.carriers))


@bare
def next_switch(law, tables, person, after_ms):
    """Return (when, on): what the next switch of a handset after after_ms turns it to; NEVER, 0 where there is none.

    Some are switched off: from 22:00-0:30 to 5:30-7:30, nine nights of ten.
    """
    if uniform(law.seed, NIGHT, person, 0) < law.switch_off_share:
        for d in range(len(tables.midnight_ms) - 1):
            x = bits(law.seed, NIGHT, person, law.first_day + d + 1)
            off = tables.midnight_ms[d] + np.int64((22.0 + 2.5 * unit(x)) * HOUR_MS)
            on = tables.midnight_ms[d + 1] + np.int64((5.5 + 2.0 * unit(mix64(x + U8(1)))) * HOUR_MS)
            if on > after_ms and unit(mix64(x + U8(2))) < 0.9:
                return (off, 0) if off > after_ms else (on, 1)
    return NEVER, 0


@bare
def notices_ms(law, person):
    """Return how long after a failure of its base station a handset looks for another."""
    return 40 + np.int64(bits(law.seed, NOTICE, person, 0) % U8(NOTICE_MS_MAX - 40))


@bare
def take_leg(h, time_ms, law, tables, country, legs):
    """Put handset h on the leg that holds time_ms.  legs: LEG[LEGS_MAX], scratch."""
    d = np.searchsorted(tables.midnight_ms, time_ms, "right") - 1
    midnight, next_midnight = tables.midnight_ms[d], tables.midnight_ms[d + 1]
    n = day_plan(law.seed, np.int64(h.person), law.first_day + d, next_midnight - midnight, country, legs)
    leg = legs[leg_at(legs, n, time_ms - midnight)]
    h.start_ms, h.end_ms = leg.start_ms + midnight, leg.end_ms + midnight
    h.from_x, h.from_y, h.to_x, h.to_y = leg.from_x, leg.from_y, leg.to_x, leg.to_y
    h.mode, h.place, h.look = leg.mode, leg.place, 1


@bare
def path_m(h):
    """Return the length of the leg."""
    return sqrt((np.float64(h.to_x) - h.from_x) ** 2 + (np.float64(h.to_y) - h.from_y) ** 2)


@bare
def idle_look_ms(h):
    """Return when idle handset h looks at the radio next on this leg: every 100 m of path, or NEVER."""
    if h.mode == STAY or h.on == 0:
        return NEVER
    length_m, done_m = path_m(h), h.look * IDLE_LOOK_M
    return NEVER if done_m >= length_m else h.start_ms + np.int64((h.end_ms - h.start_ms) * (done_m / length_m))


@bare
def pass_looks(h, time_ms):
    """Leave out idle looks up to time_ms."""
    while idle_look_ms(h) <= time_ms:
        h.look += 1


@bare
def connected_every_ms(h):
    """Return the time between two looks while connected: 5 m of path, in whole samples; NEVER at rest."""
    length_m = path_m(h)
    if h.mode == STAY or length_m < 1.0:
        return NEVER
    return MEASURE_MS * ceil(CONNECTED_LOOK_M * (h.end_ms - h.start_ms) / length_m / MEASURE_MS)


@bare
def walls_db(law, tables, h):
    """Return the loss [dB] of walls or car about handset h: the same whenever it is in that kind of place."""
    inside = h.mode == STAY and h.place != STATION
    name = np.int64(h.place) if inside else 16 + np.int64(h.mode)
    kind = 2 if inside else (1 if h.mode == CAR or h.mode == TRANSIT else 0)
    return indoor_loss_db(kind, bits(law.seed, WALL, np.int64(h.person), name), tables.wall_db[h.carrier])


@bare
def begin(handsets, law, tables, country, legs):
    """Set handsets, whose subscriber and person are known, to the start of the world."""
    for row in range(len(handsets)):
        h, person = handsets[row], np.int64(handsets[row].person)
        take_leg(h, 0, law, tables, country, legs)
        h.switch_ms, wakes = next_switch(law, tables, person, 0)
        h.on, h.burst_ms, h.busy_ms = 1 - wakes, next_burst(law, tables, h, -1), -1
        h.due_ms = np.int64(uniform(law.seed, PHASE, person, 0) * PERIODIC_MS) if h.on else NEVER
        pass_looks(h, -1)
        h.cell, h.tac, h.carrier = NO_CELL, FRESH, carrier_at(law, person, 0)
