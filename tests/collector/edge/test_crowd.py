"""The crowd against a slow recount with hindsight, and single rules worked out by hand."""

import itertools
from collections import Counter
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge import metrics, records
from collector.edge.crowd import WEEK, Crowd
from collector.edge.kernels import visits
from collector.edge.locators.fixes import FIX, NO_AREA
from collector.edge.records import ARRIVAL, CLASSES, DEPARTURE
from collector.edge.slots import STOP_S, Slots, SlotSettings
from probe.base.clock import epoch_ms, midnights_ms, spans
from probe.wire.observations import OBSERVATION
from tests import oracles_count as oracle

SLOT_MS, MINUTE_MS, HOUR_MS, EXPIRY_MS = 900_000, 60_000, 3_600_000, 3_600_000
PIECES = 24
SETS = [np.arange(PIECES, dtype="u2"), np.array([*range(5)] * 4 + [4] * 4, "u2")]
ZONES = [np.arange(PIECES, dtype="u1") % 3, np.array([0, 0, 1, 1, 2], "u1")]
LONG, SHORT, PLAIN = (2026, 10, 25), (2026, 3, 29), (2026, 6, 9)
START_MS = epoch_ms(datetime(*LONG), "Europe/Berlin")


def crowd():
    return Crowd(Slots(SlotSettings(), START_MS), SETS, ZONES, weekly=True)


def frames(rows, days_ms):
    """(OBSERVATION[n], FIX[n]) of dicts; the pseudonym is of the person and day, some share half of it."""
    observations, fixes = np.zeros(len(rows), OBSERVATION), np.zeros(len(rows), FIX)
    fixes["area"] = NO_AREA
    for one, fix, row in zip(observations, fixes, rows, strict=True):
        day = sum(row["time_ms"] >= midnight_ms for midnight_ms in days_ms)
        one["pseudonym"], one["week"] = 1 + row["person"] % 3 + (row["person"] << 40) + (day << 33), row["person"]
        for name in ("time_ms", "cell", "kind", "klass", "home"):
            one[name] = row[name]
        fix["content"] = row["content"]
        fix["area"][: len(row["units"])] = list(row["units"])
        fix["weight"][: len(row["units"])] = list(row["units"].values())
    return observations, fixes


