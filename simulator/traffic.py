"""When handsets talk and how the network treats them: settings, and the tables that kernels read."""

from collections import namedtuple
from datetime import date
from math import exp
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from probe.base import clock, config
from simulator.kernels.timeline import LOOK_AHEAD_MS, SLOT_MS

GRADES, DAY_MS = ("core", "trace", "mdt"), 86_400_000
# Bursts by local hour, relative; assumption, after the day curves that operators publish.
BY_HOUR = (25, 15, 10, 8, 10, 25, 60, 90, 100, 95, 95, 100, 110, 105, 100, 105, 115, 125, 130, 130, 125, 110, 80, 45)
ACTIVITY = (0.5, 1.0, 1.75)  # light, middle and heavy users: 30, 50 and 20 % (simulator.kernels.timeline)
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class TrafficSettings(config.Settings):
    """Signalling of one handset, and how often base stations fail.

    Handover: 3GPP TR 36.839 set 1 (time-to-trigger 480 ms, 3 dB in all, filter k = 4).
    Timers: TS 24.301 (T3412 54 min); inactivity 10 s is common.  The rest are assumptions.
    """

    sessions_per_day: Annotated[float, Field(gt=0, le=1_000)] = 40.0
    trip_factor: Annotated[float, Field(ge=1, le=10)] = 3.0  # more traffic on the way
    data_s: Positive = 15.0  # mean length of a burst
    transit_data_s: Positive = 40.0
    paged_share: Share = 0.4  # the network calls the handset
    refusing_share: Share = 0.0  # of connections: this one may not be counted
    switch_off_share: Share = 0.15  # people who switch off at night
    inactivity_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    a3_offset_db: Annotated[float, Field(ge=-15, le=15)] = 2.0
    a3_hysteresis_db: Annotated[float, Field(ge=0, le=15)] = 1.0
    time_to_trigger_ms: Literal[0, 40, 64, 80, 100, 128, 160, 256, 320, 480, 512, 640, 1024, 1280, 2560, 5120] = 480
    outage_every_days: Positive = 30.0  # mean time of a base station between two outages
    outage_hours: Positive = 1.0


# The law of a world: the settings by their names, and start_ms (UTC; the times of the kernels are ms since then),
# first_day (local date of midnight_ms[0], days since 1970-01-01), grade (row of GRADES).
LAW = np.dtype([(name, "i8") for name in ("seed", "start_ms", "first_day", "carriers", "grade")]
               + [(name, "f8") for name in TrafficSettings.model_fields])
# Its tables: midnight_ms i8, local midnights from the one before the first day on; bursts_mean, bursts_none
# f8[slots, 3], candidates for a burst by slot and activity, and the probability of none; wall_db f4[carriers].
Tables = namedtuple("Tables", "midnight_ms bursts_mean bursts_none wall_db")


def law_of(settings: TrafficSettings, seed: int, start_ms: int, end_ms: int, zone: str, wall_db, grade: str):
    """Return (law, tables) of a world from start_ms to end_ms (UTC): a record of LAW, and Tables."""
    midnights = clock.midnights_ms(start_ms - DAY_MS, end_ms + DAY_MS, zone)
    slots = (end_ms - start_ms + LOOK_AHEAD_MS) // SLOT_MS + 1
    hours = [clock.local(start_ms + slot * SLOT_MS, zone).hour for slot in range(slots)]
    a_slot = settings.sessions_per_day * settings.trip_factor / 96 / sum(BY_HOUR) * 24
    mean = np.array([[a_slot * BY_HOUR[hour] * activity for activity in ACTIVITY] for hour in hours])
    none = np.vectorize(exp)(-mean)
    first_day = (clock.local(midnights[0], zone).date() - date(1970, 1, 1)).days
    fields = (seed, start_ms, first_day, len(wall_db), GRADES.index(grade), *settings.model_dump().values())
    tables = Tables(np.array(midnights, "i8") - start_ms, mean, none, wall_db)
    return np.array([fields], LAW).view(np.recarray)[0], tables
