"""Time: event time in integer milliseconds, local days, and a wall clock for socket time-outs only."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from probe.base.config import ConfigError

SECOND_MS, HOUR_MS = 1_000, 3_600_000


class WallClock:
    """The one wall clock.  Serves time-outs, never a count.

    now_s returns monotonic seconds; cpu_s the core seconds used by this process: what a
    stage costs, never what it decides.
    """

    now_s, cpu_s = staticmethod(time.monotonic), staticmethod(time.process_time)


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
