"""What can be told of an area at all, and what another area set costs: both said before anyone is counted."""

import numpy as np

from collector.edge import plan as edge_plan
from collector.edge.kernels import standing
from collector.edge.locators.fixes import FIX, NO_AREA, UNITS
from probe.base.plane import BIN_M
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan
from probe.wire.observations import OBSERVATION

GRADES, POINTS, POINTS_MAX = ("core", "trace", "mdt"), (8, 128), 1 << 14  # of an area, at least and at most; of a set


def hits(plan: Plan, pieces: AreaSet, rows: np.ndarray, locator, grade: str) -> np.ndarray:
    """Return how much of a fix lies in the area where a person stands, f8[areas]: 0 to 1, the mean over its bins.

    People are put on bins of every area of a set and heard as the edge believes; the locator says where they
    are.  Someone who stays is mostly held at the best fix of a grade: that is what is asked of it.

    pieces, rows : of probe.wire.areas.overlay: the set that the fixes speak of, u2[pieces] the areas asked for
    """
    of = rows[pieces.bins.ravel()]
    order, size = np.argsort(of, kind="stable"), np.bincount(of)
    count = int(np.clip(POINTS_MAX // len(size), *POINTS))
    part = np.cumsum(size)[:, None] - size[:, None] * (np.arange(count) + 0.5) / count
    spot, areas = order[part.astype("i8").ravel()], np.repeat(np.arange(len(size)), count)
    x_m, y_m = (at.ravel()[spot] for at in pieces.centres())
    seen, fixes = np.zeros(len(spot), OBSERVATION), np.zeros(len(spot), FIX)
    standing.observe(x_m, y_m, BIN_M, edge_plan.read(plan, pieces), GRADES.index(grade), seen)
    locator.locate(seen, fixes)
    area_of = np.full(NO_AREA + 1, NO_AREA)
    area_of[: len(rows)] = rows
    inside = fixes["weight"] * (area_of[fixes["area"]] == areas[:, None])
    return inside.sum(axis=1).reshape(-1, count).mean(axis=1) / UNITS


def cost(name: str, own: AreaSet, pieces: AreaSet, cells: dict[str, int], share: float, row_bytes: int) -> str:
    """Return in words what an area set beside the first costs: pieces, cells, memory, budget.

    cells : by table of this set;  share : of the daily budget, of all of them;  row_bytes : of a person for this set
    """
    listed = ", ".join(f"{table} {count:,}" for table, count in cells.items())
    return (f'area set "{name}": {own.elsewhere} areas; fixes tell {len(pieces.area_id):,} pieces of all sets apart; '
            f"{sum(cells.values()):,} cells ({listed}); {row_bytes} bytes more a person at the edge; "
            f"{share:g} of the daily budget")