def played(rows, zone, start_ms, until_ms, days_ms, cuts=(), slot_ms=SLOT_MS):
    """What a crowd says of rows: (it, tallies by slot, [(slot, steps, trips)] a set, visits by the midnight after)."""
    into = Crowd(Slots(SlotSettings(zone=zone, slot_s=slot_ms // 1_000), start_ms), SETS, ZONES, weekly=True)
    observations, fixes = frames(rows, days_ms)
    tallies, granted, visits = {}, [[] for _ in SETS], {}
    for slot in range(start_ms // slot_ms, -(-until_ms // slot_ms)):
        at = np.flatnonzero(observations["time_ms"] // slot_ms == slot)
        for part in np.split(at, sorted({cut for cut in cuts if cut < len(at)})):
            into.count(observations[part], fixes[part])
        tallies[slot] = into.close()
        told = into.granted()
        for kept, steps, trips in zip(granted, told[: len(SETS)], told[len(SETS) :], strict=True):
            kept.append((slot, steps, trips))
        if (slot + 1) * slot_ms in days_ms:
            visits[(slot + 1) * slot_ms] = into.end_day()
    return into, tallies, granted, visits


def net(records, *names):
    """Counter of records by these names and time, what was taken back subtracted."""
    found = Counter()
    for record in itertools.chain(*records):
        found[(int(record["time_ms"]), *(int(record[name]) for name in names))] += int(record["sign"])
    return Counter({key: count for key, count in found.items() if count})


def recounted(rows, zone, days_ms, s, slot_ms):
    """The oracle's (steps, trips, visits by end of day, cut, weeks) of one set, as Counters."""
    hours = {day: spans("hour", day, after, zone) for day, after in itertools.pairwise(days_ms)}
    parts = {day: spans("part", day, after, zone) for day, after in itertools.pairwise(days_ms)}
    steps, trips, visits, cut, weeks = Counter(), Counter(), {day: Counter() for day in days_ms[1:]}, Counter(), {}
    for mine, first_ms, last_ms in oracle.person_days(rows, days_ms):
        def index(time_ms, found, day=first_ms):
            return next(k for k, (begin, end) in enumerate(found[day]) if begin <= time_ms < end)
        stays = oracle.stays(mine, last_ms, EXPIRY_MS, SETS[s].tolist())
        found = oracle.day_of_person(stays, slot_ms, lambda t: index(t, hours), lambda t: index(t, parts), ZONES[s])
        steps.update(found[0])
        trips.update(found[1])
        visits[last_ms].update((first_ms, *one, mine[0]["klass"], mine[0]["home"]) for one in found[2])
        cut.update(found[3])
        for area, level, _ in found[2]:
            held = weeks.setdefault(mine[0]["person"], {})
            if level and (area in held or len(held) < oracle.WEEK_AREAS_MAX):
                held.setdefault(area, set()).add(first_ms)
    return steps, trips, visits, cut, Counter((a, len(days)) for held in weeks.values() for a, days in held.items())


def agree(rows, zone, start_ms, cuts=(), days=2, slot_ms=SLOT_MS):
    """Play rows, and hold everything that the crowd says against the recount."""
    days_ms = midnights_ms(start_ms, start_ms + (days - 1) * 24 * HOUR_MS + HOUR_MS, zone)
    rows = sorted((row for row in rows if row["time_ms"] < days_ms[-1]),
                  key=lambda row: (row["time_ms"], row["kind"], row["cell"]))
    into, tallies, granted, visits = played(rows, zone, start_ms, days_ms[-1], days_ms, cuts, slot_ms)
    for klass in {row["klass"] for row in rows}:
        of_class = [row for row in rows if row["klass"] == klass]
        wanted = oracle.presence(of_class, days_ms, EXPIRY_MS, slot_ms, tallies, PIECES)
        assert all(np.array_equal(tallies[slot][:, klass], wanted[slot]) for slot in tallies)
    cut = Counter()
    weeks = into.end_week()
    for s in range(len(SETS)):
        steps, trips, days_of, cut_of, weeks_of = recounted(rows, zone, days_ms, s, slot_ms)
        assert net([one[1] for one in granted[s]], "area", "what") == steps
        assert net([one[2] for one in granted[s]], "area", "origin", "what") == trips
        for end_ms, found in visits.items():
            told = found[s][["time_ms", "area", "what", "rank", "klass", "home"]].tolist()
            assert Counter(map(tuple, told)) == days_of[end_ms]
        for slot, *both in granted[s]:
            times_ms = np.concatenate([one["time_ms"] for one in both])
            assert np.all((times_ms > slot * slot_ms - oracle.STOP_MS) & (times_ms < (slot + 1) * slot_ms))
        assert Counter(map(tuple, weeks[s][["area", "what"]].tolist())) == weeks_of
        cut.update(cut_of)
    assert {tuple(key): int(into.cut[tuple(key)]) for key in np.argwhere(into.cut)} == dict(cut)


def row(time_ms, piece, person=1, kind=3, cell=0, content=2, units=None):
    return {"time_ms": time_ms, "person": person, "kind": kind, "cell": cell, "content": content,
            "units": units or {piece: 64}, "klass": person * 5 % CLASSES, "home": person * 7}


STEPS_MS = [0, 1, 20_000, 60_000, 119_999, 120_000, 300_000, 450_000, 599_999, 600_000, 600_001, 610_000, 899_999,
            900_000, 3_599_999, 3_600_000, 3_600_001, 7_200_000]
PLACES = [None, None, {8: 32, 3: 32}, {9: 20, 4: 22, 14: 22}, {1: 11, 2: 11, 7: 11, 6: 11, 11: 10, 16: 10}]


@st.composite
def streams(draw):
    """(start, rows): few persons, few places, instants about every limit of a rule."""
    zone, date = draw(st.sampled_from([("Europe/Berlin", LONG), ("Europe/Berlin", SHORT), ("America/St_Johns", PLAIN),
                                       ("America/St_Johns", (2026, 11, 1))]))
    start_ms = epoch_ms(datetime(*date, draw(st.sampled_from([0, 22]))), zone)
    rows, time_ms, reach = [], start_ms, draw(st.sampled_from([2, 3, 5, PIECES]))
    for step_ms in draw(st.lists(st.sampled_from(STEPS_MS), max_size=40)):
        time_ms += step_ms
        rows.append(row(time_ms, draw(st.integers(0, reach - 1)), draw(st.integers(1, 2)),
                        draw(st.sampled_from([2, 3, 10, 10, 10, 10, 10])), draw(st.integers(0, 1)),
                        draw(st.integers(1, 2)), draw(st.sampled_from(PLACES))))
    return zone, start_ms, rows


@settings(max_examples=250, deadline=None)
@given(stream=streams(), cuts=st.lists(st.integers(0, 20), max_size=4))
def test_all_that_is_granted_equals_a_slow_recount(stream, cuts):
    zone, start_ms, rows = stream
    agree(rows, zone, start_ms, cuts)


@pytest.mark.parametrize("seed", range(24))
def test_a_restless_day_equals_a_slow_recount(seed):
    """Enough places and moves that every cap cuts something; weeks of three days."""
    draw = np.random.default_rng(seed)
    zone, date = [("Europe/Berlin", LONG), ("America/St_Johns", (2026, 3, 8)), ("Europe/Berlin", SHORT)][seed % 3]
    start_ms = epoch_ms(datetime(*date), zone)
    reach, weight = int(draw.choice([3, 6, PIECES])), draw.dirichlet(np.ones(len(STEPS_MS)))
    times_ms = start_ms + np.cumsum(draw.choice(STEPS_MS, 600, p=weight))
    rows = [row(int(t), int(draw.integers(reach)), int(draw.integers(1, 4)), int(draw.choice([2] + [10] * 15)),
                int(draw.integers(2)), int(draw.integers(1, 3)), PLACES[draw.choice(5, p=[0.4, 0.3, 0.1, 0.1, 0.1])])
            for t in times_ms]
    agree(rows, zone, start_ms, draw.integers(0, 20, 2).tolist(), 3, [HOUR_MS, SLOT_MS, 2 * SLOT_MS][seed % 3])


def said(*rows, slots=1):
    """(tallies i8[slots, pieces] in ms of one person, steps and trips, each [(seconds, ...)]) of the first set."""
    rows = [row(START_MS + after_ms, *rest) for after_ms, *rest in rows]
    until_ms = START_MS + slots * SLOT_MS
    _, tallies, granted, _ = played(rows, "Europe/Berlin", START_MS, until_ms, [START_MS])
    steps, trips = (sorted(((ms - START_MS) / 1000, *rest) for ms, *rest in net([one[k] for one in granted[0]], *names))
                    for k, names in ((1, ("what", "area")), (2, ("what", "origin", "area"))))
    return np.array([tallies[slot].sum(axis=1) // 64 for slot in tallies]), steps, trips


GONE = {"kind": oracle.DETACH}


def test_a_silent_person_stays_for_exactly_the_expiry():
    """Seen once at 100 s: 800 s of the first slot, three whole ones, 100 s of the fifth."""
    assert said((100_000, 2), slots=6)[0][:, 2].tolist() == [800_000, *[SLOT_MS] * 3, 100_000, 0]
    assert said((0, 2), slots=5)[0][:, 2].tolist() == [*[SLOT_MS] * 4, 0]


def test_a_detach_ends_presence_at_once_and_the_better_fix_is_kept_in_a_cell():
    assert said((0, 2), (250, 2, 1, 2), (300, 2, 1, 2), slots=2)[0][:, 2].tolist() == [250, 0]
    kept = said((0, 1, 1, 3, 9), (1_000, 2, 1, 7, 9, 1), (3_000, 2, 1, 7, 8, 1), (4_000, 2, 1, 2))[0][0]
    assert kept[:3].tolist() == [0, 3_000, 1_000]


def test_a_stop_left_for_a_stop_is_a_departure_an_arrival_and_a_trip():
    _, steps, trips = said((0, 1), (600_000, 2), slots=2)
    assert steps == [(600, ARRIVAL, 2), (600, DEPARTURE, 1)] and trips == [(600, 3, 1, 2)]


def test_a_stay_that_is_no_stop_is_no_arrival_and_leaving_it_no_departure():
    _, steps, trips = said((0, 1), (600_000, 2), (1_199_999, 3), slots=3)
    assert steps == [(600, DEPARTURE, 1), (1_199.999, ARRIVAL, 3)] and trips == [(1_199.999, 3, 1, 3)]
    assert said((0, 1), (599_999, 2), (1_199_998, 3), slots=3)[1:] == ([], [])  # from no stop, and no stop before


def test_who_is_back_within_ten_minutes_never_left():
    """One moment later it is another stop: a trip from an area back to it."""
    assert said((0, 1), (600_000, 2), (1_199_999, 1), slots=3)[1:] == ([], [])
    assert said((0, 1), (600_000, 2), (900_000, 3), (1_200_000, 1), slots=3)[1:] == (
        [(600, DEPARTURE, 1), (1_200, ARRIVAL, 1)], [(1_200, 3, 1, 1)])


def test_a_stay_goes_on_while_a_fix_gives_its_area_any_weight():
    """Nobody moves, however much of the person the other area holds; but it is seen, and the stay is one of an hour."""
    rows, midnight_ms = [row(START_MS, 1)], START_MS + 25 * HOUR_MS
    rows += [row(START_MS + k * 15 * MINUTE_MS, 2, units={2: 63, 1: 1}) for k in (1, 2, 3, 4)]
    _, _, granted, visits = played(rows, "Europe/Berlin", START_MS, midnight_ms, [START_MS, midnight_ms])
    assert not any(len(steps) or len(trips) for _, steps, trips in granted[0])
    assert visits[midnight_ms][0][["area", "what"]].tolist() == [(1, 4), (2, 0)]
    _, steps, trips = said((0, 1), (900_000, 2, 1, 3, 0, 2, {2: 63, 1: 1}), (1_800_000, 2), slots=3)
    assert steps == [(1_800, ARRIVAL, 2), (1_800, DEPARTURE, 1)] and trips == [(1_800, 3, 1, 2)]


def test_a_trip_that_was_none_makes_no_later_one_the_second_of_its_hour():
    """Who comes from an area that had no room among the 12 arrives without a trip; the trip after it is the first."""
    passed = [(k * MINUTE_MS, k) for k in range(12)]
    _, steps, trips = said(*passed, (12 * MINUTE_MS, 23), (22 * MINUTE_MS, 2), (32 * MINUTE_MS, 5), slots=4)
    assert steps == [(1_320, ARRIVAL, 2), (1_920, ARRIVAL, 5), (1_920, DEPARTURE, 2)]
    assert trips == [(1_920, 3, 2, 5)] and ZONES[0][2] == ZONES[0][5] == ZONES[0][-1]


def test_after_an_absence_back_in_the_same_area_is_no_arrival():
    assert said((0, 1), (700_000, 1, 1, 2), (1_400_000, 1), slots=3)[1:] == ([], [])
    assert said((0, 1), (700_000, 1, 1, 2), (1_400_000, 2), slots=3)[1:] == (
        [(1_400, ARRIVAL, 2)], [(1_400, 3, 1, 2)])


def test_a_stay_cut_by_a_detach_before_ten_minutes_is_no_arrival():
    assert said((0, 1), (700_000, 2), (1_299_999, 2, 1, 2), slots=2)[1:] == ([(700, DEPARTURE, 1)], [])


def test_what_a_cap_refuses_is_counted():
    """24 areas of 16 minutes each: 12 are kept; 8 of 23 arrivals and departures, the first are granted."""
    rows = [row(START_MS + k * 16 * MINUTE_MS, k) for k in range(PIECES)]
    into, _, granted, _ = played(rows, "Europe/Berlin", START_MS, START_MS + 8 * HOUR_MS, [START_MS])
    steps = net([one[1] for one in granted[0]], "what")
    assert into.cut.sum(axis=0).tolist() == [[12 + 5, 12], *[[8 + 8, 15 + 11]] * 2]  # 20 stays in 5 areas of the second
    for k in (ARRIVAL, DEPARTURE):
        assert max(ms for ms, what in steps if what == k) == START_MS + 8 * 16 * MINUTE_MS


def test_two_handsets_are_one_person_of_the_first_class_and_home():
    midnight_ms, rows = START_MS + 25 * HOUR_MS, [row(START_MS + 1_000 * k, 1, cell=k) for k in range(3)]
    rows[1].update(klass=20, home=3)
    _, tallies, _, visits = played(rows, "Europe/Berlin", START_MS, midnight_ms, [START_MS, midnight_ms])
    assert tallies[START_MS // SLOT_MS].sum() == tallies[START_MS // SLOT_MS][1, 5] == 64 * SLOT_MS
    (visit,) = visits[midnight_ms][0]
    assert (visit["klass"], visit["home"], visit["area"], visit["what"]) == (5, 7, 1, 4)


def test_a_person_takes_at_most_96_bytes():
    row, _ = crowd()._persons.arrays
    assert row.itemsize == 96 + visits.DAY.itemsize and row.ctypes.data % 64 == 0, "two lines of the cache, and a set"


def test_ten_thousand_persons_are_told_apart_while_the_table_grows():
    """Pseudonyms that share their lower half fall on the same place; all stay until the expiry."""
    observations, fixes = (np.repeat(one, 10_000) for one in frames([row(START_MS, 1)], []))
    observations["pseudonym"] = np.arange(10_000, dtype="u8") << np.uint64(20)
    into = crowd()
    into.count(observations, fixes)
    into.count(observations, fixes)
    assert into.close()[1].sum() == 10_000 * SLOT_MS * 64


def test_the_end_of_a_day_zeroes_the_memory_and_the_end_of_a_week_the_rest():
    into = crowd()
    into.count(*frames([row(START_MS, 1, person) for person in range(1, 2_000)], [START_MS]))
    for _ in range(100):
        into.close()
    held = [*into._persons.arrays, into._persons._table, into._sums]
    assert all(array.view("u1").any() for array in held[:3])
    into.end_day()
    assert not any(array.view("u1").any() for array in held) and not into.close().any()
    held = [into._weeks[0].arrays[0], into._weeks[0]._table]
    assert all(array.view("u1").any() for array in held) and len(into.end_week()[0]) == 1_999
    assert not any(array.view("u1").any() for array in held)


def test_a_fix_that_holds_more_than_one_person_is_not_taken():
    """The bound of a table rests on what a locator, perhaps a stranger's, says of weights and pieces."""
    _, fixes = frames([row(START_MS, 1)] * 5, [])
    fixes["weight"][0, 0], fixes["area"][1, 0], fixes["weight"][2, :3], fixes["weight"][3] = 65, PIECES, (32, 0, 32), 0
    assert crowd().takes(fixes).tolist() == [False, False, False, False, True]


def test_kernels_and_tables_mean_the_same_words():
    """Kernels import nobody else's words, so both sides have their own."""
    for name in ("ARRIVAL", "DEPARTURE", "FIRST_IN_PART", "FIRST_IN_HOUR"):
        assert getattr(visits, name) == getattr(records, name)
    assert (visits.ENTRIES, visits.EACH_MAX, *np.zeros((), WEEK)["area"].shape) == (
        metrics.ENTRIES_MAX, metrics.MOVES_MAX, metrics.WEEK_MAX)
    assert visits.STOP_MS == STOP_S * 1_000
