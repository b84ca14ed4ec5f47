"""Many handsets as one SimPy process around the kernels; the same events as handset.py, bit for bit."""

import hashlib
from typing import NamedTuple

import numpy as np

from probe.wire.events import EVENT
from simulator.kernels.looks import list_looks
from simulator.kernels.move import LEG, LEGS_MAX
from simulator.kernels.order import in_time_order
from simulator.kernels.procedures import LINK, MDT, REPORTS_MAX, follow
from simulator.kernels.radio import HEARD
from simulator.kernels.timeline import HANDSET, START, begin_all
from simulator.network import Failures, Net
from simulator.population import Country
from simulator.radio import Radio
from simulator.traffic import Rules

LOOKS = 24_576  # at a time: they stay in a processor's cache
ROOM = 16_384  # more than one handset needs in a step
EVENTS_A_LOOK = 4


class Looks(NamedTuple):
    """What is asked of the radio, by whom and why."""

    row: np.ndarray  # u4: of the handset in its cohort
    what: np.ndarray  # u1: one of simulator.kernels.timeline
    about_ms: np.ndarray  # i8: see simulator.kernels.looks.put
    about_walls: np.ndarray  # u1: what stands around it
    x_m: np.ndarray  # f4
    y_m: np.ndarray  # f4
    time_ms: np.ndarray  # i8, UTC
    carrier: np.ndarray  # u1
    indoor_db: np.ndarray  # f4


class Rows(NamedTuple):
    """Events, and where the handset truly was, for the judge."""

    events: np.ndarray  # EVENT
    x_m: np.ndarray  # f4
    y_m: np.ndarray  # f4


def rows_of(count: int) -> Rows:
    """Return room for events."""
    return Rows(np.empty(count, EVENT), np.empty(count, "f4"), np.empty(count, "f4"))


def grown(rows: Rows, used: int, wanted: int) -> Rows:
    """Return rows with room for `wanted`, the first `used` kept."""
    if wanted <= len(rows.events):
        return rows
    larger = rows_of(wanted * 3 // 2)
    for old, new in zip(rows, larger, strict=True):
        new[:used] = old[:used]
    return larger


class Place(NamedTuple):
    """What all handsets of a process share."""

    rules: Rules
    country: Country
    radio: Radio
    net: Net
    failures: Failures


class Bench:
    """Scratch that the cohorts of a process use one after the other."""

    def __init__(self):
        types = ("u4", "u1", "i8", "u1", "f4", "f4", "i8", "u1", "f4")
        self.looks = Looks(*(np.empty(LOOKS, kind) for kind in types))
        self.cell = np.empty((LOOKS, HEARD), "u4")
        self.level_dbm = np.empty((LOOKS, HEARD), "f4")
        self.legs = np.empty(LEGS_MAX, LEG)
        self.link = np.zeros(1, LINK)


class Cohort:
    """The handsets of one bucket."""

    def __init__(self, place: Place, subscriber: np.ndarray, person: np.ndarray, bench: Bench):
        """subscriber u8[n] rising, person u4[n]."""
        self._place, self._bench = place, bench
        self._handsets = np.zeros(len(person), HANDSET)
        self._handsets["subscriber"], self._handsets["person"] = subscriber, person
        begin_all(self._handsets, place.rules, place.country, bench.legs)
        self._waiting, self._count = rows_of(256), 0
        self.digest = hashlib.sha256()

    def advance(self, begin_ms: int, end_ms: int, out: Rows, n: int) -> tuple[Rows, int]:
        """Play all that begins in [begin_ms, end_ms); add the events of that time to out.

        Times since the start of the world.  Events that a connection brings later wait for their turn.
        """
        place, bench = self._place, self._bench
        rules, looks = place.rules, bench.looks
        row = 0
        while row < len(self._handsets):
            count, row = list_looks(self._handsets, row, begin_ms, end_ms, rules, place.failures,
                                    place.country, bench.legs, looks, ROOM)  # fmt: skip
            asked = (a[:count] for a in looks[4:])
            place.radio.measure(*asked, bench.cell[:count], bench.level_dbm[:count])
            rows = self._room_for(count)
            self._count = follow(self._handsets, looks, count, bench.cell, bench.level_dbm, rules,
                                 place.failures, place.net, bench.link, rows, self._count)  # fmt: skip
        out = grown(out, n, n + self._count)
        first, start_ms = n, rules.start_ms
        self._count, n = in_time_order(self._waiting, self._count, start_ms + begin_ms, start_ms + end_ms, out, n)
        self.digest.update(out.events[first:n])
        return out, n

    def _room_for(self, count: int) -> Rows:
        """Return the waiting rows, with room for all that `count` looks can lead to."""
        wanted = self._count + EVENTS_A_LOOK * count
        if self._place.rules.grade == MDT:
            wanted += REPORTS_MAX * np.count_nonzero(self._bench.looks.what[:count] == START)
        self._waiting = grown(self._waiting, self._count, wanted)
        return self._waiting
