"""The stages of the collector in order: observations in, tallies of closed slots out.  No I/O."""

from collections.abc import Callable

import numpy as np

from collector.edge.crowd import Crowd
from collector.edge.locators.fixes import FIX
from collector.edge.merge import Merge, room, wipe
from collector.edge.scheme import Scheme
from collector.edge.slots import Slots
from collector.edge.tables import Tables
from probe.base import config, tally
from probe.wire.observations import DETACH

DAILY = ("presence", "profile", "moves", "visitors", "dwell", "origin", "flows", "zone_flows")


class CollectorSettings(config.Settings):
    """How observations are located: the name of a plugin of footfall.locators; and which tables are counted.

    tables : plugins of footfall.metrics; "presence@shops" counts over the area set named shops
    """

    locator: str = "ranges"
    tables: tuple[str, ...] = DAILY


class Collector:
    """Merge, triangulate, count, close.

    locate : writes FIX[n] for OBSERVATION[n]
    crowd  : who is where now, and what they are granted
    counted : what the tables are that add it up
    """

    def __init__(self, slots: Slots, locate: Callable[[np.ndarray, np.ndarray], None], crowd: Crowd, counted: Scheme):
        self._slots, self._locate, self._crowd, self._counts = slots, locate, crowd, tally.Tally()
        self._tables = Tables(crowd, counted.rows, counted.tables, slots)
        self._merge, self._slot = Merge(slots.start_ms, slots.lateness_ms), slots.of(slots.start_ms)
        self._fixes = np.zeros(0, FIX)

    @property
    def counts(self) -> tally.Tally:
        """Return what became of every observation, by name."""
        return tally.Tally({**self._counts, "late": self._merge.late, "waiting": self._merge.waiting})

    def push(self, observations: np.ndarray, watermark_ms: int) -> list[tuple[int, int, np.ndarray]]:
        """Take OBSERVATION[n]; return (table, slot, i8[cells] tally) of every slot that is now whole, in order."""
        self._merge.take(observations, watermark_ms)
        closed = []
        while self._merge.bound_ms >= (end_ms := self._slots.end_ms(self._slot)):
            self.drain(end_ms)
            closed += self._tables.close(self._slot)
            self._slot += 1
        if self._merge.waiting >= self._merge.enough:
            self.drain()
        return closed

    def retract(self, pseudonyms: np.ndarray, weeks: np.ndarray) -> None:
        """Take out who said no: u8[n] pseudonyms of their days, u8[m] of their weeks, of all whose key is held.

        All open spans will be as if nothing had been heard of their day, and of their week; closed ones stay.
        What waits is refused; what can no longer be late is counted first, so that cuts of batches change no count.
        """
        found, ripe = self._merge.of(pseudonyms)
        if ripe:
            self.drain()
            found, _ = self._merge.of(pseudonyms)
        self._counts.count("refused", self._merge.remove(found))
        self._crowd.retract(pseudonyms, weeks)

    def drain(self, end_ms: int | None = None) -> None:
        """Count what happened before end_ms, or all that cannot become late any more."""
        observations = self._merge.before(end_ms or self._merge.bound_ms)
        self._fixes = room(self._fixes, len(observations))
        fixes = self._fixes[: len(observations)]
        self._locate(observations, fixes)
        placed = self._crowd.takes(fixes) | (observations["kind"] == DETACH)
        both = (observations, fixes) if placed.all() else (observations[placed], fixes[placed])  # of cells that serve
        self._counts += tally.Tally(binned=len(both[0]), invalid=len(placed) - len(both[0]))
        self._crowd.count(*both)
        wipe(observations, fixes)
