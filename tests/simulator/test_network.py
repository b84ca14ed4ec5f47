"""Base stations fail, handsets notice, load is counted."""

from itertools import islice, pairwise

import numpy as np

from probe.wire.events import Kind
from simulator.kernels.timeline import LOOK_AHEAD_MS
from simulator.network import outages
from simulator.traffic import TrafficSettings
from simulator.world import World
from tests import oracles_signalling as oracles
from tests.builders_signalling import cohort_events, small

OUTAGES = "traffic.outage_every_days=0.02"
NOTICED_MS = 1_300  # at most 1,039 ms to notice, 70 to prepare a handover, 150 to update the area


def test_a_site_that_came_back_holds_for_an_hour():
    spans = list(islice(outages(1, 7, TrafficSettings(outage_every_days=0.001)), 200))
    assert all(start < end for start, end in spans)
    assert all(after[0] - before[1] >= LOOK_AHEAD_MS for before, after in pairwise(spans))


def test_the_means_are_those_of_the_settings():
    spans = np.array(list(islice(outages(3, 1, TrafficSettings()), 4_000)))
    assert abs((spans[:, 1] - spans[:, 0]).mean() / 3_600_000 - 1 - 1 / 60) < 0.06
    assert abs((spans[1:, 0] - spans[:-1, 1]).mean() / 86_400_000 - 30 - 1 / 24) < 1.5


def test_nobody_speaks_through_a_dark_base_station():
    scenario, place = small(OUTAGES, "world.hours=6")
    events, failures = cohort_events(OUTAGES, "world.hours=6"), place.failures
    site = place.net["site"][events["cell"]]
    heard_before = 0
    for one in np.unique(failures.site):
        rows = np.flatnonzero(failures.site == one)
        spans = np.column_stack([failures.time_ms[rows] + NOTICED_MS, failures.until_ms[rows]])
        late = (scenario.start_ms + spans).tolist()
        mine = events["time_ms"][site == one].tolist()
        assert not any(oracles.outage_at(late, time_ms) for time_ms in mine)
        heard_before += len(mine)
    assert heard_before > 100


def test_who_is_connected_to_a_failing_base_station_finds_another():
    scenario, place = small(OUTAGES, "traffic.sessions_per_day=1000", "world.hours=6")
    events = cohort_events(OUTAGES, "traffic.sessions_per_day=1000", "world.hours=6")
    again = events[events["kind"] == Kind.REESTABLISHMENT]
    failed_ms = scenario.start_ms + place.failures.time_ms
    after = [np.min(np.abs(time_ms - failed_ms - 540)) <= 500 for time_ms in again["time_ms"]]
    assert sum(after) >= 5


def test_load_is_counted_by_cell_and_slot():
    scenario, place = small(OUTAGES)
    world, events = World(scenario, place), cohort_events(OUTAGES)
    world.run(lambda batch: None)
    tables = world.load.tables()
    assert tables["cells"][:, 2].sum() == len(events) == world.events
    for slot, cell, count, connections in tables["cells"][::7].tolist():
        mine = events[(events["cell"] == cell) & (events["time_ms"] // 900_000 == slot)]
        opened = np.isin(mine["kind"], [Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE])
        assert (len(mine), opened.sum()) == (count, connections)
    answered = events[events["kind"] == Kind.PAGING_RESPONSE]
    assert tables["pages"][:, 2].sum() == len(answered)
    tac = place.net["tac"][answered["cell"]]
    for slot, area, count in tables["pages"].tolist():
        assert count == np.sum((answered["time_ms"] // 900_000 == slot) & (tac == area))
