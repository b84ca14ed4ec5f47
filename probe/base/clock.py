"""Time: event time in integer milliseconds, local days, and a wall clock for socket time-outs only."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from probe.base.config import ConfigError

SECOND_MS = 1_000
HOUR_MS = 3_600_000


class WallClock:
    """The one wall clock.  Serves time-outs, never a count."""

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def cpu_s(self) -> float:
        """Return core seconds used by this process: what a stage costs, never what it decides."""
        return time.process_time()


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or say why there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError("time zone", [
            f'"{name}" is unknown; use a name such as Europe/Berlin (and install tzdata)']) from None


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
    day = local(start_ms, zone_name).date()
    found: list[int] = []
    while not found or found[-1] <= end_ms:
        found.append(epoch_ms(datetime(day.year, day.month, day.day), zone_name))
        day += timedelta(days=1)
    return found
