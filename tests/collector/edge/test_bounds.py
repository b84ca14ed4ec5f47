"""What one person can add: no stream of events adds more than a table declares, and some add just that."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from collector.edge.metrics import check
from collector.edge.metrics.moves import Flows, Moves, ZoneFlows
from collector.edge.metrics.presence import Presence, Profile
from collector.edge.metrics.visitors import Dwell, Origin, Repeat, Visitors
from probe.base.clock import epoch_ms, midnights_ms
from probe.wire.observations import DETACH

DAILY = [Presence(), Profile(), Moves(), Visitors(), Dwell(), Origin(), Flows(), ZoneFlows()]
DAYS = [("Europe/Berlin", (2026, 7, 1), 24), ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 3, 29), 23), ("America/St_Johns", (2026, 11, 1), 25),
        ("America/St_Johns", (2026, 3, 8), 23)]
STEPS_MS = [1, 500, 60_000, 120_000, 300_000, 450_000, 599_999, 600_000, 600_001, 899_999, 900_000, 3_599_999,
            3_600_001, 14_400_000]


def added(metrics, begin_ms, until_ms, zone, rows, slot_s=900):
    """By name: what one person adds, L2^2, and what the table declares."""
    found = check.played(metrics, rows, until_ms, begin_ms=begin_ms, zone=zone, slot_s=slot_s)
    return {metric.name: (check.squared(tally), metric.bound_squared(slot_s))
            for metric, tally in zip(metrics, found, strict=True)}


@st.composite
def streams(draw, begin_ms, until_ms, rows_max):
    """(OBSERVATION[n], FIX[n]) of one person: a way of their own through few or many areas, at any hour, loudly."""
    reach = draw(st.sampled_from([1, 2, 3, 5, check.AREA_COUNT]))
    pace = draw(st.lists(st.sampled_from(STEPS_MS), min_size=1, max_size=3))  # who hurries does so for a while
    at_ms, times_ms, areas = begin_ms + draw(st.sampled_from([0, 0, 3_599_000, 10_800_000, 61_200_000])), [], []
    while at_ms < until_ms and len(times_ms) < rows_max:
        times_ms.append(at_ms)
        areas.append(draw(st.integers(0, reach - 1)) if draw(st.booleans()) else len(areas) % reach)
        at_ms += pace[len(times_ms) % len(pace)] if draw(st.integers(0, 9)) else draw(st.sampled_from(STEPS_MS))
    observations, fixes = check.seen(times_ms, areas, klass=draw(st.integers(0, 20)), home=draw(st.integers(0, 3)))
    for one in draw(st.lists(st.integers(0, len(times_ms) - 1), max_size=5)):
        observations["kind"][one] = DETACH
    for one in draw(st.lists(st.integers(0, len(times_ms) - 1), max_size=5)):  # a second handset says otherwise
        observations["klass"][one], observations["home"][one], observations["cell"][one] = one % 21, one % 5, 1
        fixes["content"][one] = 1
    for one in draw(st.lists(st.integers(0, len(times_ms) - 1), max_size=5)):
        fixes["area"][one, :2], fixes["weight"][one, :2] = (areas[one], (areas[one] + 1) % check.AREA_COUNT), (32, 32)
    return observations, fixes


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_stream_of_a_day_adds_more_than_declared(data):
    zone, date, hours = data.draw(st.sampled_from(DAYS))
    begin_ms = epoch_ms(datetime(*date), zone)
    until_ms = begin_ms + hours * 3_600_000
    assert midnights_ms(begin_ms, begin_ms, zone)[1] == until_ms
    found = added(DAILY, begin_ms, until_ms, zone, data.draw(streams(begin_ms, until_ms, 120)))
    for name, (units, bound) in found.items():
        target(units / bound, label=name)
        assert units <= bound, name


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_no_stream_of_a_week_adds_more_than_declared(data):
    begin_ms = epoch_ms(datetime(2026, 10, 21), "Europe/Berlin")
    until_ms = epoch_ms(datetime(2026, 10, 28), "Europe/Berlin")
    found = added([Repeat()], begin_ms, until_ms, "Europe/Berlin", data.draw(streams(begin_ms, until_ms, 120)))
    assert found["repeat"][0] <= found["repeat"][1]


def wanderer(days):
    """Who is in another area whenever a slot has begun, each time for a stop."""
    times_ms = np.arange(check.BEGIN_MS + 60_000, check.BEGIN_MS + days * 86_400_000, 900_000)
    return check.seen(times_ms, np.arange(len(times_ms)) % check.AREA_COUNT)


def sitter():
    times_ms = np.arange(check.BEGIN_MS, check.BEGIN_MS + 90_000_000, 1_800_000)
    return check.seen(times_ms, np.zeros(len(times_ms)))


def test_the_bounds_are_reached_by_who_sits_and_who_wanders():
    """Not within 20 % only, as it must be: to the unit."""
    until_ms = check.BEGIN_MS + 90_000_000
    sits, wanders = (added(DAILY, check.BEGIN_MS, until_ms, check.ZONE, rows) for rows in (sitter(), wanderer(1)))
    week = added([Repeat()], check.BEGIN_MS, check.BEGIN_MS + 7 * 86_400_000 + 3_600_000, check.ZONE, wanderer(7))
    for name, (units, bound) in {**wanders, "presence": sits["presence"], "profile": sits["profile"], **week}.items():
        assert units == bound, name


@pytest.mark.parametrize("slot_s", [600, 900, 1_800, 3_600])
def test_bounds_hold_for_slots_of_every_length_late_in_the_day(slot_s):
    """Slots have high numbers then: a byte in a person's row must hold them."""
    times_ms = np.arange(check.BEGIN_MS + 79_200_000, check.BEGIN_MS + 90_000_000, 601_000)
    rows = check.seen(times_ms, np.arange(len(times_ms)) % 2)
    for name, (units, bound) in added(
            DAILY, check.BEGIN_MS, check.BEGIN_MS + 90_000_000, check.ZONE, rows, slot_s).items():
        assert units <= bound, name
