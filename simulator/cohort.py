"""Many handsets as one SimPy process around the kernels; the same events as handset.py, bit for bit."""

import hashlib
from collections import namedtuple

import numpy as np

from probe.wire.events import EVENT
from simulator.kernels import looks, move, order, procedures, radio, timeline

LOOKS = 24_576  # at a time: they stay in a processor's cache
ROOM, EVENTS_A_LOOK = 16_384, 4  # ROOM: more looks than one handset needs in a step


# What is asked of the radio, by whom and why; see simulator.kernels.looks.walk: row u4 of the handset in its cohort,
# what u1, about i8; then what simulator.radio.Radio.measure takes.
Looks = namedtuple("Looks", "row what about x_m y_m time_ms carrier indoor_db")
LOOK_TYPES = ("u4", "u1", "i8", "f4", "f4", "i8", "u1", "f4")
Rows = namedtuple("Rows", "events x_m y_m")  # EVENT, and f4: where the handset truly was, for the judge
Place = namedtuple("Place", "law tables country radio net failures")  # what all handsets of a process share


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


class Bench:
    """Scratch that the cohorts of a process use one after the other."""

    def __init__(self):
        self.looks = Looks(*(np.empty(LOOKS, kind) for kind in LOOK_TYPES))
        self.cell, self.level_dbm = np.empty((LOOKS, radio.HEARD), "u4"), np.empty((LOOKS, radio.HEARD), "f4")
        self.legs, self.link = np.empty(move.LEGS_MAX, move.LEG), np.zeros(1, procedures.LINK)


class Cohort:
    """The handsets of one bucket."""

    def __init__(self, place: Place, subscriber: np.ndarray, person: np.ndarray, bench: Bench):
        """subscriber u8[n] rising, person u4[n]."""
        self._place, self._bench = place, bench
        self._handsets = np.zeros(len(person), timeline.HANDSET)
        self._handsets["subscriber"], self._handsets["person"] = subscriber, person
        timeline.begin(self._handsets, place.law, place.tables, place.country, bench.legs)
        self._waiting, self._count, self.digest = rows_of(256), 0, hashlib.sha256()

    def advance(self, begin_ms: int, end_ms: int, out: Rows, n: int) -> tuple[Rows, int]:
        """Play all that begins in [begin_ms, end_ms); add the events of that time to out.

        Times since the start of the world.  Events that a connection brings later wait for their turn.
        """
        place, bench = self._place, self._bench
        law, asked, row = place.law, bench.looks, 0
        while row < len(self._handsets):
            count, row = looks.list_looks(self._handsets, row, begin_ms, end_ms, law, place.tables, place.net,
                                          place.failures, place.country, bench.legs, asked, ROOM)
            place.radio.measure(*(a[:count] for a in (*asked[3:], bench.cell, bench.level_dbm)))
            starts = np.count_nonzero(asked.what[:count] == timeline.START) if law.grade == procedures.MDT else 0
            room = EVENTS_A_LOOK * count + procedures.REPORTS_MAX * starts  # for all that these looks can lead to
            self._waiting = grown(self._waiting, self._count, self._count + room)
            self._count = procedures.follow(self._handsets, asked, count, bench.cell, bench.level_dbm, law, place.net,
                                            bench.link, self._waiting, self._count)
        out, first, start_ms = grown(out, n, n + self._count), n, int(law.start_ms)
        span_ms = start_ms + begin_ms, start_ms + end_ms
        self._count, n = order.in_time_order(self._waiting, self._count, *span_ms, out, n)
        self.digest.update(out.events[first:n])
        return out, n
