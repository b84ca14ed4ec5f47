"""Tables: which record is counted in which cell, and which spans are given up when; worked out by hand."""

from datetime import datetime

import numpy as np
import pytest

from collector.edge.metrics import Places, check
from collector.edge.metrics.moves import Flows, Moves, ZoneFlows
from collector.edge.metrics.presence import Presence, Profile
from collector.edge.metrics.visitors import Dwell, Origin, Repeat, Visitors
from collector.edge.records import ARRIVAL, CLASSES, DEPARTURE, RECORD
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table
from probe.base.clock import HOUR_MS, epoch_ms
from probe.wire.areas import ELSEWHERE
from probe.wire.observations import NO_HOME

BERLIN, SLOT_MS, AREAS = "Europe/Berlin", 900_000, 4
ALL = [Presence(), Profile(), Moves(), Visitors(), Dwell(), Origin(), Flows(), ZoneFlows(), Repeat()]
areas = [("a", "A"), ("b", "B"), ("c", "C"), (ELSEWHERE, ELSEWHERE)]
homes = [*areas, ("fr", "France"), ("other", "other country"), ("unknown", "unknown")]
PLACES = Places(areas, homes, [("z0", "A, C"), ("z1", "B, elsewhere")], np.array([0, 1, 0, 1], "u1"), True)
HOME_FRANCE = 0xFF00
# A map like that of a run: 101 areas, 12 of them halls of an airport, and more homes than the check has areas.
halls = [*range(20, 100, 7)]
town = [(f"airport-{row}" if row in halls else f"a{row}", str(row)) for row in range(100)] + [areas[-1]]
TOWN = Places(town, [*town, *homes[4:]], [(f"z{zone}", str(zone)) for zone in range(33)],
              np.arange(101).astype("u1") % 33, True)


def at(*local):
    return epoch_ms(datetime(*local), BERLIN)


def records(*rows):
    """RECORD[n] of dicts; sign 1 where nothing is said."""
    found = np.zeros(len(rows), RECORD)
    for one, row in zip(found, rows, strict=True):
        for name, value in {"sign": 1, **row}.items():
            one[name] = value
    return found


def cell(metric, **row):
    """The cell of a record as the ids of its rows, None = not counted."""
    axes = metric.axes(PLACES)
    (found,) = metric.cells(records(row), PLACES)
    if found < 0:
        return None
    index = np.unravel_index(found, [len(rows) for rows in axes.values()])
    return tuple(rows[i][0] for rows, i in zip(axes.values(), index, strict=True))


def table(metric, start=(2026, 10, 24), end=(2026, 10, 27)):
    return Table(metric, PLACES, metric.name, metric.table, Slots(SlotSettings(), at(*start)), at(*end))


def test_tables_have_the_numbers_spans_and_axes_of_the_contract():
    found = [(one.name, one.table, one.span, ",".join(one.axes(PLACES)), one.tally_units) for one in ALL]
    assert found == [
        ("presence", 1, "slot", "area", 64_000),
        ("profile", 2, "part", "area,age,gender", 64_000),
        ("moves", 3, "slot", "area,direction", 1),
        ("visitors", 4, "day", "area,role", 1),
        ("dwell", 5, "day", "area,stay,gender", 1),
        ("origin", 6, "day", "home,area", 1),
        ("flows", 7, "part", "origin,destination", 1),
        ("zone_flows", 8, "hour", "origin,destination", 1),
        ("repeat", 9, "week", "area,days", 1)]


def test_bounds_are_those_of_the_contract():
    second, hour = 64_000, 3_600 * 64_000
    found = [one.bound_squared(900) for one in ALL]
    assert found == [100 * (900 * second) ** 2, 105 * hour**2, 16, 12, 12, 8, 8, 8, 16]


@pytest.mark.parametrize(("slot_s", "slots"), [(300, 300), (1_800, 50), (3_600, 25)])
def test_the_bound_of_presence_is_true_for_every_slot_length(slot_s, slots):
    assert Presence().bound_squared(slot_s) == slots * (slot_s * 64_000) ** 2


@pytest.mark.parametrize(("level", "home", "role"), [
    (0, 1, "resident"), (5, 1, "resident"), (5, 0, "worker"), (4, 0, "visitor"), (1, NO_HOME, "visitor"),
    (0, HOME_FRANCE, "passer-by")])
