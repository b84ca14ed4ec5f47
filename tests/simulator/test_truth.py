"""The truth: person-time is whole, equals a slow recount, and knows no person."""

import sqlite3
from datetime import datetime

import numpy as np
import pytest

from probe.base import clock
from probe.base.plane import to_laea
from simulator import population, scenario, truth
from simulator.kernels import move
from tests import oracles_people

VILLAGE = scenario.load("village", [])
COUNTRY = population.country(VILLAGE.areas, VILLAGE.population)
ROWS = population.subscribers(COUNTRY, 1, 600, VILLAGE.population)
PERSONS = 2_000
COUNTED = truth.counted_persons(ROWS, PERSONS, "market_research", "consent")


def truth_of(persons, start="2026-05-12T00:00", hours=24.0):
    start_ms = clock.epoch_ms(datetime.fromisoformat(start), VILLAGE.world.zone)
    end_ms = start_ms + round(hours * clock.HOUR_MS)
    found = truth.Truth(1, COUNTRY, VILLAGE.areas, start_ms, end_ms, VILLAGE.world.zone)
    found.add(persons, COUNTED[persons])
    return found.presence


WHOLE = truth_of(np.arange(PERSONS))


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
        found.sum(axis=1), [[200 * 900_000, COUNTED[:200].sum() * 900_000]] * len(found)
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
    parts = [truth_of(population.shard_of(PERSONS, shard, 4)) for shard in range(4)]
    np.testing.assert_array_equal(sum(parts), WHOLE)


def test_a_part_of_a_day_is_that_part_of_the_whole_day():
    part = truth_of(np.arange(PERSONS), "2026-05-12T06:30", 5)
    np.testing.assert_array_equal(part, WHOLE[26:46])


def test_the_counted_are_adults_who_agreed_and_own_a_handset():
    assert 0.55 < COUNTED[:600].mean() < 0.78 and not COUNTED[600:].any()
    everyone_who_did_not_object = truth.counted_persons(ROWS, PERSONS, "market_research", "anonymous")
    assert np.all(everyone_who_did_not_object[COUNTED]) and everyone_who_did_not_object.sum() > COUNTED.sum()
    assert np.all(WHOLE[:, :, 1] <= WHOLE[:, :, 0])


def test_people_are_away_by_day_and_at_home_by_night():
    away = WHOLE[:, -1, 0] / (PERSONS * 900_000)
    assert away[:16].max() < 0.02 and away[44:56].min() > 0.02


def test_the_file_holds_tables_and_no_person(tmp_path):
    path = tmp_path / "truth.db"
    truth.write(path, VILLAGE.areas, VILLAGE.start_ms, WHOLE, {"seed": 1})
    with sqlite3.connect(path) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"presence", "meta"}
        rows = db.execute("SELECT slot, area_id, everyone_ms, counted_ms FROM presence").fetchall()
        meta = dict(db.execute("SELECT key, value FROM meta"))
    assert len(rows) == 96 * 10 and sum(row[2] for row in rows) == PERSONS * 86_400_000
    assert {row[0] for row in rows} == set(range(VILLAGE.start_ms // 900_000, VILLAGE.end_ms // 900_000))
    assert meta == {"seed": "1", "digest": truth.digest(VILLAGE.areas, VILLAGE.start_ms, WHOLE)}


def test_the_digest_follows_every_number():
    other = WHOLE.copy()
    other[50, 3, 1] += 1
    digests = {truth.digest(VILLAGE.areas, VILLAGE.start_ms, table) for table in (WHOLE, WHOLE.copy(), other)}
    assert len(digests) == 2
