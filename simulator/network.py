"""The network's own life: base stations that fail and come back, the load of cells, the pages of areas."""

from collections import namedtuple
from itertools import count, takewhile

import numpy as np
import simpy

from probe.base import clock, streams
from probe.wire.events import Kind
from simulator.kernels.timeline import LOOK_AHEAD_MS, NEVER
from simulator.radio import Radio
from simulator.traffic import DAY_MS, TrafficSettings

OUTAGE, SHORTEST_MS = 160, 60 * clock.SECOND_MS  # OUTAGE: purpose, the name of a stream
KINDS = 16  # of events; more than there are
# Outages of the whole world in the order of time, i8[failures], ms since its start; the last, of nobody's, NEVER comes.
Failures = namedtuple("Failures", "time_ms until_ms site")


def outages(seed: int, site: int, settings: TrafficSettings):
    """Yield (from_ms, until_ms) of a site for ever: a pure function of (seed, site).

    A site that came back holds for LOOK_AHEAD_MS at least: so the current or next outage of each
    site is all that a look ahead can meet.
    """
    until_ms = 0
    for number in count(0, 2):
        up, down = streams.exponential(seed, OUTAGE, site, number), streams.exponential(seed, OUTAGE, site, number + 1)
        time_ms = until_ms + LOOK_AHEAD_MS + int(settings.outage_every_days * DAY_MS * up)
        until_ms = time_ms + SHORTEST_MS + int(settings.outage_hours * clock.HOUR_MS * down)
        yield time_ms, until_ms


def failures_of(radio: Radio, seed: int, settings: TrafficSettings, end_ms: int) -> Failures:
    """Return every outage that begins before end_ms."""
    found = sorted((*span, site) for site in range(radio.sites)
                   for span in takewhile(lambda span: span[0] < end_ms, outages(seed, site, settings)))
    return Failures(*np.array([*found, (NEVER, NEVER, radio.sites)], "i8").T.copy())


def base_station(env: simpy.Environment, site: int, radio: Radio, failures: Failures, start_ms: int):
    """Fail and come back: a SimPy process that tells the radio the current or next outage of its site."""
    for row in np.flatnonzero(failures.site == site):
        from_ms, until_ms = failures.time_ms[row], int(failures.until_ms[row])
        radio.outage_from_ms[site], radio.outage_until_ms[site] = start_ms + from_ms, start_ms + until_ms
        yield env.timeout(until_ms - env.now)


class Load:
    """Events and connections by cell and slot, pages by tracking area and slot.

    A page is heard in every cell of the handset's tracking area.
    """

    def __init__(self, net: np.ndarray):
        self._tac, self._now = net["tac"], np.zeros(len(net) * KINDS, "i8")  # this slot, by cell and kind
        self._rows = {"cells": [np.empty((0, 4), "i8")], "pages": [np.empty((0, 3), "i8")]}

    def add(self, events: np.ndarray) -> None:
        """Count EVENT[n]."""
        self._now += np.bincount(events["cell"] * np.int64(KINDS) + events["kind"], minlength=len(self._now))

    def close(self, slot: int) -> None:
        """End a slot: keep what is not zero."""
        now = self._now.reshape(-1, KINDS)
        paged, counts = now[:, Kind.PAGING_RESPONSE], now.sum(axis=1)
        pages = np.bincount(self._tac, paged).astype("i8")
        for name, columns in (("cells", (counts, paged + now[:, Kind.SERVICE_REQUEST])), ("pages", (pages,))):
            row = np.flatnonzero(columns[0])
            self._rows[name].append(np.column_stack([row * 0 + slot, row, *(column[row] for column in columns)]))
        self._now[:] = 0

    def tables(self) -> dict[str, np.ndarray]:
        """Return what closed slots held, i8 rows.

        cells: slot, cell, events, connections; pages: slot, tracking area, pages
        """
        return {name: np.concatenate(rows) for name, rows in self._rows.items()}
