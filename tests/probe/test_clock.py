"""Spans of time: slots of UTC, and hours, parts, days and weeks of a place, also when its clock changes."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.base.clock import HOUR_MS, SPAN_S, epoch_ms, local, spans

ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Santiago", "America/Havana", "UTC"]
NESTED = [("slot", "hour"), ("slot", "part"), ("slot", "day"), ("hour", "day"), ("part", "day"), ("day", "week")]


def local_spans(span, begin, end, zone="Europe/Berlin"):
    return spans(span, epoch_ms(begin, zone), epoch_ms(end, zone), zone)


def hours(found):
    return [(end_ms - begin_ms) / HOUR_MS for begin_ms, end_ms in found]


@pytest.mark.parametrize(("day", "parts"), [(datetime(2026, 3, 29), [3, 4, 4, 4, 4, 4]),
                                            (datetime(2026, 10, 25), [5, 4, 4, 4, 4, 4]),
                                            (datetime(2026, 5, 12), [4] * 6)])
def test_parts_go_by_the_clock_on_the_wall(day, parts):
    one = {span: local_spans(span, day, day + timedelta(days=1)) for span in SPAN_S}
    assert hours(one["part"]) == parts and hours(one["day"]) == [sum(parts)]
    assert len(one["hour"]) == sum(parts) and len(one["slot"]) == 4 * sum(parts) and one["week"] == []


def test_hours_begin_with_the_local_hour_where_that_is_half_past_one_in_utc():
    (first, *_), zone = local_spans("hour", datetime(2026, 5, 12), datetime(2026, 5, 13), "America/St_Johns"), ZONES[1]
    assert first[0] % HOUR_MS == HOUR_MS // 2 and local(first[0], zone).hour == 0


def test_weeks_are_counted_from_the_day_that_the_run_begins_in():
    begin = datetime(2026, 3, 25)  # a Wednesday; the clock changes on Sunday
    assert hours(local_spans("week", begin, begin + timedelta(days=15))) == [7 * 24 - 1, 7 * 24]
    late = local_spans("week", begin + timedelta(hours=6), begin + timedelta(days=15))
    assert [local(a, "Europe/Berlin").day for a, _ in late] == [1]  # the first is not whole, and never is


def test_only_whole_spans_are_there():
    begin = datetime(2026, 5, 12, 3, 20)
    found = {span: local_spans(span, begin, begin + timedelta(hours=9)) for span in SPAN_S}
    assert {span: len(one) for span, one in found.items()} == {"slot": 35, "hour": 8, "part": 2, "day": 0, "week": 0}
    assert local_spans("slot", begin, begin) == []


@given(st.sampled_from(ZONES), st.integers(1_700_000_000, 1_800_000_000), st.integers(0, 999), st.sampled_from(NESTED))
def test_shorter_spans_fill_the_longer_ones(zone, begin_s, slots, pair):
    """But for parts in a zone whose clock changes by half an hour, which hours do not fill."""
    begin_ms = begin_s // 900 * 900_000
    short, long = (spans(span, begin_ms, begin_ms + slots * 900_000, zone) for span in pair)
    assert all(a[1] == b[0] for found in (short, long) for a, b in pairwise(found))
    filled = Counter()
    for a, b in short:
        filled.update({one: b - a for one in long if one[0] <= a and b <= one[1]})
    assert all(filled[one] == one[1] - one[0] for one in long)
