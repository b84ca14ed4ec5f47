"""Days: they have no holes, nobody flies, and people move as people do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.base.plane import to_laea
from simulator import population, scenario
from simulator.kernels import move

CITY = scenario.load("city", [])
COUNTRY = population.country(CITY.areas, CITY.population)
HOUR_MS = 3_600_000
TUESDAY, SATURDAY, SUNDAY = 20_585, 20_589, 20_590  # 2026-05-12 is day 20,585
SPEED_MAX = {move.WALK: 2.3, move.CAR: 14.0, move.TRANSIT: 12.5}  # m/s: the mean at the fastest pace


def day_of(person, day=TUESDAY, hours=24, seed=1):
    legs = np.zeros(move.LEGS_MAX, move.LEG)
    return legs[: move.day_plan(seed, person, day, hours * HOUR_MS, COUNTRY, legs)]


def days_of(persons, day=TUESDAY):
    return [day_of(person, day) for person in range(persons)]


TUESDAYS = days_of(4_000)


def trips_of(days):
    """Return all legs that lead somewhere: the walk to a station belongs to the ride after it."""
    legs = np.concatenate(days)
    return legs[(legs["mode"] != move.STAY) & (legs["place"] != move.STATION)]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**40), st.integers(0, 10**8), st.integers(10_000, 40_000), st.sampled_from([23, 24, 25])
)
def test_a_day_is_tiled_without_a_hole_and_begins_and_ends_at_home(seed, person, day, hours):
    legs = day_of(person, day, hours, seed)
    assert legs["start_ms"][0] == 0 and legs["end_ms"][-1] == hours * HOUR_MS
    np.testing.assert_array_equal(legs["start_ms"][1:], legs["end_ms"][:-1])
    assert np.all(legs["end_ms"] > legs["start_ms"])
    np.testing.assert_array_equal(legs["from_x"][1:], legs["to_x"][:-1])
    np.testing.assert_array_equal(legs["from_y"][1:], legs["to_y"][:-1])
    assert legs["place"][0] == legs["place"][-1] == move.HOME
    assert (legs["from_x"][0], legs["from_y"][0]) == (legs["to_x"][-1], legs["to_y"][-1])
    np.testing.assert_array_equal(legs["mode"][::2], move.STAY)  # stays and trips take turns
    assert np.all(legs["mode"][1::2] != move.STAY)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**8), st.integers(10_000, 40_000))
def test_nobody_is_faster_than_their_vehicle(seed, person, day):
    for leg in day_of(person, day, seed=seed):
        far_m = np.hypot(leg["to_x"] - leg["from_x"], leg["to_y"] - leg["from_y"])
        seconds = (leg["end_ms"] - leg["start_ms"]) / 1e3
        limit = 0.0 if leg["mode"] == move.STAY else SPEED_MAX[int(leg["mode"])]
        assert far_m <= limit * seconds


def test_whoever_asks_again_gets_the_same_day():
    scratch = np.zeros(move.LEGS_MAX, move.LEG)
    scratch["place"] = 77
    count = move.day_plan(1, 12, TUESDAY, 24 * HOUR_MS, COUNTRY, scratch)
    np.testing.assert_array_equal(scratch[:count], day_of(12))
    assert not np.array_equal(day_of(12), day_of(12, TUESDAY + 1))
    assert not np.array_equal(day_of(12), day_of(13))


def test_there_are_about_3_trips_a_day():
    """MiD 2017: 3.1 a person and day over the week, fewer on Sundays; 85 % leave home."""
    week = [len(trips_of(TUESDAYS)), *(len(trips_of(days_of(4_000, day))) for day in (SATURDAY, SUNDAY))]
    mean = (5 * week[0] + week[1] + week[2]) / 7 / 4_000
    assert 2.95 < mean < 3.25 and week[2] < week[1]
    assert 0.82 < np.mean([len(legs) > 1 for legs in TUESDAYS]) < 0.9


def test_trips_peak_in_the_morning_and_in_the_late_afternoon():
    by_hour = np.bincount(trips_of(TUESDAYS)["start_ms"] // HOUR_MS, minlength=24) / len(trips_of(TUESDAYS))
    assert by_hour[7] > 1.3 * max(by_hour[6], by_hour[9]) and by_hour[16:19].min() > max(by_hour[10:15])
    assert by_hour[:5].sum() < 0.01


def test_trips_are_as_long_as_in_a_city():
    """Straight lines, in a map of 11 km: most trips are short, some leave it."""
    trips = trips_of(TUESDAYS)
    far_m = np.hypot(trips["to_x"] - trips["from_x"], trips["to_y"] - trips["from_y"])
    assert 2_500 < far_m.mean() < 4_500 and 1_000 < np.median(far_m) < 2_500
    assert 0.2 < np.mean(trips["mode"] == move.WALK) < 0.45
    assert 0.01 < np.mean(trips["place"] == move.OUTSIDE) < 0.05
    assert far_m[trips["mode"] == move.WALK].max() < 2_200.1


def test_places_outside_lie_5_to_15_km_beyond_the_edge():
    legs = trips_of(TUESDAYS)
    legs = legs[legs["place"] == move.OUTSIDE]
    far_m = np.hypot(legs["to_x"] - COUNTRY.middle_x_m, legs["to_y"] - COUNTRY.middle_y_m) - COUNTRY.reach_m
    assert far_m.min() > 4_999 and far_m.max() < 15_001
    quadrant = np.bincount((legs["to_x"] > 0) * 2 + (legs["to_y"] > 0), minlength=4)
    assert quadrant.min() > 0.15 * len(legs)


def test_short_stops_are_made_at_stations_and_shops():
    stays = np.concatenate(TUESDAYS)
    stays = stays[stays["mode"] == move.STAY]
    minutes = (stays["end_ms"] - stays["start_ms"]) / 60_000
    station, errand = minutes[stays["place"] == move.STATION], minutes[stays["place"] == move.ERRAND]
    assert station.min() >= 0.5 and station.max() <= 3.0
    assert errand.min() >= 2.0 and 0.3 < np.mean(errand < 15) < 0.7


def test_workers_work_where_they_worked_yesterday():
    found = 0
    for person in range(300):
        places = []
        for day in (TUESDAY, TUESDAY + 1):
            legs = day_of(person, day)
            work = legs[(legs["place"] == move.WORK) & (legs["mode"] == move.STAY)]
            places += [(leg["to_x"], leg["to_y"]) for leg in work]
        assert len(set(places)) <= 1
        found += len(places) >= 2
    assert found > 60


def test_a_place_on_a_leg_moves_evenly_from_one_end_to_the_other():
    legs = day_of(next(p for p in range(100) if len(day_of(p)) > 6))
    for leg in legs:
        ends = [move.position(leg, t) for t in (leg["start_ms"], leg["end_ms"])]
        np.testing.assert_allclose(
            ends, [(leg["from_x"], leg["from_y"]), (leg["to_x"], leg["to_y"])], atol=0.01
        )
        middle = move.position(leg, (int(leg["start_ms"]) + int(leg["end_ms"])) // 2)
        np.testing.assert_allclose(middle, np.mean(ends, axis=0), atol=0.01)
    for i, leg in enumerate(legs):
        assert move.leg_at(legs, len(legs), leg["start_ms"]) == i
        assert move.leg_at(legs, len(legs), leg["end_ms"] - 1) == i


def test_the_area_of_a_place_is_that_of_its_bin():
    """Against the projection itself, away from the borders of bins by more than the fit is off."""
    areas = CITY.areas
    rng = np.random.Generator(np.random.Philox(3))
    x, y = rng.uniform(-6_500, 6_500, (2, 3_000))
    found = [move.area_at(a, b, areas.bins, *areas.first, areas.terms) for a, b in zip(x, y, strict=True)]
    east, north = to_laea(*areas.frame.to_degrees(x, y))
    inner = np.all([np.abs(a / 100 % 1 - 0.5) < 0.495 for a in (east, north)], axis=0)
    column, row = (np.floor(a / 100).astype(int) for a in (east, north))
    column, row = column - areas.first[0], row - areas.first[1]
    held = (column >= 0) & (row >= 0) & (column < areas.bins.shape[1]) & (row < areas.bins.shape[0])
    expected = np.full(len(x), areas.elsewhere)
    expected[held] = areas.bins[row[held], column[held]]
    np.testing.assert_array_equal(np.array(found)[inner], expected[inner])
    assert move.area_at(1e6, -1e6, areas.bins, *areas.first, areas.terms) == areas.elsewhere


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_nobody_and_everybody_hold(share):
    population_settings = CITY.population.model_copy(update={"minor_share": share})
    country = population.country(CITY.areas, population_settings)
    legs = np.zeros(move.LEGS_MAX, move.LEG)
    places = set()
    for person in range(200):
        places |= set(legs["place"][: move.day_plan(1, person, TUESDAY, 24 * HOUR_MS, country, legs)])
    assert (move.SCHOOL in places) == (share == 1.0)
    assert (move.WORK in places) == (share == 0.0)
