"""One observation, one fix: a table look-up by cell and timing, a fit where three levels were heard."""

import numpy as np

from collector.edge.kernels.fit import NO_RING, PRIOR, descend, gather, middle, on_ring, put
from collector.edge.kernels.footprint import EXCESS_M, STEP_M, beyond
from collector.edge.kernels.match import NO_CELL, PCI_COUNT
from probe.base.jit import kernel

NO_TA = 0xFFFF
RSRP_CODE_MAX = 97
TA_LEVELS, LEVELS = 3, 4  # content of a fix
LEVELS_MIN = 3
STEPS = 3  # of the fit; more gain nothing: the peak is flat


@kernel
def heard(observation, cells, matches, cell, level_dbm, tally):
    """Collect the serving cell and the neighbours whose PCI the plan knows: cell i8[8], level f8[8].

    Returns how many; 0 where the serving cell has no level.

    tally : i8[2]  neighbours, and those not known, are added
    """
    cell[0], level_dbm[0], count = observation.cell, observation.rsrp[0] - 140.5, 1
    mast = cells[cell[0]].mast
    if observation.rsrp[0] > RSRP_CODE_MAX:
        return 0
    for k in range(1, 8):
        pci = observation.neighbour_pci[k - 1]
        if observation.rsrp[k] > RSRP_CODE_MAX or pci >= PCI_COUNT:
            continue
        tally[0] += 1
        found = matches[mast, pci]
        if found == NO_CELL or found in cell[:count]:
            tally[1] += 1
        else:
            cell[count], level_dbm[count] = found, observation.rsrp[k] - 140.5
            count += 1
    return count


@kernel
def by_ranges(observations, known, tables, matches, fixes, tally):
    """Write the fix of each observation by all it says: cell, timing advance, levels.

    observations : OBSERVATION[n]
    known        : Believed
    tables       : Tables              `footprint.fill`
    matches      : u4[masts, 504]      `match.match`
    fixes        : FIX[n]  out
    tally        : i8[2]   neighbours heard, and those the plan does not know, are added
    """
    cells, masts, mast_cells, ground = known.cells, known.masts, known.mast_cells, known.ground
    first, table, foot = tables
    mass, area = np.empty(len(ground.points)), np.empty(len(ground.points), np.uint16)
    named, level_dbm, group, sector = np.empty(8, np.int64), np.empty(8), np.empty((8, 11)), np.empty((64, 8))
    for i in range(len(observations)):
        cell, ta, fix = np.int64(observations[i].cell), np.int64(observations[i].ta), fixes[i]
        if cell >= len(cells) or cells[cell].mast < 0:
            fixes[i] = table[-1]
            continue
        row = first[cell] if ta == NO_TA else first[cell] + 1 + ta
        if row < first[cell + 1]:
            fixes[i] = table[row]
        else:
            beyond(cells[cell], ta, ground, mass, area, fix)
        count = heard(observations[i], cells, matches, named, level_dbm, tally)
        groups = 0 if count < LEVELS_MIN else gather(
            cells, masts, mast_cells, named, level_dbm, count, group, sector)
        if groups > 0:
            ring_m = NO_RING if ta == NO_TA else ta * STEP_M - EXCESS_M
            x_m, y_m = middle(named, level_dbm, count, foot)
            beside = (ring_m, x_m, y_m, PRIOR * foot[cell, 2])
            x_m, y_m = on_ring(cells[cell], x_m, y_m, ring_m)
            x_m, y_m, curvature = descend(x_m, y_m, groups, group, sector, beside, STEPS)
            put(x_m, y_m, cells[cell], curvature, ring_m, ground, mass, area, fix)
            fix.content = LEVELS if ta == NO_TA else TA_LEVELS
