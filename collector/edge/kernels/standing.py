"""What would someone who stands here be heard to say?  The edge's belief of its own hearing, not the world's.

Levels are those of the plan with the shadowing that the locators allow for, timing is what they allow for:
so a locator can be asked how well it tells a place before anyone has stood there.
"""

from math import erfc, floor, sqrt

import numpy as np

from collector.edge.kernels.fit import CELL_DB2, OFFSET_DB, OFFSET_DB2
from collector.edge.kernels.footprint import (
    BELOW_DB, EXCESS_M, NOISE_DBM, SHADOW_DB, STEP_M, TIMING_M, level_dbm, sight)
from collector.edge.kernels.ranges import NO_TA, RSRP_CODE_MAX
from probe.base.jit import kernel
from probe.base.streams import normal, uniform

CORE, TRACE, MDT = range(3)  # grades: the cell; and its timing advance; and the levels of up to eight cells
CARRIER, MAST, EACH, TIMING, OFFSET, EAST, NORTH = range(7)  # purposes: names of streams
NO_RSRP, NO_PCI, TA_MAX, HEARD = 0xFF, 0xFFFF, 1282, 8
QUIET_DBM = -124.0  # no level is reported from below (3GPP TS 36.133, 9.1.2, by band)


@kernel
def observe(x_m, y_m, side_m, known, grade, observations):
    """Write what handsets are heard to say: the loudest cell of a carrier, and what the grade adds.

    x_m, y_m     : f8[n]  local metres of the middles of squares of side_m; each stands anywhere in one
    known        : Believed
    grade        : int    CORE, TRACE or MDT
    observations : OBSERVATION[n]  out: cell, ta, rsrp, neighbour_pci
    """
    cells, masts, carriers = known.cells, known.masts, len(known.carrier_first) - 1
    median, top_dbm = np.empty(len(cells)), np.empty(carriers)
    dbm, cell = np.empty(HEARD + 1), np.empty(HEARD + 1, np.int64)
    for i in range(len(x_m)):
        x, y = x_m[i] + side_m * (uniform(0, EAST, i, 0) - 0.5), y_m[i] + side_m * (uniform(0, NORTH, i, 0) - 0.5)
        seen, top_dbm[:], dbm[:] = observations[i], -999.0, -999.0
        for m in range(len(masts)):
            _, loss_db, ux, uy = sight(masts[m], x, y)
            for c in known.mast_cells[masts[m].first : masts[m].end]:
                median[c] = level_dbm(cells[c], loss_db, ux, uy)
                top_dbm[masts[m].carrier] = max(top_dbm[masts[m].carrier], median[c])
        covered = np.array([0.5 * erfc((NOISE_DBM - level) / (SHADOW_DB * sqrt(2.0))) for level in top_dbm]) + 1e-9
        # They use any carrier that covers them, all alike.
        carrier = np.searchsorted(np.cumsum(covered), uniform(0, CARRIER, i, 0) * covered.sum(), "right")
        for m in range(known.carrier_first[carrier], known.carrier_first[carrier + 1]):
            shadow_db = SHADOW_DB * normal(0, MAST, i, m)
            for c in known.mast_cells[masts[m].first : masts[m].end]:
                if median[c] < top_dbm[carrier] - BELOW_DB:
                    continue
                k, level = HEARD, median[c] + shadow_db + sqrt(CELL_DB2) * normal(0, EACH, i, c)
                while k > 0 and dbm[k - 1] < level:
                    dbm[k], cell[k], k = dbm[k - 1], cell[k - 1], k - 1
                dbm[k], cell[k] = level, c
        seen.cell, seen.ta, seen.rsrp[:], seen.neighbour_pci[:] = cell[0], NO_TA, NO_RSRP, NO_PCI
        if grade != CORE:
            range_m = sight(cells[cell[0]], x, y)[0] + EXCESS_M + TIMING_M * normal(0, TIMING, i, 0)
            seen.ta = min(max(np.int64(floor(range_m / STEP_M + 0.5)), 0), TA_MAX)
        offset_db = OFFSET_DB + sqrt(OFFSET_DB2) * normal(0, OFFSET, i, 0)
        for k in range(HEARD if grade == MDT else 0):
            if k == 0 or dbm[k] + offset_db >= QUIET_DBM:
                seen.rsrp[k] = min(max(np.int64(floor(dbm[k] + offset_db + 141.0)), 0), RSRP_CODE_MAX)
                if k > 0:
                    seen.neighbour_pci[k - 1] = known.pci[cell[k]]
