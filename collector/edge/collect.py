"""The stages of the collector in order: observations in, tallies of closed slots out.  No I/O."""

from collections.abc import Callable

import numpy as np

from collector.edge.locators.fixes import FIX, NONE
from collector.edge.merge import Merge
from collector.edge.slots import Slots
from probe.base.config import Settings
from probe.base.tally import Tally
from probe.wire.observations import DETACH


class CollectorSettings(Settings):
    """How observations are located: the name of a plugin of footfall.locators."""

    locator: str = "ranges"


class Collector:
    """Merge, triangulate, count, close.

    locator   : locate(OBSERVATION[n], FIX[n] out)
    metric    : the settings of a metric (footfall.metrics)
    cpu_s     : core seconds, to tell in core_s what triangulating and counting cost
    """

    def __init__(self, slots: Slots, area_count: int, locator, metric, cpu_s: Callable[[], float]):
        self._slots, self._locator, self._cpu_s = slots, locator, cpu_s
        self._merge = Merge(slots.start_ms, slots.lateness_ms)
        self._metric = metric.build(area_count, slots)
        self._slot = slots.of(slots.start_ms)
        self._own = Tally()
        self.core_s = {"triangulate": 0.0, "count": 0.0}

    @property
    def counts(self) -> Tally:
        """Return offered = binned + late + invalid + waiting, by name."""
        counts = Tally(waiting=self._merge.waiting)
        for part in (self._own, self._merge.counts):
            counts.update(part)
        return counts

    def push(self, observations: np.ndarray, watermark_ms: int) -> list[tuple[int, np.ndarray]]:
        """Take OBSERVATION[n]; return (slot, i8[areas] tally) of every slot that is now closed, in order."""
        begin_s = self._cpu_s()
        self._own.count("offered", len(observations))
        self._merge.take(observations, watermark_ms)
        closed = []
        while self._merge.bound_ms >= self._slots.end_ms(self._slot):
            self._count_before(self._slots.end_ms(self._slot))
            closed.append((self._slot, self._close()))
        if self._merge.enough():
            self._count_before(self._merge.bound_ms)
        self.core_s["count"] += self._cpu_s() - begin_s
        return closed

    def drain(self) -> None:
        """Count what cannot become late any more, without waiting for the end of the slot."""
        self._count_before(self._merge.bound_ms)

    def _count_before(self, time_ms: int) -> None:
        observations = self._merge.before(time_ms)
        fixes = np.zeros(len(observations), FIX)
        begin_s = self._cpu_s()
        self._locator.locate(observations, fixes)
        spent_s = self._cpu_s() - begin_s
        self.core_s["triangulate"] += spent_s
        self.core_s["count"] -= spent_s
        placed = (fixes["content"] != NONE) | (observations["kind"] == DETACH)
        if not placed.all():  # heard from a cell that never serves
            observations, fixes = observations[placed], fixes[placed]
        self._own.count("invalid", len(placed) - len(observations))
        self._own.count("binned", len(observations))
        self._metric.count(observations, fixes)

    def _close(self) -> np.ndarray:
        tally = self._metric.close()
        if self._slots.ends_day(self._slot):
            self._metric.end_day()
        self._slot += 1
        counts = self.counts
        accounted = sum(counts[name] for name in ("binned", "late", "invalid", "waiting"))
        assert counts["offered"] == accounted, "every observation ends under one name"
        return tally
