"""Presence as a metric: its bound, its memory, and exact instants worked out by hand."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge.locators.fixes import FIX, NO_AREA
from collector.edge.metrics import check
from collector.edge.metrics.presence import Presence
from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import epoch_ms
from probe.wire.observations import OBSERVATION

LONG_DAY_MS = epoch_ms(datetime(2026, 10, 25), "Europe/Berlin")
SLOT_MS, AREAS = 900_000, 5


def slots(start_ms=LONG_DAY_MS):
    return Slots(SlotSettings(), start_ms)


def stream(rows, pseudonym=7):
    """(OBSERVATION[n], FIX[n]) of (ms since the start, kind, cell, content, {area: units})."""
    observations, fixes = np.zeros(len(rows), OBSERVATION), np.zeros(len(rows), FIX)
    fixes["area"] = NO_AREA
    for i, (after_ms, kind, cell, content, units) in enumerate(rows):
        observations[i]["time_ms"], observations[i]["pseudonym"] = LONG_DAY_MS + after_ms, pseudonym
        observations[i]["kind"], observations[i]["cell"] = kind, cell
        fixes[i]["content"] = content
        fixes[i]["area"][: len(units)] = list(units)
        fixes[i]["weight"][: len(units)] = list(units.values())
    return observations, fixes


def tallies(rows, slot_count):
    """i8[slots, areas] of one person's rows, all in the first slot."""
    state = Presence().build(AREAS, slots())
    state.count(*stream(rows))
    return np.array([state.close() for _ in range(slot_count)])


def test_a_silent_person_stays_for_exactly_the_expiry():
    """One row at 100 s: 800 s of the first slot, three whole ones, 100 s of the fifth."""
    found = tallies([(100_000, 3, 0, 1, {2: 64})], 6)
    assert found[:, 2].tolist() == [800_000 * 64, *[SLOT_MS * 64] * 3, 100_000 * 64, 0]


def test_an_expiry_at_the_end_of_a_slot_leaves_nothing_for_the_next():
    assert tallies([(0, 3, 0, 1, {2: 64})], 5)[:, 2].tolist() == [SLOT_MS * 64] * 4 + [0]


def test_a_detach_ends_presence_at_once():
    found = tallies([(0, 3, 0, 1, {2: 64}), (250, 2, 0, 0, {}), (300, 2, 0, 0, {})], 2)
    assert found[:, 2].tolist() == [250 * 64, 0]


def test_the_better_fix_is_kept_while_only_the_same_cell_is_heard():
    rows = [
        (0, 3, 9, 2, {1: 60, 3: 4}),
        (1_000, 7, 9, 1, {2: 64}),
        (3_000, 7, 8, 1, {2: 64}),
        (4_000, 2, 8, 0, {}),
    ]
    assert tallies(rows, 1)[0].tolist() == [0, 60 * 3_000, 64 * 1_000, 4 * 3_000, 0]


def test_a_person_seen_again_after_the_expiry_was_gone_in_between():
    state = Presence().build(AREAS, slots())
    observations, fixes = stream([(0, 3, 0, 1, {2: 64}), (3_600_500, 3, 0, 1, {2: 64})])
    state.count(observations[:1], fixes[:1])
    held = [state.close() for _ in range(4)]
    state.count(observations[1:], fixes[1:])
    assert sum(held)[2] + state.close()[2] == 3_600_000 * 64 + (SLOT_MS - 500) * 64


def test_a_better_fix_is_forgotten_at_the_instant_of_the_expiry():
    state = Presence().build(AREAS, slots())
    observations, fixes = stream([(0, 3, 9, 2, {1: 64}), (3_600_000, 7, 9, 1, {2: 64})])
    state.count(observations[:1], fixes[:1])
    for _ in range(4):
        state.close()
    state.count(observations[1:], fixes[1:])
    assert state.close().tolist() == [0, 0, SLOT_MS * 64, 0, 0]


units = st.dictionaries(st.integers(0, AREAS - 1), st.integers(1, 64), min_size=1).map(
    lambda weights: whole(list(weights.items()))
)


def whole(weights):
    """Weights scaled to 64 units by cutting from the front: what a fix may hold."""
    left, found = 64, {}
    for area, weight in weights[:-1]:
        found[area] = min(weight, left)
        left -= found[area]
    return {area: u for area, u in [*found.items(), (weights[-1][0], left)] if u}


@st.composite
def persons(draw, pseudonym, rows_max=40):
    after_ms = sorted(draw(st.lists(st.integers(0, 90_000_000 - 1), max_size=rows_max)))
    return stream(
        [
            (
                t,
                draw(st.sampled_from([2, 3, 10])),
                draw(st.integers(0, 2)),
                draw(st.integers(1, 4)),
                draw(units),
            )
            for t in after_ms
        ],
        pseudonym,
    )


@settings(max_examples=60, deadline=None)
@given(crowd=persons(5 << 32), person=persons(7))
def test_no_person_adds_more_than_the_bound_and_cuts_do_not_show(crowd, person):
    assert not check.broken(Presence(), slots(), AREAS, crowd, person)


def test_the_bound_is_reached_by_who_stays_all_of_a_day_of_25_hours():
    """9,000 person-seconds: not one unit more is promised than one person can add."""
    found = check.played(
        Presence(),
        slots(),
        AREAS,
        stream([(t, 3, 0, 1, {1: 64}) for t in range(0, 90_000_000, 600_000)]),
    )
    assert found.shape == (100, AREAS)
    assert (
        sum(int(u) ** 2 for u in found.ravel()) == Presence().bound_l2_units() ** 2 == (9_000 * 64_000) ** 2
    )


@pytest.mark.parametrize(("slot_s", "bound"), [(900, 9_000), (3_600, 18_000), (1_800, 12_728), (300, 5_197)])
def test_the_bound_is_rounded_up_for_every_slot_length(slot_s, bound):
    units_ = Presence().bound_l2_units(slot_s)
    assert bound - 1 < units_ / 64_000 <= bound
    assert units_**2 >= (slot_s * 64_000) ** 2 * (90_000 // slot_s) > (units_ - 1) ** 2


class Leaky(Presence):
    """Counts everyone twice: the mutant that the contract must catch."""

    def build(self, area_count, slots):
        state = super().build(area_count, slots)
        once = state.close
        state.close = lambda: 2 * once()
        return state


def test_the_contract_catches_who_counts_twice():
    person = stream([(t, 3, 0, 1, {1: 64}) for t in range(0, 90_000_000, 600_000)])
    assert check.broken(Leaky(), slots(), AREAS, stream([]), person) == [
        "one person adds more than bound_l2_units"
    ]


def test_ten_thousand_persons_are_told_apart_while_the_table_grows():
    """Pseudonyms that share their lower half fall on the same place; all stay until the expiry."""
    count = 10_000
    observations, fixes = stream([(0, 3, 0, 1, {1: 64})])
    observations, fixes = np.repeat(observations, count), np.repeat(fixes, count)
    observations["pseudonym"] = np.arange(count, dtype="u8") << np.uint64(20)
    state = Presence().build(AREAS, slots())
    state.count(observations, fixes)
    state.count(observations, fixes)
    assert state.close()[1] == count * SLOT_MS * 64


def test_the_end_of_a_day_zeroes_the_memory():
    state = Presence().build(AREAS, slots())
    state.count(*stream([(0, 3, 0, 1, {1: 64})]))
    state.close()
    held = [state._persons, state._table, state._occupancy]
    assert all(array.view("u1").any() for array in held)
    state.end_day()
    assert not any(array.view("u1").any() for array in held)
    assert not state.close().any()
