"""Time: event time in integer milliseconds, local days, and a wall clock for socket time-outs only."""

import time
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from probe.base.config import ConfigError

SECOND_MS, HOUR_MS = 1_000, 3_600_000
# What a table is counted over, the shorter first, and its nominal length: a local day may have 23 or 25 hours.
SPAN_S = {"slot": 900, "hour": 3_600, "part": 14_400, "day": 86_400, "week": 604_800}


class WallClock:
    """The one wall clock.  Serves time-outs, and when somebody said something; never a count.

    now_s returns monotonic seconds; cpu_s the core seconds used by this process: what a
    stage costs, never what it decides; utc_ms the time of day.
    """

    now_s, cpu_s = staticmethod(time.monotonic), staticmethod(time.process_time)
    utc_ms = staticmethod(lambda: time.time_ns() // 1_000_000)


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or say why there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        remedy = "use a name such as Europe/Berlin (and install tzdata)"
        raise ConfigError("time zone", [f'"{name}" is unknown; {remedy}']) from None


def epoch_ms(local: datetime, zone_name: str) -> int:
    """Return UTC milliseconds of a naive local time."""
    return int(local.replace(tzinfo=zone(zone_name)).timestamp()) * SECOND_MS


def local(time_ms: int, zone_name: str) -> datetime:
    """Return the local time of UTC milliseconds."""
    return datetime.fromtimestamp(time_ms / SECOND_MS, zone(zone_name))


def midnights_ms(start_ms: int, end_ms: int, zone_name: str) -> list[int]:
    """Return every local midnight from the one at or before start_ms to the first after end_ms.

    Local days have 23 or 25 hours twice a year; the list knows.
    """
    day = datetime.combine(local(start_ms, zone_name), datetime.min.time())
    found = [epoch_ms(day, zone_name)]
    while found[-1] <= end_ms:
        found.append(epoch_ms(day := day + timedelta(days=1), zone_name))
    return found


def spans(span: str, begin_ms: int, end_ms: int, zone_name: str, slot_ms: int = 900_000) -> list[tuple[int, int]]:
    """Return (begin_ms, end_ms) of every whole span of a kind that lies in [begin_ms, end_ms), in order.

    Slots lie on the UTC grid.  The others are local: hours are counted from midnight (a last one that
    midnight cuts is shorter), parts go by the clock on the wall (0-4, 4-8 ... 20-24: 3 or 5 hours long
    when it changes), and weeks are seven days each, counted from the day that begin_ms lies in.
    """
    days = midnights_ms(begin_ms, end_ms, zone_name)
    match span:
        case "slot":
            edges = list(range(begin_ms - begin_ms % slot_ms, end_ms + 1, slot_ms))
        case "hour":
            edges = [ms for day in pairwise(days) for ms in range(*day, HOUR_MS)] + days[-1:]
        case "part":
            edges = [epoch_ms(local(day, zone_name).replace(hour=hour, minute=0, tzinfo=None), zone_name)
                     for day in days for hour in range(0, 24, 4)]
        case _:
            edges = days[:: {"day": 1, "week": 7}[span]]
    return [(a, b) for a, b in pairwise(edges) if begin_ms <= a and b <= end_ms]
