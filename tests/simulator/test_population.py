"""People: pure functions of seed and person, as many and as mixed as the settings say."""

import numpy as np
import pytest

from probe.wire.cells import COUNTRIES, HOME_ABROAD
from probe.wire.consent import CHANGE, NO, PURPOSES, YES, countable
from probe.wire.observations import NO_HOME
from probe.wire.subscribers import MINOR, Subscribers, decode, encode
from simulator import population, scenario
from simulator.kernels import people
from tests.builders_consent import always

CITY = scenario.load("city", [])
COUNTRY = population.country(CITY.areas, CITY.population)
ROWS = population.subscribers(COUNTRY, 1, 20_000, CITY.population)


def test_numbers_have_fifteen_digits_and_no_two_are_alike():
    """Also of guests: a number begins with the country that it is from."""
    mcc = np.array([262, 310, 204] * 100_000)
    numbers = population.subscriber_numbers(7, mcc)
    assert len(np.unique(numbers)) == 300_000
    np.testing.assert_array_equal(numbers // 10**10, mcc * 100 + 3)


def test_numbers_say_nothing_of_the_person():
    """Neighbouring persons are as far apart as strangers, and another seed gives other numbers."""
    mcc = np.full(20_000, 262)
    numbers = population.subscriber_numbers(7, mcc) % 10**10
    assert abs(np.corrcoef(np.arange(20_000), numbers)[0, 1]) < 0.03
    assert abs(np.mean(np.abs(np.diff(numbers))) / 1e10 - 1 / 3) < 0.01
    assert not np.any(numbers == population.subscriber_numbers(8, mcc) % 10**10)


def test_a_person_does_not_depend_on_how_many_there_are():
    few = population.subscribers(COUNTRY, 1, 500, CITY.population)
    many = ROWS[ROWS["person"] < 500]
    np.testing.assert_array_equal(few, many)


def test_the_subscriber_file_holds_them():
    np.testing.assert_array_equal(decode(encode(Subscribers(1, ROWS))).rows, ROWS)


def test_shares_are_those_of_the_settings():
    """Binomial deviations of 20,000 people are below 0.4 %; four of them are allowed."""
    minor = ROWS["age"] == MINOR
    assert np.mean(minor) == pytest.approx(0.169, abs=0.012)
    assert np.mean(ROWS["gender"] == 0) == pytest.approx(0.507, abs=0.015)
    adults = ROWS[~minor]
    for purpose in PURPOSES:
        agreed = (adults["consent"] & YES[purpose]) != 0
        assert np.mean(agreed) == pytest.approx(0.8, abs=0.013)
        assert np.mean((adults["consent"] & NO[purpose]) != 0) == pytest.approx(0.05, abs=0.008)
    ages = np.bincount(adults["age"]) / len(adults)
    np.testing.assert_allclose(ages, population.AGE_SHARES, atol=0.015)


def test_who_agrees_by_age_are_those_of_the_settings():
    """Of 1,400 people or more an age band; four deviations.  What may be counted follows, on either basis."""
    for age in range(6):
        mine = ROWS[ROWS["age"] == age]
        for basis in ("consent", "anonymous"):
            may = countable(mine["consent"], mine["age"] == MINOR, mine["person"], "market_research", basis)
            expected = CITY.population.counted("market_research", basis)[age]
            assert np.mean(may) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(mine)))


DAY_MS = 86_400_000


def said(days=1, rows=ROWS, seed=1, begin_ms=CITY.start_ms, hours=0.0, **settings):
    """Return what people say in so many days and hours of the city."""
    known = CITY.population.model_copy(update=settings)
    return population.changes(rows, seed, known, begin_ms, begin_ms + round((days * 24 + hours) * 3_600_000),
                              CITY.world.zone)


def test_as_many_say_no_and_yes_in_a_day_as_the_settings_say():
    """Of the adults, by what they had said to the purpose; four deviations."""
    spoken, adults = said(objecting_share=0.05, late_share=0.2), ROWS[ROWS["age"] != MINOR]
    for number, purpose in enumerate(PURPOSES):
        mine = spoken[spoken["purpose"] == number]
        agreed = adults["consent"] & YES[purpose] != 0
        no = np.isin(adults["subscriber"], mine["subscriber"][~mine["yes"]])
        yes = np.isin(adults["subscriber"], mine["subscriber"][mine["yes"]])
        assert np.mean(no[agreed]) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / agreed.sum()))
        assert np.mean(yes[~agreed]) == pytest.approx(0.2 * 0.95, abs=4 * np.sqrt(0.2 / (~agreed).sum()))
        assert not np.any(yes & agreed)  # nobody says again what they had said
    assert np.all(np.isin(spoken["subscriber"], adults["subscriber"]))


