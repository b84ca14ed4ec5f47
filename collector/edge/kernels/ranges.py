"""One observation, one fix: a table look-up by cell and timing, a fit where three levels were heard.

Which cell is that PCI?  The cell of that PCI and carrier nearest to the serving mast: on real
reports this names the true cell of 99.95 % of the neighbours.
"""

import numpy as np

from collector.edge.kernels import fit
from collector.edge.kernels.footprint import EXCESS_M, LEVELS, STEP_M, TA_LEVELS, beyond
from probe.base.jit import kernel

PCI_COUNT, RSRP_CODE_MAX = 504, 97  # 3GPP TS 36.211, 6.11
NO_CELL, NO_TA = 0xFFFFFFFF, 0xFFFF
FAR_M = 10_000.0  # nobody is heard from farther away
LEVELS_MIN, STEPS = 3, 3  # of the fit; more steps gain nothing: the peak is flat


@kernel
def match(known):
    """Return the cell that each PCI means at each mast, u4[masts, PCI_COUNT]: NO_CELL where no cell is near.

    known : Believed  of which a PCI beyond 503 is never matched
    """
    cells, masts, carrier_first, gap = known.cells, known.masts, known.carrier_first, np.empty(PCI_COUNT)
    table = np.full((len(masts), PCI_COUNT), NO_CELL, np.uint32)
    for m in range(len(masts)):
        gap[:], carrier = FAR_M * FAR_M, masts[m].carrier
        for k in range(masts[carrier_first[carrier]].first, masts[carrier_first[carrier + 1] - 1].end):
            c = known.mast_cells[k]
            name, distance = known.pci[c], (cells[c].x_m - masts[m].x_m) ** 2 + (cells[c].y_m - masts[m].y_m) ** 2
            if name < PCI_COUNT and (distance < gap[name] or (distance == gap[name] and c < table[m, name])):
                gap[name], table[m, name] = distance, c
    return table


@kernel
def heard(observation, cells, matches, cell, level_dbm, tally):
    """Collect the serving cell and the neighbours whose PCI the plan knows: cell i8[8], level f8[8].

    Returns how many; 0 where the serving cell has no level.

    tally : i8[2]  neighbours, and those not known, are added
    """
    if observation.rsrp[0] > RSRP_CODE_MAX:
        return 0
    cell[0], level_dbm[0], count = observation.cell, observation.rsrp[0] - 140.5, 1
    for k in range(1, 8):
        pci = observation.neighbour_pci[k - 1]
        if observation.rsrp[k] > RSRP_CODE_MAX or pci >= PCI_COUNT:
            continue
        found = matches[cells[cell[0]].mast, pci]
        unknown = found == NO_CELL or found in cell[:count]
        tally[0], tally[1] = tally[0] + 1, tally[1] + unknown
        if not unknown:
            cell[count], level_dbm[count], count = found, observation.rsrp[k] - 140.5, count + 1
    return count


@kernel
def by_ranges(observations, known, tables, matches, fixes, tally):
    """Write the fix of each observation by all it says: cell, timing advance, levels.

    observations : OBSERVATION[n]
    known        : Believed
    tables       : Tables              `footprint.fill`
    matches      : u4[masts, 504]      `match`
    fixes        : FIX[n]  out
    tally        : i8[2]   neighbours heard, and those the plan does not know, are added
    """
    cells, ground, (first, table, foot) = known.cells, known.ground, tables
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
        groups = 0 if count < LEVELS_MIN else fit.gather(
            cells, known.masts, known.mast_cells, named, level_dbm, count, group, sector)
        if groups > 0:
            ring_m = fit.NO_RING if ta == NO_TA else ta * STEP_M - EXCESS_M
            beside, x_m, y_m = fit.start(cells, named, level_dbm, count, ring_m, foot)
            x_m, y_m, curvature = fit.descend(x_m, y_m, groups, group, sector, beside, STEPS)
            fit.put(x_m, y_m, cells[cell], curvature, ring_m, ground, mass, area, fix)
            fix.content = LEVELS if ta == NO_TA else TA_LEVELS
