"""The baseline: everyone a cell serves is spread over the footprint of that cell."""

from collector.edge import plan as edge_plan
from probe.base.config import Settings
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan


class ServingCell(Settings):
    """Locate by the cell alone."""

    def build(self, plan: Plan, areas: AreaSet) -> edge_plan.Tables:
        """Return the working locator: its tables are made here, once."""
        return edge_plan.tables(edge_plan.read(plan, areas))