def test_roles_go_by_home_and_the_longest_stay(level, home, role):
    assert cell(Visitors(), area=1, what=level, home=home) == ("b", role)


def test_nobody_is_known_to_live_in_an_area_of_another_set():
    found = Visitors().cells(records({"area": 1, "home": 1, "what": 0}), PLACES._replace(primary=False))
    assert found.tolist() == [4 * 1 + 3]


@pytest.mark.parametrize(("level", "stay"), [*enumerate(["pass-by", "2-5", "5-15", "15-60", "60+", "60+"])])
def test_dwell_goes_by_the_longest_stay_and_gender(level, stay):
    assert cell(Dwell(), area=2, what=level, klass=5 * 3 + 1) == ("c", stay, "men")


@pytest.mark.parametrize(("home", "row"), [
    (0, "a"), (3, ELSEWHERE), (4, "unknown"), (HOME_FRANCE, "fr"), (HOME_FRANCE + 1, "other"),
    (HOME_FRANCE + 9, "unknown"), (0xFEFF, "unknown"), (NO_HOME, "unknown")])
def test_origin_is_an_area_a_country_or_unknown(home, row):
    assert cell(Origin(), area=2, home=home, what=1) == (row, "c")


def test_origin_counts_the_first_eight_visits_only():
    assert cell(Origin(), what=1, rank=7) and not cell(Origin(), what=1, rank=8) and not cell(Origin(), what=0)


def test_profile_goes_by_age_and_gender():
    assert cell(Profile(), area=1, klass=20) == ("b", "unknown", "unknown")
    assert cell(Profile(), area=0, klass=3 * 5) == ("a", "65+", "women")


def test_flows_count_the_first_of_a_pair():
    trip = {"origin": 2, "area": 1}
    assert [cell(Flows(), **trip, what=bits) for bits in range(4)] == [None, ("c", "b"), None, ("c", "b")]
    assert [cell(ZoneFlows(), **trip, what=bits) for bits in range(4)] == [None, None, ("z0", "z1"), ("z0", "z1")]


@pytest.mark.parametrize(("days", "row"), [*enumerate(["1", "2", "3-4", "3-4", "5-7", "5-7", "5-7"], 1)])
def test_repeat_goes_by_days(days, row):
    assert cell(Repeat(), area=3, what=days) == (ELSEWHERE, row)


def test_moves_tell_arrivals_from_departures():
    assert cell(Moves(), area=1, what=ARRIVAL) == ("b", "arrivals")
    assert cell(Moves(), area=1, what=DEPARTURE) == ("b", "departures")


