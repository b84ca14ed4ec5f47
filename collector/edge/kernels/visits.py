"""What a person did on a local day, area by area: stays, stops, arrivals, departures, trips.

A stay begins where the person has most weight, and goes on while a fix gives its area any; the
area with most weight meanwhile is entered as seen.  A stay of STOP_MS or more is a stop.  Who
leaves a stop and is seen there again within STOP_MS never left: the stay goes on since it began.
Arrivals, departures and trips lead from stop to stop.  What turns out not to have been is taken
back: an arrival of who did not stop, a departure of who never left.  Each is granted first come,
at most EACH_MAX a day and one a slot; what is refused is counted, never remembered by person.

Times are milliseconds of the local day.  One row a person and area set:
begin_ms, area  : of the stay, while the person is somewhere
stop            : area + 1 of the last stop, 0 = none; came_ms, left_ms: when it began and ended
entry           : (area + 1) * 8 + level of the longest stay, in order of being seen first; 0 = unused
slot            : slot of the day + 1 of each arrival; 0 = unused
pair            : of each arrival: entries (from * 16 + to) of the trip, or NO_TRIP
departed        : slot of the day + 1 of the last departure, 0 = none
fate            : MOVED, and what became of the last stop's departure and the stay's arrival

diary is a collector.edge.crowd.Diary.
"""

import numpy as np

from probe.base.jit import bare

ENTRIES, EACH_MAX, STOP_MS, AREAS_MAX = 12, 8, 600_000, 8_190  # and elsewhere: 13 bits of an entry
LEVELS_MS = (120_000, 300_000, 900_000, 3_600_000, 14_400_000)  # the shortest stay of levels 1 to 5
DAY = np.dtype([("begin_ms", "<i4"), ("area", "<u2"), ("fate", "u1"), ("departures", "u1"), ("departed", "u1"),
                ("stop", "<u2"), ("came_ms", "<i4"), ("left_ms", "<i4"), ("entry", "<u2", ENTRIES),
                ("slot", "u1", EACH_MAX), ("pair", "u1", EACH_MAX)])
STEPS, TRIPS, ARRIVAL, DEPARTURE, FIRST_IN_PART, FIRST_IN_HOUR, AREAS, STEP = 0, 1, 0, 1, 1, 2, 0, 1
NOTED, ROW = 0, 1  # of diary.at
NO_TRIP, MOVED, CAME, LEFT = 0xFF, 1, 2, 8  # CAME, LEFT: granted; twice as much: refused


@bare
def leave(day, s, at_ms, moved, diary):
    """End a stay in set s, for another area (moved) or for nowhere; what was no stop was no arrival."""
    stay_ms, k, level = at_ms - day.begin_ms, entry_of(day, day.area), 0
    for least_ms in LEVELS_MS:
        level += stay_ms >= least_ms
    if k < ENTRIES and day.entry[k] & 7 < level:
        day.entry[k] = day.entry[k] - (day.entry[k] & 7) + level
    if stay_ms < STOP_MS:
        fate = day.fate // CAME & 3
        if fate == 1:
            k = arrivals(day) - 1
            trip(day, s, k, -1, diary)
            day.slot[k] = 0
        step(s, day.area, ARRIVAL, fate, day.begin_ms, -1, diary)
        day.fate -= fate * CAME
        return
    day.stop, day.came_ms, day.left_ms, day.fate = day.area + 1, day.begin_ms, at_ms, moved * MOVED
    if moved:
        slot = at_ms // diary.clock[2] + 1
        fate = 1 if k < ENTRIES and day.departures < EACH_MAX and day.departed != slot else 2
        if fate == 1:
            day.departures, day.departed = day.departures + 1, slot
        step(s, day.area, DEPARTURE, fate, at_ms, 1, diary)
        day.fate += fate * LEFT


