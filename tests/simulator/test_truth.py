"""The truth: person-time is whole, equals a slow recount, and knows no person."""

import json
import sqlite3
from collections import Counter
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.base import clock
from probe.base.plane import to_laea
from probe.wire import areas as wire
from probe.wire.subscribers import MINOR
from simulator import population, scenario, truth
from simulator.kernels import move, visits
from tests import oracles_people

VILLAGE = scenario.load("village", [])
COUNTRY = population.country(VILLAGE.areas, VILLAGE.population)
PEOPLE = VILLAGE.population.model_copy(update={"guest_share": 0.2})  # many guests, so that few people hold some
ROWS = population.subscribers(COUNTRY, 1, 600, PEOPLE)
PERSONS = 2_000
COUNTED = truth.counted_persons(ROWS, PERSONS, "market_research", "consent")
CUSTOMER = truth.customers(ROWS, PERSONS)
KNOWN = population.subscribers(COUNTRY, 1, PERSONS, PEOPLE)  # of everybody, as if each had a handset of ours
KNOWN = KNOWN[np.argsort(KNOWN["person"])]
KLASS = truth.klasses(*population.classes(1, PERSONS, PEOPLE))
HOME = population.homes(COUNTRY, 1, PERSONS, PEOPLE)
ZONE_OF = (np.arange(10) // 3).astype("u1")
HOMES = 10 + 19 + 1  # 9 areas and elsewhere, countries, unknown
# By kind of spans and number of cells.
KEPT = {"presence": ("slot", 10), "profile": ("part", 210), "moves": ("slot", 20), "visitors": ("day", 40),
        "dwell": ("day", 150), "origin": ("day", HOMES * 10), "flows": ("part", 100), "zone_flows": ("hour", 16),
        "repeat": ("week", 40)}  # fmt: skip
RASTER = VILLAGE.areas.bins, *VILLAGE.areas.first, VILLAGE.areas.terms
VIEW = truth.View("", truth.Ground(RASTER, ZONE_OF, 4, primary=True), KEPT)


def tables_of(persons, start="2026-05-12T00:00", hours=24.0, view=VIEW, zone=VILLAGE.world.zone, windows=None):
    start_ms = clock.epoch_ms(datetime.fromisoformat(start), zone)
    found = truth.Truth(1, COUNTRY, view, start_ms, start_ms + round(hours * clock.HOUR_MS), zone)
    windows = truth.always(COUNTED[persons]) if windows is None else windows
    found.add(persons, windows, CUSTOMER[persons], KLASS[persons], HOME[persons])
    return found.tables()


def truth_of(*given):
    return tables_of(*given)["presence"].cells


TABLES = tables_of(np.arange(PERSONS))
WHOLE = TABLES["presence"].cells


def area_of(x, y):
    """The projection itself, not its fit."""
    areas = VILLAGE.areas
    east, north = to_laea(*areas.frame.to_degrees(x, y))
    column = np.clip(np.floor(east / 100).astype(int) - areas.first[0], 0, areas.bins.shape[1] - 1)
    row = np.clip(np.floor(north / 100).astype(int) - areas.first[1], 0, areas.bins.shape[0] - 1)
    return areas.bins[row, column]


@pytest.mark.parametrize(
    ("start", "hours"),
    [
        ("2026-05-12T00:00", 24),
        ("2026-03-29T00:00", 23),
        ("2026-10-25T00:00", 25),
        ("2026-10-24T21:45", 31.5),
    ],
)
def test_everybody_is_somewhere_all_the_time(start, hours):
    """Also on days of 23 and 25 hours, and across midnights."""
    found = truth_of(np.arange(200), start, hours)
    assert len(found) == hours * 4
    np.testing.assert_array_equal(
        found.sum(axis=1), [[200 * 900_000, CUSTOMER[:200].sum() * 900_000, COUNTED[:200].sum() * 900_000]] * len(found)
    )


def test_it_equals_a_recount_looked_at_every_second():
    """Exact where people stay; on a trip a border is noticed within half a piece of 25 m, early or late."""
    legs = np.zeros(move.LEGS_MAX, move.LEG)
    gap_s, moving_s = [], 0.0
    for person in range(60):
        count = move.day_plan(1, person, 20_585, 86_400_000, COUNTRY, legs)
        start_ms = VILLAGE.start_ms
        slow = oracles_people.seconds_by_slot_and_area(legs[:count], start_ms, start_ms, 96, 10, area_of)
        fast = truth_of(np.array([person]))[:, :, 0] / 1e3
        moving = legs[:count][legs[:count]["mode"] != move.STAY]
        still = np.ones(96, bool)
        for leg in moving:
            still[leg["start_ms"] // 900_000 : leg["end_ms"] // 900_000 + 1] = False
        np.testing.assert_array_equal(fast[still], slow[still])
        gap_s.append(np.abs(fast - slow).max())
        moving_s += np.sum(moving["end_ms"] - moving["start_ms"]) / 1e3
    assert moving_s > 50_000  # 12.5 m are 14 s at the slowest walk, and a slot may see two crossings
    assert max(gap_s) < 30 and np.mean(gap_s) < 6


def test_shards_add_up_to_the_whole():
    parts = truth.added([tables_of(population.shard_of(PERSONS, shard, 4)) for shard in range(4)])
    assert truth.digest(parts) == truth.digest(TABLES)
    for name, (slots, cells) in TABLES.items():
        np.testing.assert_array_equal(parts[name].cells, cells, name)
        assert cells.any() == bool(len(slots)), name


def test_a_part_of_a_day_is_that_part_of_the_whole_day():
    part = truth_of(np.arange(PERSONS), "2026-05-12T06:30", 5)
    np.testing.assert_array_equal(part, WHOLE[26:46])


def test_the_counted_are_adults_who_agreed_and_own_a_handset():
    assert 0.55 < COUNTED[:600].mean() < 0.78 and not COUNTED[600:].any()
    everyone_who_did_not_object = truth.counted_persons(ROWS, PERSONS, "market_research", "anonymous")
    assert np.all(everyone_who_did_not_object[COUNTED]) and everyone_who_did_not_object.sum() > COUNTED.sum()
    assert np.all(WHOLE[:, :, 2] <= WHOLE[:, :, 1]) and np.all(WHOLE[:, :, 1] <= WHOLE[:, :, 0])


def test_customers_are_the_adults_who_own_a_handset_as_if_all_had_agreed():
    assert np.all(CUSTOMER[COUNTED]) and not CUSTOMER[600:].any()
    np.testing.assert_array_equal(CUSTOMER[:600], KLASS[:600] != visits.NO_CLASS)
    agreed = tables_of(np.arange(PERSONS), windows=truth.always(CUSTOMER))
    for name, (_, cells) in agreed.items():
        np.testing.assert_array_equal(cells[..., 1], TABLES[name].cells[..., 1], name)
        np.testing.assert_array_equal(cells[..., 2], cells[..., 1], name)


def test_people_are_away_by_day_and_at_home_by_night():
    away = WHOLE[:, -1, 0] / (PERSONS * 900_000)
    assert away[:16].max() < 0.02 and away[44:56].min() > 0.02


def test_the_file_holds_tables_without_zeros_and_no_person(tmp_path):
    path = tmp_path / "truth.db"
    truth.write(path, TABLES, {"seed": 1}, cell_load=np.array([[1, 2, 3, 4], [1, 2, 5, 6]]))
    with sqlite3.connect(path) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {*KEPT, "meta", "cell_load"}
        meta = dict(db.execute("SELECT key, value FROM meta"))
        assert db.execute("SELECT * FROM cell_load").fetchall() == [(1, 2, 8, 10)]
        for name, (slots, cells) in TABLES.items():
            found = np.zeros_like(cells)
            for slot, cell, *both in db.execute(f'SELECT slot, cell, everyone, customers, counted FROM "{name}"'):
                assert any(both)
                found[slots.tolist().index(slot), cell] = both
            np.testing.assert_array_equal(found, cells)
    assert meta == {"seed": "1", "digest": truth.digest(TABLES)}


def test_the_digest_follows_every_table_and_number():
    digests = {truth.digest(TABLES)}
    for name, (slots, cells) in TABLES.items():
        if len(slots):
            other = cells.copy()
            other[0, 3, 1] += 1
            digests.add(truth.digest({**TABLES, name: truth.Kept(slots, other)}))
            digests.add(truth.digest({**TABLES, name: truth.Kept(slots + 1, cells)}))
    assert len(digests) == 1 + 2 * 8


def way_of(person, date, length_ms):
    """Return [(area, begin_ms, end_ms)] of a day, as the kernel walks it."""
    legs, room = np.zeros(move.LEGS_MAX, move.LEG), np.zeros(100_000, visits.PART)
    count = move.day_plan(1, person, date, length_ms, COUNTRY, legs)
    areas = VILLAGE.areas
    n = visits.way_of(legs[:count], (areas.bins, *areas.first, areas.terms), room)
    return [tuple(int(part[name]) for name in ("area", "begin_ms", "end_ms")) for part in room[:n]]


@pytest.mark.parametrize(
    ("start", "hours", "zone"),
    [
        ("2026-05-12T00:00", 24, "Europe/Berlin"),
        ("2026-10-24T18:15", 64.5, "Europe/Berlin"),
        ("2026-03-28T00:00", 47, "America/St_Johns"),
        ("2026-03-07T00:00", 48, "America/St_Johns"),
    ],
)
def test_every_table_equals_a_slow_recount(start, hours, zone):
    """Days of 23 and 25 hours, begun in the middle, and half an hour beside UTC; half change their mind."""
    persons = np.arange(540, 640)  # some own a handset of ours, some do not
    start_ms = clock.epoch_ms(datetime.fromisoformat(start), zone)
    end_ms = start_ms + round(hours * clock.HOUR_MS)
    windows = changing(persons, end_ms - start_ms)
    found = tables_of(persons, start, hours, zone=zone, windows=windows)
    since, until = (dict(zip(persons.tolist(), (start_ms + column).tolist(), strict=True)) for column in windows.T)
    rows = {kind: {span: row for row, span in enumerate(clock.spans(kind, start_ms, end_ms, zone))}
            for kind, _ in KEPT.values()}
    slow = {name: Counter() for name in found}

    midnights = clock.midnights_ms(start_ms, end_ms - 1, zone)

    def add(name, at_ms, cell, person, amount=1):
        for (begin_ms, until_ms), row in rows[KEPT[name][0]].items():
            if begin_ms <= at_ms < until_ms:
                waits = name in ("moves", "flows", "zone_flows") and until_ms not in midnights
                sealed_ms = until_ms + (960_000 if waits else 60_000)
                agreed = since[person] <= at_ms and since[person] < until[person] and sealed_ms <= until[person]
                for kind in range(1 + bool(CUSTOMER[person]) + bool(CUSTOMER[person] and agreed)):
                    slow[name][row, cell, kind] += amount

    for midnight_ms, next_ms in pairwise(midnights):
        date = (clock.local(midnight_ms, zone).date() - datetime(1970, 1, 1).date()).days
        for person in persons.tolist():
            klass, home = int(KLASS[person]), home_row(KNOWN[person])
            way = way_of(person, date, next_ms - midnight_ms)
            for area, begin_ms, until_ms in way:
                cuts = [midnight_ms + begin_ms, *range(start_ms, end_ms + 1, 900_000), midnight_ms + until_ms]
                cuts[1:1] = [int(since[person])] * (cuts[0] < since[person] < cuts[-1])
                cuts = sorted({min(max(cut, cuts[0]), cuts[-1]) for cut in cuts})
                for a, b in pairwise(cuts):
                    add("presence", a, area, person, b - a)
                    if klass < 21:
                        add("profile", a, area * 21 + klass, person, b - a)
            day = oracles_people.counts_of(way, next_ms - midnight_ms)
            for name, direction in (("arrivals", 0), ("departures", 1)):
                for area, at_ms in day[name]:
                    add("moves", midnight_ms + at_ms, area * 2 + direction, person)
            for origin, to, at_ms in day["trips"]:
                add("flows", midnight_ms + at_ms, origin * 10 + to, person)
                add("zone_flows", midnight_ms + at_ms, int(ZONE_OF[origin]) * 4 + int(ZONE_OF[to]), person)
            for area, level in day["levels"].items():
                role = 0 if area == home else 1 if level == 5 else 2 if level else 3
                add("visitors", midnight_ms, area * 4 + role, person)
                if klass < 21:
                    add("dwell", midnight_ms, (area * 5 + min(level, 4)) * 3 + klass % 3, person)
                if level:
                    add("origin", midnight_ms, home * 10 + area, person)
    for name, (slots, cells) in found.items():
        assert slots.tolist() == [begin_ms // 900_000 for begin_ms, _ in rows[KEPT[name][0]]]
        np.testing.assert_array_equal(slow_table(slow[name], cells.shape), cells, name)


def changing(persons, length_ms):
    """Return windows of all kinds: never, always, from a time on, until one (some at a seal), between two, crossed."""
    drawn = np.random.Generator(np.random.PCG64(7)).integers(1, length_ms, (len(persons), 2))
    drawn[::3] -= drawn[::3] % 900_000 - 60_000
    ever, kind = 1 << 62, np.arange(len(persons)) % 6
    since = np.select([kind == 1, kind == 3], [-ever, -ever], drawn[:, 0])
    until = np.select([kind == 1, kind == 2], [ever, ever], drawn[:, 1])
    return np.where((kind == 0)[:, None], 0, np.stack([since, until], axis=1))


def slow_table(counted, shape):
    table = np.zeros(shape, "i8")
    for at, amount in counted.items():
        table[at] = amount
    return table


def home_row(known):
    """Return the row of a home among those of `origin`, by what the operator knows."""
    mcc = {262: 0, 260: 1, 230: 2, 232: 3, 228: 4, 208: 5, 270: 6, 206: 7, 204: 8, 238: 9, 240: 10, 234: 11, 222: 12,
           214: 13, 226: 14, 255: 15, 286: 16, 310: 17}
    return 10 + mcc.get(int(known["country"]), 18) if known["home"] == 0xFFFF else int(known["home"])


SEALED_MS = {"presence": 60_000, "profile": 60_000, "moves": 960_000, "flows": 960_000, "zone_flows": 960_000}


@pytest.mark.parametrize("name", SEALED_MS)
def test_a_no_takes_a_span_away_up_to_the_moment_of_its_seal(name):
    """A minute after its end, of steps and trips a slot later, but at midnight nothing waits."""
    person = next(one for one in range(600) if CUSTOMER[one] and len(oracles_people.counts_of(
        way_of(one, 20_585, 86_400_000), 86_400_000)["arrivals"]) > 3)  # fmt: skip
    spans = [end_ms - VILLAGE.start_ms for _, end_ms in clock.spans(KEPT[name][0], VILLAGE.start_ms,
             VILLAGE.start_ms + 86_400_000, "Europe/Berlin")]  # fmt: skip
    full = tables_of(np.array([person]), windows=truth.always(np.ones(1, bool)))[name].cells
    for row in np.flatnonzero(full[..., 0].any(axis=1)).tolist():
        sealed_ms = spans[row] + (SEALED_MS[name] if spans[row] < 86_400_000 else 60_000)
        for until_ms, held in ((sealed_ms - 1, row), (sealed_ms, row + 1)):
            view = VIEW._replace(tables={name: KEPT[name]})
            found = tables_of(np.array([person]), hours=48, view=view,
                              windows=np.array([[-1, until_ms]]))[name].cells  # fmt: skip
            np.testing.assert_array_equal(found[:held, :, 2], full[:held, :, 0])
            assert not found[held:, :, 2].any()


def test_guests_are_at_home_abroad_and_residents_of_nowhere():
    guests = np.flatnonzero(KNOWN["home"] == 0xFFFF)
    assert 0.17 < len(guests) / PERSONS < 0.23
    found = tables_of(guests)
    origin = found["origin"].cells.reshape(HOMES, 10, 3)
    assert found["visitors"].cells[0, 0::4].sum() == 0 and origin[:11].sum() == origin[29].sum() == 0
    abroad = np.bincount([home_row(KNOWN[guest]) for guest in guests], minlength=HOMES)
    np.testing.assert_array_equal(origin[..., 0].sum(axis=1) > 0, abroad > 0)
    assert np.all(origin[..., 0].max(axis=1) <= abroad) and origin[11:29, :, 2].sum() > 0


def test_a_week_says_on_how_many_days_an_area_was_visited():
    """A run of 15 days that begins on a Tuesday evening: the first week is cut, the second is whole."""
    persons = np.arange(560, 640)
    found = tables_of(persons, "2026-05-12T18:00", 15 * 24)["repeat"]
    first_ms = clock.epoch_ms(datetime(2026, 5, 19), VILLAGE.world.zone)
    assert found.slots.tolist() == [first_ms // 900_000]
    slow = np.zeros_like(found.cells)
    for person in persons.tolist():
        days = Counter()
        for date in range(20_592, 20_599):
            levels = oracles_people.counts_of(way_of(person, date, 86_400_000), 86_400_000)["levels"]
            days.update(area for area, level in levels.items() if level)
        for area, count in days.items():
            number = 0 if count == 1 else 1 if count == 2 else 2 if count < 5 else 3
            slow[0, area * 4 + number, : 1 + int(CUSTOMER[person]) + COUNTED[person]] += 1
    np.testing.assert_array_equal(found.cells, slow)


LENGTH_MS = st.one_of(st.integers(1, 1_300_000), st.sampled_from([120_000, 300_000, 599_999, 600_000, 14_400_000]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), LENGTH_MS), min_size=1, max_size=14))
def test_stops_of_any_way_equal_a_slow_recount(parts):
    """Returns within ten minutes, of returns, across pass-bys; at the limits to the millisecond."""
    way, at_ms = [], 0
    for area, length_ms in parts:
        if way and way[-1][0] == area:
            way[-1] = (area, way[-1][1], at_ms + length_ms)
        else:
            way.append((area, at_ms, at_ms + length_ms))
        at_ms += length_ms
    room = np.array([(begin, end, area, 9) for area, begin, end in way], visits.PART)
    visits.find_stops(room)
    found = [(int(one["area"]), int(one["begin_ms"]), int(one["end_ms"])) for one in room[room["kind"] == visits.STOP]]
    assert found == oracles_people.stops_of(way)


def test_a_table_that_is_not_asked_for_is_not_kept():
    found = tables_of(np.arange(50), view=VIEW._replace(tables={"moves": KEPT["moves"]}, name="shops"))
    assert list(found) == ["moves@shops"]
    np.testing.assert_array_equal(found["moves@shops"].cells, tables_of(np.arange(50))["moves"].cells)


def test_residents_are_told_apart_in_the_set_where_people_live_only():
    second = VIEW._replace(name="shops", ground=VIEW.ground._replace(primary=False))
    other = tables_of(np.arange(PERSONS), view=second)
    mine, theirs = TABLES["visitors"].cells, other["visitors@shops"].cells
    assert mine[0, 0::4].sum() > 0 and theirs[0, 0::4].sum() == 0
    np.testing.assert_array_equal(other["origin@shops"].cells, TABLES["origin"].cells)


def test_minors_have_no_class():
    adults = np.flatnonzero(KLASS != visits.NO_CLASS)
    assert TABLES["profile"].cells[..., 0].sum() == len(adults) * 86_400_000
    everyone, counted = TABLES["profile"].cells.sum(axis=(0, 1)), WHOLE.sum(axis=(0, 1))
    assert np.all(everyone[1:] == counted[1:]) and everyone[0] < counted[0]  # who is counted is an adult
    np.testing.assert_array_equal(KLASS[:600] == visits.NO_CLASS, ROWS["age"][np.argsort(ROWS["person"])] == MINOR)


def test_two_sets_are_kept_in_the_frame_of_the_first():
    """The second is the first, moved by one area: its tables are those of the first, area by area."""
    moved = VILLAGE.areas._replace(bins=np.where(VILLAGE.areas.bins < 9, (VILLAGE.areas.bins + 1) % 9, 9).astype("u2"))
    named = {"moves": KEPT["moves"], "dwell@moved": KEPT["dwell"], "night@moved": ("day", 10)}
    mine, theirs = truth.views({"": VILLAGE.areas, "moved": moved}, named)
    assert (mine.tables, theirs.tables) == ({"moves": KEPT["moves"]}, {"dwell": KEPT["dwell"]})
    first, second = TABLES["dwell"].cells, tables_of(np.arange(PERSONS), view=theirs)["dwell@moved"].cells
    first, second = (cells.reshape(1, 10, 15, 3) for cells in (first, second))
    np.testing.assert_array_equal(second[:, [1, 2, 3, 4, 5, 6, 7, 8, 0, 9]], first)


def test_a_set_of_its_own_frame_is_counted_in_that_of_the_first():
    """Three areas of the map, as another file would give them: the same people are in them."""
    features = json.loads(VILLAGE.area_texts[""][0])
    kept = [3, 7, 8]
    features["features"] = [features["features"][row] for row in kept]
    few = wire.from_geojson(json.dumps(features), "few")
    assert few.frame != VILLAGE.areas.frame
    view = truth.views({"": VILLAGE.areas, "few": few}, {"presence@few": ("slot", 4), "profile@few": ("part", 84)})[1]
    found = tables_of(np.arange(PERSONS), view=view)
    np.testing.assert_array_equal(found["presence@few"].cells[:, :3], WHOLE[:, kept])
    np.testing.assert_array_equal(found["presence@few"].cells[:, 3], np.delete(WHOLE, kept, axis=1).sum(axis=1))


def test_the_visits_of_a_long_run_are_told_to_its_end():
    """Ms since the start of 60 days need more than 32 bits."""
    start_ms, days = VILLAGE.start_ms, 60
    of = truth.Truth(1, COUNTRY, VIEW, start_ms, start_ms + days * 24 * clock.HOUR_MS, VILLAGE.world.zone)
    last = list(of.visits(3))[-1]
    assert last[0] >= (days - 1) * 24 * clock.HOUR_MS and last[1] == days * 24 * clock.HOUR_MS
