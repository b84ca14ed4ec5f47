"""The collector against a slow recount from the raw rows, however they are cut, delayed and mixed."""

import itertools
from datetime import datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge.collect import Collector
from collector.edge.locators.fixes import NO_AREA
from collector.edge.crowd import Crowd
from collector.edge.metrics import Places
from collector.edge.metrics.presence import Presence
from collector.edge.scheme import Scheme
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table
from probe.base.clock import epoch_ms, midnights_ms
from probe.wire.observations import OBSERVATION
from tests import oracles_count as oracle

ZONE, SLOT_MS, AREAS = "Europe/Berlin", 900_000, 4
START_MS = epoch_ms(datetime(2026, 10, 24, 22, 7), ZONE)  # the next day has 25 hours
PLACES = ({0: 64}, {1: 64}, {0: 40, 2: 24}, {3: 64}, {0: 11, 1: 11, 2: 21, 3: 21})
NOWHERE = len(PLACES)  # a cell that never serves


def located(observations, fixes):
    """Read the answer from the row: the content in ta, the place in aoa."""
    fixes["content"] = np.where(observations["aoa"] == NOWHERE, 0, observations["ta"])
    fixes["area"] = NO_AREA
    for place, units in enumerate(PLACES):
        chosen = np.flatnonzero(observations["aoa"] == place)
        fixes["area"][chosen, : len(units)] = list(units)
        fixes["weight"][chosen, : len(units)] = list(units.values())


def collector(start_ms=START_MS, **slots):
    grid = Slots(SlotSettings(zone=ZONE, **slots), start_ms)
    return counting(grid, located)


def counting(grid, locate):
    """A collector of presence alone, over areas that are their own pieces and zones."""
    places = Places([(str(area), str(area)) for area in range(AREAS)], [], [], np.arange(AREAS), True)
    table = Table(Presence(), places, "presence", 1, grid, START_MS + 10**9)
    rows, zones = [np.arange(AREAS, dtype="u2")], [np.arange(AREAS, dtype="u1")]
    return Collector(grid, locate, Crowd(grid, rows, zones), Scheme(None, rows, zones, [], [[table]], 900))


def observation(row):
    """The dict of a row as an OBSERVATION; a pseudonym of the day and person."""
    found = np.zeros((), OBSERVATION)
    day = sum(row["time_ms"] >= midnight_ms for midnight_ms in DAYS_MS)
    found["pseudonym"] = 1 + row["person"] + (day << 34) + (row["person"] % 2 << 33)
    for name in ("time_ms", "cell", "kind"):
        found[name] = row[name]
    found["ta"], found["aoa"] = row["content"], row["place"]
    return found


DAYS_MS = midnights_ms(START_MS, START_MS + 30 * 3_600_000, ZONE)


def test_a_fix_that_holds_more_than_one_person_is_invalid():
    """The bound of a table rests on what a locator, perhaps a stranger's, says of weights and areas."""
    def wrong(observations, fixes):
        located(observations, fixes)
        fixes["weight"][:1], fixes["area"][1:2, 0], fixes["weight"][2:3] = 255, AREAS, [32, 0, 32, 0, 0, 0]

    grid = Slots(SlotSettings(zone=ZONE), START_MS)
    one = counting(grid, wrong)
    found = np.zeros(4, OBSERVATION)
    found["time_ms"], found["pseudonym"] = START_MS + np.arange(4), 1 + np.arange(4)
    found["kind"], found["ta"] = 5, 2
    (_, _, tally), *_ = one.push(found, START_MS + 3 * SLOT_MS)
    assert (one.counts["invalid"], one.counts["binned"]) == (3, 1)
    assert tally.sum() <= 64 * SLOT_MS


@st.composite
def rows(draw, persons=3):
    """Events of few persons, some seconds to hours apart, some delayed beyond the lateness."""
    steps = st.sampled_from([0, 1, 500, 20_000, 300_000, 899_999, 900_000, 3_599_999, 3_600_000, 3_600_001])
    found, time_ms = [], START_MS
    for step_ms in draw(st.lists(steps, max_size=30)):
        time_ms += step_ms
        content = draw(st.integers(1, 4))
        cell = draw(st.integers(0, 2))
        place = cell if content == 1 else draw(st.integers(0, NOWHERE))
        found.append(
            {
                "time_ms": time_ms,
                "person": draw(st.integers(0, persons - 1)),
                "kind": draw(st.sampled_from([2, 3, 10, 10, 10, 10])),
                "cell": cell,
                "content": content,
                "place": place,
                "units": PLACES[place] if place != NOWHERE else {},
                "delay_ms": draw(st.sampled_from([0, 0, 0, 30_000, 59_000, 200_000])),
            }
        )
    return found


def batches(found, cuts, end_ms):
    """Rows in order of arrival, cut where told; the watermark is the arrival of the next row."""
    arriving = sorted(found, key=lambda row: row["time_ms"] + row["delay_ms"])
    edges = [0, *sorted(cut % (len(arriving) + 1) for cut in cuts), len(arriving)]
    for first, last in itertools.pairwise(edges):
        following = arriving[last:]
        watermark_ms = following[0]["time_ms"] + following[0]["delay_ms"] if following else end_ms
        yield arriving[first:last], watermark_ms
    yield [], end_ms


def collected(parts, into=None):
    """(tallies by slot, account) of batches."""
    into = into or collector()
    tallies = {}
    for found, watermark_ms in parts:
        frame = np.array([observation(row) for row in found], OBSERVATION)
        tallies.update((slot, tally) for _, slot, tally in into.push(frame, watermark_ms))
    into.drain()
    return tallies, into.counts


@settings(max_examples=150, deadline=None)
@given(found=rows(), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_tallies_equal_a_slow_recount(found, cuts):
    """Lateness, expiry, detach, unlocatable cells and a midnight before a day of 25 hours."""
    last_ms = max([row["time_ms"] for row in found], default=START_MS)
    end_ms = last_ms + 5 * 3_600_000
    parts = list(batches(found, cuts, end_ms + 61_000))
    tallies, account = collected(parts)

    kept = oracle.timely(parts, START_MS, 60_000)
    placed = [row for row in kept if row["place"] != NOWHERE or row["kind"] == oracle.DETACH]
    days_ms = midnights_ms(START_MS, end_ms, ZONE)
    wanted = oracle.presence(placed, days_ms, 3_600_000, SLOT_MS, tallies, AREAS)
    assert all(np.array_equal(tallies[slot], wanted[slot]) for slot in tallies)
    assert list(tallies) == list(range(-(-START_MS // SLOT_MS), end_ms // SLOT_MS)), "only whole slots"
    assert sum(account.values()) == len(found) and account["late"] == len(found) - len(kept)
    assert account["binned"] == len(placed) and account["invalid"] == len(kept) - len(placed)
    assert account["waiting"] == 0
