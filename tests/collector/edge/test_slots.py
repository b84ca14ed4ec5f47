"""The grid of slots, and settings that say what is wrong with them."""

from datetime import datetime

import pytest

from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import epoch_ms
from probe.base.config import ConfigError, parse


def at(*when, zone="Europe/Berlin"):
    return epoch_ms(datetime(*when), zone)


def slots(start_ms, **settings):
    return Slots(SlotSettings(**settings), start_ms)


def test_every_problem_is_named_with_its_remedy():
    with pytest.raises(ConfigError) as caught:
        parse(SlotSettings, "[slots]", {"slot_s": 700, "expiry_s": 600, "lateness_s": -1, "slots": 1})
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "slot_s = 700",
        "lateness_s = -1",
        "expiry_s = 600",
        'unknown key "slots" (did you mean "slot_s"?)',
    ]
    assert "use 900, 1800" in str(caught.value) and "use 3600" in str(caught.value)


@pytest.mark.parametrize("slot_s", [300, 450])
def test_slots_shorter_than_a_stop_are_refused(slot_s):
    """Tables of steps wait one slot for what is taken back; and a row keeps the slot of an arrival in a byte."""
    with pytest.raises(ConfigError, match=r"shorter than a stop \(600 s\); use 900"):
        parse(SlotSettings, "[slots]", {"slot_s": slot_s})


@pytest.mark.parametrize(("day", "count"), [((2026, 3, 29), 92), ((2026, 5, 12), 96), ((2026, 10, 25), 100)])
def test_local_days_have_92_96_or_100_slots(day, count):
    start_ms = at(*day)
    grid = slots(start_ms)
    first = grid.of(start_ms)
    assert next(slot - first for slot in range(first, first + 110) if grid.ends_day(slot)) == count - 1


def test_slots_are_warming_for_an_hour_after_the_start_and_after_midnight():
    grid = slots(at(2026, 5, 12, 22, 0))
    found = [grid.warming(grid.of(at(2026, 5, 12, 22, 0)) + k) for k in range(14)]
    assert found == [True] * 4 + [False] * 4 + [True] * 4 + [False] * 2


def test_a_start_inside_a_slot_warms_for_a_whole_hour():
    grid = slots(at(2026, 5, 12, 10, 7))
    found = [grid.warming(grid.of(grid.start_ms) + k) for k in range(6)]
    assert found == [True] * 5 + [False]


def test_a_zone_whose_days_begin_off_the_grid_is_refused():
    """Kathmandu is 5:45 ahead: its midnights fit slots of a quarter, not of an hour."""
    assert slots(at(2026, 5, 12), zone="Asia/Kathmandu").length_ms == 900_000
    with pytest.raises(ConfigError, match="use 900"):
        slots(at(2026, 5, 12), zone="Asia/Kathmandu", slot_s=3_600)


def test_an_unknown_zone_is_named():
    with pytest.raises(ConfigError, match="Europe/Berlni"):
        slots(0, zone="Europe/Berlni")
