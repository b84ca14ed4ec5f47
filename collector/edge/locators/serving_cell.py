"""The baseline: everyone a cell serves is spread over the footprint of that cell."""

import numpy as np

from collector.edge import plan as edge_plan
from collector.edge.kernels import ranges as kernels
from probe.base.config import Settings
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan


class ServingCell(Settings):
    """Locate by the cell alone."""

    def build(self, plan: Plan, areas: AreaSet) -> "ServingCellLocator":
        """Return the working locator: tables are made here, once."""
        return ServingCellLocator(plan, areas)


class ServingCellLocator:
    """Fixes from the footprint of the serving cell."""

    def __init__(self, plan: Plan, areas: AreaSet):
        self.known = edge_plan.read(plan, areas)
        self.tables = edge_plan.tables(self.known)

    def locate(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Write FIX[n] for OBSERVATION[n]."""
        rows = np.require(observations, requirements=["C", "W"])
        kernels.by_cell(rows, self.known.cells, self.tables.first, self.tables.fixes, fixes)