def test_a_step_is_taken_back_from_its_own_slot_and_the_slot_is_given_up_one_later():
    one = table(Moves())
    first = at(2026, 10, 24) // SLOT_MS
    step = {"time_ms": first * SLOT_MS + 880_000, "area": 1, "what": ARRIVAL}
    one.add(records(step, {**step, "area": 2}))
    assert one.close(first) == []
    one.add(records({**step, "sign": -1}))
    ((slot, tally),) = one.close(first + 1)
    assert slot == first and tally.tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_at_midnight_steps_wait_for_nothing():
    one, last = table(Moves()), at(2026, 10, 25) // SLOT_MS - 1
    for slot in range(at(2026, 10, 24) // SLOT_MS, last):
        one.close(slot)
    assert [slot for slot, _ in one.close(last)] == [last - 1, last]
    assert one.close(last + 1) == []


@pytest.mark.parametrize(("metric", "spans"), [
    (Presence(), 24 * 4 + 25 * 4), (Profile(), 12), (ZoneFlows(), 49), (Dwell(), 2), (Repeat(), 0)])
def test_every_whole_span_is_given_up_once_in_order_with_what_was_added(metric, spans):
    """Two days, the second of 25 hours; all is given up when the run has ended, and one slot later nothing."""
    one = table(metric, end=(2026, 10, 26))
    first, until = (at(2026, 10, day) // SLOT_MS for day in (24, 26))
    row = {"area": 1, "what": 3, "time_ms": at(2026, 10, 25, 4)}  # the first slot of a part, and of an hour
    given = []
    for slot in range(first, until):
        if slot == row["time_ms"] // SLOT_MS:
            one.add(records(row))
        given += one.close(slot)
    assert [slot for slot, _ in given] == one.span_slots and len(given) == spans
    assert all(tally.dtype == np.int64 and tally.shape == (one.cells,) for _, tally in given)
    within = [slot for slot, tally in given if tally.sum() == 1]
    wanted = {"slot": at(2026, 10, 25, 4), "part": at(2026, 10, 25, 4), "hour": at(2026, 10, 25, 4),
              "day": at(2026, 10, 25), "week": None}[metric.span]
    assert within == ([] if wanted is None else [wanted // SLOT_MS]) and one.close(until) == []


def test_a_day_that_begins_before_the_run_is_never_given_up():
    one = table(Dwell(), start=(2026, 10, 24, 7), end=(2026, 10, 26))
    one.add(records({"time_ms": at(2026, 10, 24)}))
    given = [found for slot in range(at(2026, 10, 24, 7) // SLOT_MS, at(2026, 10, 26) // SLOT_MS)
             for found in one.close(slot)]
    assert [(slot, tally.sum()) for slot, tally in given] == [(at(2026, 10, 25) // SLOT_MS, 0)]


def test_a_week_is_counted_from_the_day_of_the_start():
    one = table(Repeat(), end=(2026, 10, 31, 12))
    one.add(records({"time_ms": at(2026, 10, 24), "area": 1, "what": 7}))
    given = [found for slot in range(at(2026, 10, 24) // SLOT_MS, at(2026, 10, 31, 12) // SLOT_MS)
             for found in one.close(slot)]
    assert [(slot, tally.tolist()) for slot, tally in given] == [(at(2026, 10, 24) // SLOT_MS, [0] * 7 + [1] + [0] * 8)]


def test_person_time_is_added_by_area_and_class_to_the_part_that_holds_the_slot():
    """On the day of change the part from 0 to 4 has five hours: all of it in one cell, and nobody else's."""
    one, midnight = table(Profile()), at(2026, 10, 25)
    time = np.zeros((AREAS, CLASSES), "i8")
    time[2, 4] = 64 * SLOT_MS
    given = []
    for slot in range(at(2026, 10, 24) // SLOT_MS, (midnight + 6 * HOUR_MS) // SLOT_MS):
        if slot * SLOT_MS >= midnight:
            one.add_time(slot, time)
        given += one.close(slot)
    slot, tally = given[-1]
    assert slot == midnight // SLOT_MS and tally[2 * 21 + 4] == 5 * 3_600 * 64_000 == tally.sum()
    assert not any(tally.any() for _, tally in given[:-1])


def test_a_run_without_a_whole_span_gives_up_nothing():
    one = table(Dwell(), start=(2026, 10, 24, 7), end=(2026, 10, 24, 9))
    one.add(records({"time_ms": at(2026, 10, 24)}))
    assert one.span_slots == [] and one.close(at(2026, 10, 24, 9) // SLOT_MS) == []


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_table_keeps_the_contract(metric):
    assert check.broken(metric) == []


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_no_smaller_bound_would_be_true(metric):
    """What one person can add, on the paper, is just what is declared; on a map of a run it is the same."""
    for places in (check.PLACES, TOWN):
        found = check.possible(metric.source, places)
        assert check.most_squared(metric, found, metric.cells(found, places), places) == metric.bound_squared(900)


@pytest.mark.parametrize("source", check.SOURCES)
def test_all_that_can_be_granted_is_tried_on_the_small_map_and_all_of_each_kind_on_a_large_one(source):
    small, large = check.possible(source), check.possible(source, TOWN)
    for found, places in ((small, check.PLACES), (large, TOWN)):
        assert len(found) <= check.ROOM
        sizes = {"area": len(places.areas), "origin": len(places.areas), "home": len(places.homes), "klass": CLASSES,
                 "rank": 12, "time_ms": 100, "what": len(check.SOURCES[source][1])}
        of = {name: sizes[name] for name in check.SOURCES[source][2]}
        assert {name: len(np.unique(found[name])) for name in of} == of
        index = np.ravel_multi_index([np.unique(found[name], return_inverse=True)[1] for name in of], [*of.values()])
        assert len(np.unique(index)) == len(found) and (found is large or len(found) == np.prod([*of.values()]))
    if source == "visits":  # of whom anything is tried, all areas are
        whose = (large["home"].astype("i8") * CLASSES + large["klass"]) * 6 + large["what"]
        assert np.all(np.unique(whose, return_counts=True)[1] % len(TOWN.areas) == 0)


class Anywhere(Dwell):
    """Says what Dwell says, but all areas of a person meet in one cell."""

    by = ("stay", "gender")


class Anytime(Moves):
    """All arrivals of four hours in an area meet in one cell."""

    span = "part"


class AllDay(Presence):
    span = "day"


class EveryTrip(Flows):
    """Counts a pair again and again."""

    def counts(self, records):
        return np.ones(len(records), "?")


class Grows(Dwell):
    """Its cells depend on what came before."""

    def cells(self, records, places):
        return np.roll(super().cells(records, places), 1)


class OneWay(Moves):
    """Does not take back what it counted."""

    def counts(self, records):
        return records["sign"] > 0


class Outside(Dwell):
    def cells(self, records, places):
        return super().cells(records, places) + 1


class Narrow(Dwell):
    def cells(self, records, places):
        return super().cells(records, places).astype("i4")


class Half(Visitors):
    def bound_squared(self, slot_s):
        return 6


class Floats(Visitors):
    def bound_squared(self, slot_s):
        return 12.5


class Weekly(Dwell):
    span = "week"


class Fails(Dwell):
    def axes(self, places):
        raise KeyError("gender")


class Lonely(Flows):
    """One record is put elsewhere than many are."""

    def cells(self, records, places):
        return super().cells(records, places) * (len(records) > 1)


class Scribbles(Dwell):
    """Changes what other tables count as well."""

    def counts(self, records):
        records["area"] = 0
        return super().counts(records)


class Numberless(Dwell):
    table = 256


LIARS = {Anywhere: "can add L2^2 = 144", Anytime: "can add L2^2 = 128", AllDay: "can add L2^2", EveryTrip: "= 64",
         Grows: "depends on other records", OneWay: "on its sign", Outside: "outside -1 to 254", Narrow: "cells are i8",
         Half: "= 12", Lonely: "who else is there", Floats: "needs a whole number", Weekly: "go together",
         Fails: "KeyError", Scribbles: "read-only", Numberless: "1 to 255"}


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_a_table_that_lies_is_told_so(liar):
    (words,) = check.broken(liar())
    assert LIARS[liar] in words


class Far(Visitors):
    """Counts nothing on a small map, and twelve of one person on a large one."""

    def bound_squared(self, slot_s):
        return 1

    def counts(self, records):
        return records["area"] >= 20


def airport(base, bound, counts=lambda records: True):
    """A table of what happens in the halls of the airport, all in one cell."""

    class Airport(base):
        by = ()

        def axes(self, places):
            return {"place": [("airport", "airport")]}

        def bound_squared(self, slot_s):
            return bound

        def cells(self, records, places):
            there = [row for row, (area_id, _) in enumerate(places.areas) if area_id.startswith("airport")]
            return np.where(np.isin(records["area"], there) & counts(records), 0, -1)

    return Airport()


ELSEWHERE_LIARS = {
    "far": (Far(), "L2^2 = 12"), "visits": (airport(Visitors, 1), "L2^2 = 144"),
    "longer visits": (airport(Dwell, 12, lambda records: records["what"] > 0), "L2^2 = 104"),
    "first two visits": (airport(Dwell, 1, lambda records: (records["what"] > 0) & (records["rank"] < 2)), "L2^2 = 4"),
    "men": (airport(Dwell, 12, lambda records: records["klass"] == 4), "L2^2 = 144"),
    "from France": (airport(Origin, 8, lambda records: records["home"] == HOME_FRANCE), "L2^2 = 144"),
    "moves": (airport(Moves, 16), "L2^2 = 32"), "flows": (airport(Flows, 8), "L2^2 = 64"),
    "first flows": (airport(Flows, 8, lambda records: records["what"] & 1 > 0), "L2^2 = 64"),
    "weeks": (airport(Repeat, 16), "L2^2 = 144"), "time": (airport(Profile, 1), "L2^2 = ")}


@pytest.mark.parametrize("liar", ELSEWHERE_LIARS)
def test_a_table_that_lies_on_the_map_of_a_run_only_is_told_so(liar):
    metric, words = ELSEWHERE_LIARS[liar]
    assert "counts nothing" in check.broken(metric)[0]
    (found,) = check.broken(metric, places=TOWN)
    assert words in found


def test_a_table_of_what_the_small_map_lacks_passes_on_the_map_of_a_run_when_its_bound_is_true():
    assert check.broken(airport(Visitors, 144), places=TOWN) == []
    assert "counts nothing" in check.broken(airport(Visitors, 144), places=PLACES)[0]
