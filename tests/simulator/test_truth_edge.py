"""The truth and the edge mean the same: an edge that is told every border that is crossed counts the truth."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from collector.edge import crowd, scheme, slots, tables
from collector.edge.locators.fixes import FIX, TA, UNITS
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
    """Return the observations of a day: at each border, and every half an hour; with fixes that are right."""
    at = [(begin_ms + silent_ms, area) for area, begin_ms, end_ms in way
          for silent_ms in range(0, end_ms - begin_ms, 1_800_000)]  # fmt: skip
    observations, fixes = np.zeros(len(at), OBSERVATION), np.zeros(len(at), FIX)
    time_ms, fixes["area"][:, 0] = np.array(at).T
    observations["pseudonym"] = observations["week"] = (person + 1) * 0x9E3779B97F4A7C15 % 2**64
    observations["time_ms"] = midnight_ms + time_ms
    home = world.home_row(world.KNOWN[person])
    observations["home"] = home if home < 10 else 0xFF00 + home - 10  # the country of a guest
    observations["klass"] = world.KLASS[person]
    fixes["weight"][:, 0], fixes["content"] = UNITS, TA
    return observations, fixes


@pytest.mark.parametrize(("start", "days"), [("2026-05-12T00:00", 7), ("2026-10-25T00:00", 1), ("2026-03-29T00:00", 1)])
def test_an_edge_that_hears_every_border_counts_the_truth(start, days):
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
    observations, fixes = (np.concatenate(column) for column in zip(*told, strict=True))
    grid = slots.Slots(slots.SlotSettings(zone=zone), start_ms)
    made = scheme.read({"": world.VILLAGE.areas}, NAMES, grid, end_ms)
    made = made._replace(zones=[world.ZONE_OF], tables=[[with_zones(table) for table in made.tables[0]]])
    state = crowd.Crowd(grid, made.rows, made.zones, weekly=True)
    adding = tables.Tables(state, made.rows, made.tables, grid)
    found = {table.number: (table, []) for table in made.every()}
    order = np.argsort(observations["time_ms"], kind="stable")
    observations, fixes = observations[order], fixes[order]
    for slot in range(grid.of(start_ms), grid.of(end_ms)):
        now = slice(*np.searchsorted(observations["time_ms"], [slot * 900_000, (slot + 1) * 900_000]))
        state.count(observations[now], fixes[now])
        for number, first, tally in adding.close(slot):
            found[number][1].append((first, tally))
    hours = (end_ms - start_ms) / clock.HOUR_MS
    kept = {table.name: (table.metric.span, table.cells) for table in made.every()}
    true = world.tables_of(np.flatnonzero(counted), start, hours, world.VIEW._replace(tables=kept))
    for table, tallies in found.values():
        kept = true[table.name]
        assert [first for first, _ in tallies] == kept.slots.tolist(), table.name
        if tallies:
            unit = UNITS if table.metric.source == "time" else 1
            tally = np.array([tally for _, tally in tallies])
            assert tally.any() or not kept.cells.any()
            np.testing.assert_array_equal(tally, kept.cells[..., 2] * unit, table.name)


def with_zones(table):
    """Return a table that sees the zones of this test: fewer than areas."""
    if table.name == "zone_flows":
        zones = [(str(zone), str(zone)) for zone in range(4)]
        table.places = table.places._replace(zones=zones, zone_of=world.ZONE_OF)
        table.axes, table.cells = table.metric.axes(table.places), 16
    return table
