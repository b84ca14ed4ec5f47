"""Slow, obvious answers for the counting half of the edge.  Imports numpy only; never a kernel."""

import itertools

import numpy as np

DETACH, CELL_ONLY = 2, 1


def siphash_2_4(key: bytes, message: bytes) -> int:
    """SipHash-2-4 of any message, typed from Aumasson and Bernstein (2012), section 2."""
    mask = (1 << 64) - 1
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def left(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & mask

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = left(v[1], 13) ^ v[0]
            v[0] = left(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = left(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = left(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = left(v[1], 17) ^ v[2]
            v[2] = left(v[2], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def mix64(x):
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
    return x ^ (x >> 31)


def timely(batches, start_ms, lateness_ms):
    """The rows that are not late: [(rows, watermark_ms)] in, one list of rows out."""
    kept, bound = [], start_ms
    for rows, watermark_ms in batches:
        kept += [row for row in rows if row["time_ms"] >= bound]
        bound = max(bound, watermark_ms - lateness_ms)
    return kept


def presence(rows, midnights_ms, expiry_ms, slot_ms, slots, area_count):
    """Person-ms x 64 by (slot, area): the stays of each person, one after the other.

    rows: dicts with time_ms, person, kind, cell, content and units (by area), none late.
    A stay lasts until the next row of the same person and day, the expiry or midnight.
    """
    tally = {slot: np.zeros(area_count, np.int64) for slot in slots}
    for mine, _, last_ms in person_days(rows, midnights_ms):
        for begin_ms, end_ms, held, _ in holds(mine, last_ms, expiry_ms):
            add_stay(tally, begin_ms, end_ms, held["units"], slot_ms)
    return tally


def person_days(rows, midnights_ms):
    """(rows of one person on one local day in order, its begin, its end), for each."""
    for first_ms, last_ms in itertools.pairwise(midnights_ms):
        today = [row for row in rows if first_ms <= row["time_ms"] < last_ms]
        for person in sorted({row["person"] for row in today}):
            mine = [row for row in today if row["person"] == person]
            yield sorted(mine, key=lambda row: (row["time_ms"], row["kind"], row["cell"])), first_ms, last_ms


def holds(mine, last_ms, expiry_ms):
    """[(begin, end, the row that says where, whether the person is seen elsewhere at the end)] of one person-day."""
    found, held, silent_ms = [], None, None
    for row, following in zip(mine, [*mine, None][1:], strict=True):
        here = held is not None and row["time_ms"] < silent_ms
        if row["kind"] == DETACH:
            held = None
        elif not (here and row["content"] == CELL_ONLY and row["cell"] == held["cell"]):
            held = row
        silent_ms = row["time_ms"] + expiry_ms
        end_ms = min(silent_ms, last_ms, following["time_ms"] if following else last_ms)
        if held is not None:
            seen = following is not None and following["kind"] != DETACH and following["time_ms"] < silent_ms
            found.append((row["time_ms"], end_ms, held, seen))
    return found


def add_stay(tally, from_ms, until_ms, units, slot_ms):
    """Share a stay among the slots that it touches."""
    for slot, areas in tally.items():
        overlap_ms = min(until_ms, (slot + 1) * slot_ms) - max(from_ms, slot * slot_ms)
        if overlap_ms > 0:
            for area, weight in units.items():
                areas[area] += weight * overlap_ms


ENTRIES_MAX, EACH_MAX, WEEK_AREAS_MAX, STOP_MS = 12, 8, 16, 600_000
LEVELS_MS = (120_000, 300_000, 900_000, 3_600_000, 14_400_000)


def by_area(units, area_of):
    """{area: units} of the units of pieces."""
    found = {}
    for piece, weight in units.items():
        found[area_of[piece]] = found.get(area_of[piece], 0) + weight
    return found


def main_area(held):
    """The area with most units, of equals the first."""
    return min(held, key=lambda area: (-held[area], area))


def stays(mine, last_ms, expiry_ms, area_of):
    """[[begin, end, area, left for another area, seen]] of one person-day: until no fix speaks of the area, or gone.

    seen: [(time, area)] of the areas that had most units meanwhile; a fix that says just the same again is no news.
    """
    found, joined, told = [], False, None
    for begin_ms, end_ms, row, seen_on in holds(mine, last_ms, expiry_ms):
        held, units = by_area(row["units"], area_of), list(row["units"].items())
        area = main_area(held)
        if joined and found[-1][2] in held:
            found[-1][1] = end_ms
            if area != found[-1][2] and units != told:
                found[-1][4].append((begin_ms, area))
        else:
            if joined:
                found[-1][3] = True
            found.append([begin_ms, end_ms, area, False, []])
        joined, told = seen_on, units
    return found


def without_returns(found):
    """(stays, sights) with hindsight: a stop goes on where its area is seen again in time; (time, area) of the rest."""
    whole, sights, stop = [], [], None
    for begin_ms, end_ms, area, moved, seen in found:
        if stop is not None and stop[2] == area and begin_ms - stop[1] < STOP_MS:
            stop[1], stop[3] = end_ms, moved
        else:
            whole.append([begin_ms, end_ms, area, moved])
            sights.append((begin_ms, area))
            if end_ms - begin_ms >= STOP_MS:
                stop = whole[-1]
        sights += seen
    return whole, sights


def day_of_person(found, slot_ms, hour_of, part_of, zone_of):
    """What the tables may know of one person on one day with hindsight: nothing here is ever taken back.

    Returns steps [(time, area, what)], trips [(time, area, origin, bits)], visits [(area, level, rank)] and
    cut {(hour, of areas 0, arrivals 1, departures 2, granted 0 or refused 1): count}.
    """
    whole, sights = without_returns(found)
    areas, steps, trips, cut = [], [], [], {}

    def told(time_ms, what, granted):
        key = (hour_of(time_ms), what, 0 if granted else 1)
        cut[key] = cut.get(key, 0) + 1

    for time_ms, area in sights:
        if area not in areas:
            if len(areas) < ENTRIES_MAX:
                areas.append(area)
            told(time_ms, 0, area in areas)
    stops = [stay for stay in whole if stay[1] - stay[0] >= STOP_MS]
    arrived, departed = [], []
    for before, (begin_ms, _, area, _) in zip([None, *stops], stops, strict=False):
        if before is not None and (before[3] or before[2] != area):
            slots = [time_ms // slot_ms for time_ms in arrived]
            granted = area in areas and len(arrived) < EACH_MAX and begin_ms // slot_ms not in slots
            told(begin_ms, 1, granted)
            if granted:
                arrived.append(begin_ms)
                steps.append((begin_ms, area, 0))
                if before[2] in areas:
                    pair = (before[2], area)
                    twice = any((o, d) == pair and part_of(t) == part_of(begin_ms) for t, d, o, _ in trips)
                    zones = tuple(zone_of[a] for a in pair)
                    again = any((zone_of[o], zone_of[d]) == zones and hour_of(t) == hour_of(begin_ms)
                                for t, d, o, _ in trips)
                    trips.append((begin_ms, area, before[2], (not twice) + 2 * (not again)))
    for _, end_ms, area, moved in stops:
        if moved:
            slots = [time_ms // slot_ms for time_ms in departed]
            granted = area in areas and len(departed) < EACH_MAX and end_ms // slot_ms not in slots
            told(end_ms, 2, granted)
            if granted:
                departed.append(end_ms)
                steps.append((end_ms, area, 1))
    levels = [max([0, *(sum(stay[1] - stay[0] >= least_ms for least_ms in LEVELS_MS)
                        for stay in whole if stay[2] == area)]) for area in areas]
    ranked = [(area, level, sum(earlier > 0 for earlier in levels[:k]))
              for k, (area, level) in enumerate(zip(areas, levels, strict=True))]
    return steps, trips, ranked, cut