@bare
def arrive(day, s, area, at_ms, diary):
    """Begin a stay in set s, or go on with the stop that was left a while ago."""
    if day.stop == area + 1 and at_ms - day.left_ms < STOP_MS:
        fate = day.fate // LEFT & 3
        if fate == 1:
            day.departures, day.departed = day.departures - 1, 0
        step(s, area, DEPARTURE, fate, day.left_ms, -1, diary)
        day.area, day.begin_ms = area, day.came_ms
        return
    day.area, day.begin_ms, k = area, at_ms, enter(day, area, at_ms, diary)
    if day.stop and (day.fate & MOVED or day.stop != area + 1):
        n, slot, origin = arrivals(day), at_ms // diary.clock[2] + 1, entry_of(day, np.int64(day.stop) - 1)
        fate = 1 if k < ENTRIES and n < EACH_MAX and (n == 0 or day.slot[n - 1] != slot) else 2
        if fate == 1:
            day.slot[n], day.pair[n] = slot, origin * 16 + k if origin < ENTRIES else NO_TRIP
            trip(day, s, n, 1, diary)
        step(s, area, ARRIVAL, fate, at_ms, 1, diary)
        day.fate += fate * CAME


@bare
def enter(day, area, at_ms, diary):
    """Return the entry of an area that is seen, with level 0 if it is new; or ENTRIES: there is no room."""
    k = entry_of(day, area)
    if k == ENTRIES:
        k = entry_of(day, -1)
        if k < ENTRIES:
            day.entry[k] = (area + 1) * 8
        diary.cut[diary.hours[at_ms // diary.clock[2]], AREAS, np.int64(k == ENTRIES)] += 1
    return k


@bare
def trip(day, s, n, sign, diary):
    """Tell, or take back, the trip that ended with the n-th arrival of the day, which began the stay."""
    if day.pair[n] == NO_TRIP:
        return
    first, slot, zones = FIRST_IN_PART + FIRST_IN_HOUR, day.slot[n] - 1, diary.zones[s]
    for k in range(n):
        if day.pair[k] == NO_TRIP:
            continue
        earlier = day.slot[k] - 1
        if day.pair[k] == day.pair[n] and diary.parts[earlier] == diary.parts[slot]:
            first &= ~FIRST_IN_PART
        if (diary.hours[earlier] == diary.hours[slot] and
                zones[area_of(day, day.pair[k] >> 4)] == zones[area_of(day, day.pair[n] >> 4)] and
                zones[area_of(day, day.pair[k] & 15)] == zones[area_of(day, day.pair[n] & 15)]):
            first &= ~FIRST_IN_HOUR
    write(s, TRIPS, day.begin_ms, day.area, area_of(day, day.pair[n] >> 4), first, sign, diary)


@bare
def entry_of(day, area):
    """Return the entry of an area (of -1: the first that is unused), or ENTRIES."""
    k = 0
    while k < ENTRIES and day.entry[k] // 8 != area + 1 and day.entry[k] != 0:
        k += 1
    return k if k < ENTRIES and day.entry[k] // 8 == area + 1 else ENTRIES


@bare
def area_of(day, k):
    """Return the area of an entry."""
    return np.int64(day.entry[k] // 8) - 1


@bare
def arrivals(day):
    """Return how many arrivals of the day were granted."""
    n = 0
    while n < EACH_MAX and day.slot[n] != 0:
        n += 1
    return n


@bare
def step(s, area, what, fate, at_ms, sign, diary):
    """Tell, or take back, a step that is granted (fate 1); count it, and one that is refused (2); 0: there is none."""
    if fate == 1:
        write(s, STEPS, at_ms, area, 0, what, sign, diary)
    if fate:
        diary.cut[diary.hours[at_ms // diary.clock[2]], STEP + what, fate - 1] += sign


@bare
def write(s, source, at_ms, area, origin, what, sign, diary):
    """Write one record of a source, STEPS or TRIPS, of set s."""
    n = diary.counts[s, source]
    record, diary.counts[s, source], diary.by[s, source, n] = diary.records[s, source, n], n + 1, diary.at[ROW] + 1
    record.time_ms, record.area, record.origin, record.home = diary.clock[0] + at_ms, area, origin, 0
    record.klass, record.what, record.rank, record.sign = 0, what, 0, sign
