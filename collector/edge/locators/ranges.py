"""The locator by ranges: the footprint of the cell, cut to the ring of the timing advance."""

from collector.edge.locators.serving_cell import ServingCellLocator
from probe.base.config import Settings
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan


class Ranges(Settings):
    """Locate by cell, timing advance and levels: what the observation has."""

    def build(self, plan: Plan, areas: AreaSet) -> "RangesLocator":
        """Return the working locator: tables are made here, once."""
        return RangesLocator(plan, areas)


class RangesLocator(ServingCellLocator):
    """Fixes from the ring of the footprint that fits the timing advance."""

    timed = True