def test_nobody_speaks_twice_and_everybody_says_one_word():
    """In a fortnight: one instant a person, the same word for every purpose; and it is an hour of the day."""
    spoken = said(days=14, objecting_share=0.1, late_share=0.1)
    assert spoken.dtype == CHANGE and np.all(np.diff(spoken["time_ms"]) >= 0) and len(spoken) > 20_000
    order = np.argsort(spoken["subscriber"], kind="stable")
    same = np.diff(spoken["subscriber"][order].astype("i8")) == 0
    assert not np.any(same & (np.diff(spoken["time_ms"][order]) != 0))
    assert not np.any(same & (spoken["yes"][order][1:] != spoken["yes"][order][:-1]))
    assert np.all(np.diff(spoken["purpose"][order].astype(int))[same] > 0)
    hour = (spoken["time_ms"] - CITY.start_ms) % DAY_MS / 3_600_000
    assert hour.min() >= 7 and hour.max() < 22 and np.unique(hour.astype(int)).tolist() == list(range(7, 22))


def test_what_one_says_depends_on_nobody_else_and_not_on_how_long_the_world_lasts():
    everyone = said(days=2, late_share=0.1)
    np.testing.assert_array_equal(said(late_share=0.1), everyone[everyone["time_ms"] < CITY.start_ms + DAY_MS])
    half = ROWS[ROWS["person"] % 2 == 0]
    np.testing.assert_array_equal(said(days=2, rows=half, late_share=0.1),
                                  everyone[np.isin(everyone["subscriber"], half["subscriber"])])
    np.testing.assert_array_equal(said(days=2, rows=ROWS[::-1], late_share=0.1), everyone)
    noon = said(days=0, hours=2, begin_ms=CITY.start_ms + DAY_MS // 2, late_share=0.1)
    today = (noon["time_ms"] >= CITY.start_ms + DAY_MS // 2).all() and np.isin(noon, everyone).all()
    assert len(noon) and today and len(said(seed=2)) and not np.isin(said(seed=2), everyone).any()


def test_where_nobody_changes_their_mind_nothing_is_said():
    assert len(said(days=30, objecting_share=0.0, late_share=0.0)) == 0


@pytest.mark.parametrize("start", ["2026-10-25T00:00", "2026-03-29T00:00", "2026-05-12T06:00"])
def test_a_day_is_a_local_day_however_long(start):
    """Where all object on their first day, nobody is left for the second, and nobody speaks at night."""
    world = scenario.load("village", [f"world.start={start}", "world.days=2"])
    objecting = world.population.model_copy(update={"objecting_share": 1.0, "late_share": 0.0})
    spoken = population.changes(ROWS, 1, objecting, world.start_ms, world.end_ms, "Europe/Berlin")
    adults = ROWS[(ROWS["age"] != MINOR) & (ROWS["consent"] & 7 > 0)]
    np.testing.assert_array_equal(np.unique(spoken["subscriber"]), np.sort(adults["subscriber"]))
    begin_ms = world.start_ms - world.world.start.hour * 3_600_000
    assert np.all((spoken["time_ms"] >= begin_ms + 7 * 3_600_000) & (spoken["time_ms"] < begin_ms + 22 * 3_600_000))


def test_minors_are_never_counted():
    minor = ROWS["age"] == MINOR
    assert np.all(ROWS["consent"][minor] == 0)
    assert not np.any(countable(ROWS["consent"], minor, ROWS["person"], "market_research", "anonymous")[minor])


def test_people_live_where_the_residents_are():
    residents = CITY.areas.residents[:-1]
    ours = ROWS[ROWS["country"] == 262]
    share = np.bincount(ours["home"], minlength=len(residents)) / len(ours)
    expected = residents / residents.sum()
    assert np.max(np.abs(share - expected) / np.sqrt(expected / len(ours))) < 4.5


def test_guests_come_from_many_countries_and_live_in_none_of_our_areas():
    """Two in a hundred by default, shared out over countries as stated; who is none is at home here."""
    guest = ROWS["home"] == NO_HOME
    assert np.mean(guest) == pytest.approx(0.02, abs=0.004)
    np.testing.assert_array_equal(guest, ROWS["country"] != 262)
    np.testing.assert_array_equal(ROWS["subscriber"] // 10**12, ROWS["country"])
    every = population.PopulationSettings(guest_share=1.0)
    rows = population.subscribers(COUNTRY, 1, 20_000, every)
    assert np.all(rows["home"] == NO_HOME) and len(np.unique(rows["subscriber"])) == 20_000
    shares = [np.mean(rows["country"] == (mcc or 440)) for mcc, _ in COUNTRIES]
    np.testing.assert_allclose(shares, np.array(population.GUEST_SHARES) / 100, atol=0.01)
    assert sum(population.GUEST_SHARES) == 100 and len(population.GUEST_SHARES) == len(COUNTRIES)
    none = population.subscribers(COUNTRY, 1, 2_000, population.PopulationSettings(guest_share=0.0))
    assert np.all(none["country"] == 262) and np.all(none["home"] < CITY.areas.elsewhere)


def test_a_guest_differs_from_a_resident_in_home_and_number_only():
    """As many minors, as much consent; where they sleep is where the resident of that number would."""
    none = population.subscribers(COUNTRY, 1, 20_000, CITY.population.model_copy(update={"guest_share": 0.0}))
    mine, theirs = (rows[np.argsort(rows["person"])] for rows in (ROWS, none))
    for name in ("person", "age", "gender", "contract", "consent"):
        np.testing.assert_array_equal(mine[name], theirs[name])
    same = mine["home"] != NO_HOME
    np.testing.assert_array_equal(mine[same], theirs[same])


def test_the_home_of_a_guest_is_a_row_after_elsewhere_for_the_edge_and_the_truth():
    """The row that `origin` counts is the one that the probe makes of home and country."""
    home = population.homes(COUNTRY, 1, 20_000, CITY.population)
    everyone = np.arange(1 << 62, (1 << 62) + 20_000).astype("u8")
    rows = np.sort(ROWS, order="person")
    rows["subscriber"], rows["age"], rows["consent"] = everyone, 0, YES["market_research"]
    table = always(rows).table
    known = np.sort(table[table["name"] > 0], order="person")["home"].astype("i8")
    abroad = known >= HOME_ABROAD
    np.testing.assert_array_equal(home, np.where(abroad, known - HOME_ABROAD + CITY.areas.elsewhere + 1, known))
    assert abroad.sum() == (ROWS["country"] != 262).sum() > 300


def test_homes_lie_in_their_area():
    """A home is a place in a bin of its area; at the rim the grid is turned by less than a metre."""
    area = people.homes(1, 5_000, COUNTRY)
    x, y = np.transpose([people.home_of(1, person, COUNTRY)[1] for person in range(5_000)])
    from probe.base.plane import to_laea

    east, north = to_laea(*CITY.areas.frame.to_degrees(x, y))
    column, row = (np.floor(a / 100).astype(int) for a in (east, north))
    found = CITY.areas.bins[row - CITY.areas.first[1], column - CITY.areas.first[0]]
    assert np.mean(found == area) > 0.99


def test_shards_share_out_all_persons():
    parts = [population.shard_of(10_000, shard, 4) for shard in range(4)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(10_000))
    assert min(map(len, parts)) > 2_300
    halves = population.shard_of(10_000, 1, 2)
    np.testing.assert_array_equal(halves, np.sort(np.concatenate([parts[1], parts[3]])))


def test_cumulative_shares_pick_in_proportion():
    weights = np.array([0.0, 1.0, 0.0, 3.0, 4.0, 0.0])
    cum = population.cumulative(weights)
    picked = [people.pick(cum, np.uint64(i << 54)) for i in range(1 << 10)]
    np.testing.assert_allclose(np.bincount(picked, minlength=6) / 1024, weights / 8, atol=2 / 1024)
    assert people.pick(cum, np.uint64(2**64 - 1)) in (4, 5)


def test_where_no_residents_are_given_people_live_by_size():
    bare = scenario.load("village", ["areas.zones=[{radius_m=1e5, residents_per_km2=0}]"]).areas
    np.testing.assert_array_equal(population.weights_of_residents(bare), np.bincount(bare.bins.ravel())[:-1])
