"""The locator by ranges: the ring of the timing advance, and a fit where levels of three cells were heard."""

from collections import namedtuple

import numpy as np

from collector.edge import plan as edge_plan
from collector.edge.kernels import ranges as kernels
from probe.base import config, tally
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan


class Ranges(config.Settings):
    """Locate by cell, timing advance and levels: by what the observation has."""

    def build(self, plan: Plan, areas: AreaSet) -> "RangesLocator":
        """Return the working locator: tables are made here, once."""
        known = edge_plan.read(plan, areas)
        return RangesLocator(known, edge_plan.tables(known), kernels.match(known), tally.Tally())


class RangesLocator(namedtuple("RangesLocator", "known tables matches tally")):
    """Fixes by look-up for cell and timing, by least squares for levels; `tally` counts unknown PCIs."""

    def locate(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Write FIX[n] for OBSERVATION[n]."""
        rows, counted = np.require(observations, requirements=["C", "W"]), np.zeros(2, "i8")
        kernels.by_ranges(rows, self.known, self.tables, self.matches, fixes, counted)
        self.tally.update(neighbours=int(counted[0]), neighbours_unknown=int(counted[1]))
