"""The truth and the edge mean the same: an edge that is told every border that is crossed counts the truth."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from collector.edge import collect, crowd, scheme, slots
from collector.edge.locators.fixes import TA, UNITS
from probe.base import clock
from probe.wire.observations import OBSERVATION
from tests import oracles_people
from tests.simulator import test_truth as world

NAMES = [*world.KEPT]


def within_caps(way, spans_of):
    """Return whether no cap of the edge is met: two a slot, more than 8 a day, a trip again in its part or hour."""
    day = oracles_people.counts_of(way, way[-1][2])
    arrivals, departures = (Counter(at // 900_000 for _, at in day[name]) for name in ("arrivals", "departures"))
    trips = Counter((origin, to, spans_of("part", at)) for origin, to, at in day["trips"])
    zones = Counter((world.ZONE_OF[origin], world.ZONE_OF[to], spans_of("hour", at)) for origin, to, at in day["trips"])
    most = max([0, *(count for one in (arrivals, departures, trips, zones) for count in one.values())])
    return len(day["trips"]) <= 8 and most < 2


def heard(person, way, midnight_ms):
    """Return the observations of a day: at each border, and every half an hour; each says the right area."""
    at = [(begin_ms + silent_ms, area) for area, begin_ms, end_ms in way
          for silent_ms in range(0, end_ms - begin_ms, 1_800_000)]  # fmt: skip
    observations = np.zeros(len(at), OBSERVATION)
    time_ms, observations["aoa"] = np.array(at).T
    observations["pseudonym"] = observations["week"] = name_of(person)
    observations["time_ms"] = midnight_ms + time_ms
    home = world.home_row(world.KNOWN[person])
    observations["home"] = home if home < 10 else 0xFF00 + home - 10  # the country of a guest
    observations["klass"] = world.KLASS[person]
    return observations


def name_of(person):
    return (int(person) + 1) * 0x9E3779B97F4A7C15 % 2**64


def told_to_the_edge(start, days):
    """Return (observations of those who meet no cap, their persons, begins of the days and the end, end of the run)."""
    zone = world.VILLAGE.world.zone
    start_ms = clock.epoch_ms(datetime.fromisoformat(start), zone)
    midnights = clock.midnights_ms(start_ms, start_ms + (days - 1) * clock.HOUR_MS * 24, zone)
    end_ms = midnights[-1]
    kinds = {kind: np.array(clock.spans(kind, start_ms, end_ms, zone))[:, 0] for kind in ("part", "hour")}
    told, counted = [], np.zeros(world.PERSONS, bool)
    for person in np.flatnonzero(world.COUNTED).tolist():
        days_of = []
        for begins, ends in pairwise(midnights):
            date = (clock.local(begins, zone).date() - datetime(1970, 1, 1).date()).days
            days_of.append((begins, world.way_of(person, date, ends - begins)))
        counted[person] = all(
            within_caps(way, lambda kind, at, b=begins: np.searchsorted(kinds[kind], b + at, "right"))
            for begins, way in days_of
        )
        told += [heard(person, way, begins) for begins, way in days_of if counted[person]]
    assert counted.sum() > 25
    observations = np.concatenate(told)
    return observations[np.argsort(observations["time_ms"], kind="stable")], np.flatnonzero(counted), midnights


def located(observations, fixes):
    """Read the area from the row."""
    fixes["area"][:, 0], fixes["weight"][:, 0], fixes["content"] = observations["aoa"], UNITS, TA


def edge_of(observations, no_ms, midnights):
    """Return the tables of an edge, and {number: [(slot, tally)]}; no_ms: {time: [pseudonym]} of who say no then."""
    grid, end_ms = slots.Slots(slots.SlotSettings(zone=world.VILLAGE.world.zone), midnights[0]), midnights[-1]
    made = scheme.read({"": world.VILLAGE.areas}, NAMES, grid, end_ms)
    made = made._replace(zones=[world.ZONE_OF], tables=[[with_zones(table) for table in made.tables[0]]])
    counting = collect.Collector(grid, located, crowd.Crowd(grid, made.rows, made.zones, weekly=True), made)
    found = {table.number: [] for table in made.every()}
    for cut_ms in sorted({*no_ms, *range(midnights[0] + 900_000, end_ms + 2_000_000, 900_000)}):
        now, observations = np.split(observations, [np.searchsorted(observations["time_ms"], cut_ms)])
        for number, first, tally in counting.push(now, cut_ms):
            found[number].append((first, tally))
        if cut_ms in no_ms:
            names = np.array(no_ms[cut_ms], "u8")
            counting.retract(names, names)
            observations = observations[~np.isin(observations["pseudonym"], names)]
    return [*made.every()], found


def check(start, midnights, persons, windows, edge, names=NAMES):
    """Assert that the tallies are the truth of the counted."""
    (made, found), hours = edge, (midnights[-1] - midnights[0]) / clock.HOUR_MS
    kept = {table.name: (table.metric.span, table.cells) for table in made}
    true = world.tables_of(persons, start, hours, world.VIEW._replace(tables=kept), windows=windows)
    for table in made:
        kept, tallies = true[table.name], found[table.number]
        assert [first for first, _ in tallies] == kept.slots.tolist(), table.name
        if tallies and table.name in names:
            unit = UNITS if table.metric.source == "time" else 1
            tally = np.array([tally for _, tally in tallies])
            assert tally.any() or not kept.cells.any()
            np.testing.assert_array_equal(tally, kept.cells[..., 2] * unit, table.name)


@pytest.mark.parametrize(("start", "days"), [("2026-05-12T00:00", 7), ("2026-10-25T00:00", 1), ("2026-03-29T00:00", 1)])
def test_an_edge_that_hears_every_border_counts_the_truth(start, days):
    observations, persons, midnights = told_to_the_edge(start, days)
    edge = edge_of(observations, {}, midnights)
    check(start, midnights, persons, world.truth.always(np.ones(len(persons), bool)), edge)


@pytest.mark.parametrize(("start", "days"), [("2026-05-12T00:00", 2), ("2026-10-25T00:00", 1)])
def test_who_says_no_is_in_the_tables_of_the_edge_and_of_the_truth_for_the_same_time(start, days):
    """Two in three say no at an instant: any, about a seal, in the minute after midnight."""
    observations, persons, midnights = told_to_the_edge(start, days)
    length_ms = midnights[-1] - midnights[0]
    near = np.resize([0, 59_999, 60_000, 60_001, 959_999, 960_000, 30_000], len(persons))
    draw = np.random.Generator(np.random.PCG64(3)).integers(1, length_ms, len(persons))
    draw[::2] += (-draw % 900_000 + near)[::2]
    draw[::10] = ((midnights[1] - midnights[0]) % length_ms + near)[::10]
    until = {person: at for number, (person, at) in enumerate(zip(persons, draw.tolist(), strict=True)) if number % 3}
    windows = np.array([(-1, until.get(person, world.truth.EVER_MS)) for person in persons])
    no_ms = {midnights[0] + at: [name_of(one) for one in persons if until.get(one) == at] for at in until.values()}
    edge = edge_of(observations, no_ms, midnights)
    check(start, midnights, persons, windows, edge)


def test_who_says_yes_is_in_the_time_tables_of_both_from_then_on():
    """At the instant of something that is heard of them; steps of that day may go on from what the edge never heard."""
    observations, persons, midnights = told_to_the_edge("2026-05-12T00:00", 2)
    windows, kept = [], np.ones(len(observations), bool)
    for number, person in enumerate(persons):
        its = observations["pseudonym"] == name_of(person)
        since_ms = int(observations["time_ms"][its][(7 * number) % its.sum()]) * bool(number % 3)
        kept &= ~its | (observations["time_ms"] >= since_ms)
        windows.append((since_ms - midnights[0], world.truth.EVER_MS))
    edge = edge_of(observations[kept], {}, midnights)
    check("2026-05-12T00:00", midnights, persons, np.array(windows), edge, ("presence", "profile"))


def with_zones(table):
    """Return a table that sees the zones of this test: fewer than areas."""
    if table.name == "zone_flows":
        zones = [(str(zone), str(zone)) for zone in range(4)]
        table.places = table.places._replace(zones=zones, zone_of=world.ZONE_OF)
        table.axes, table.cells = table.metric.axes(table.places), 16
    return table
