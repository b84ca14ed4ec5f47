"""One observation, one fix: a table look-up by cell and timing, a fit where three levels were heard."""

from math import exp, log, sqrt

import numpy as np

from collector.edge.kernels.bins import spread
from collector.edge.kernels.footprint import (
    EXCESS_M,
    HANDSET_HEIGHT_M,
    PATTERN_MAX_DB,
    SLOPE_DB,
    STEP_M,
    TIMING_M,
    beyond,
)
from collector.edge.kernels.match import NO_CELL, PCI_COUNT
from probe.base.jit import kernel

NO_TA, NO_RSRP, NO_AREA = 0xFFFF, 0xFF, 0xFFFF
RSRP_CODE_MAX = 97
TA_LEVELS, LEVELS = 3, 4  # content of a fix
LEVELS_MIN = 3
SITE_DB2 = 8.0**2  # shadowing that the cells of one site share
CELL_DB2 = 3.0**2  # what is left to each cell: quantisation, fading, pattern
RING_M2 = TIMING_M**2 + STEP_M**2 / 12.0
PRIOR = 0.5  # weight of the footprint as a prior: its levels are heard again, so not in full
STEPS = 4  # more gain nothing: the peak is flat
DONE_M = 1.0
SLOPE_NEPER = SLOPE_DB / 2.302585092994046


@kernel
def no_fix(fix):
    """Write a fix that says nothing."""
    fix.x_m, fix.y_m, fix.r50_m, fix.content = 0.0, 0.0, 0.0, 0
    for k in range(len(fix.area)):
        fix.area[k], fix.weight[k] = NO_AREA, 0


@kernel
def heard(observation, cells, matches, cell, level_dbm, tally):
    """Collect the serving cell and the neighbours whose PCI the plan knows: cell i8[8], level f8[8].

    tally : i8[2]  neighbours, and those not known, are added
    """
    if observation.rsrp[0] > RSRP_CODE_MAX:
        return 0
    cell[0], level_dbm[0], count = observation.cell, observation.rsrp[0] - 140.5, 1
    mast = cells[cell[0]].mast
    for k in range(1, 8):
        pci = observation.neighbour_pci[k - 1]
        if observation.rsrp[k] > RSRP_CODE_MAX or pci >= PCI_COUNT:
            continue
        tally[0] += 1
        found = matches[mast, pci]
        known = found != NO_CELL
        for j in range(count):
            known = known and found != cell[j]
        if known:
            cell[count], level_dbm[count] = found, observation.rsrp[k] - 140.5
            count += 1
        else:
            tally[1] += 1
    return count


@kernel
def by_mast(cells, masts, mast_cells, cell, level_dbm, count, group, sector, level):
    """Sort what was heard by mast, and add the other cells of these masts as not heard.

    group  : i8[9, 2]  out: row of MAST, end of its rows in sector
    sector : i8[64]    out: row of the plan
    level  : f8[64]    out: dBm, NaN = not heard
    Returns how many masts.
    """
    groups, end = 0, 0
    for j in range(count):
        mast, new = cells[cell[j]].mast, True
        for g in range(groups):
            new = new and group[g, 0] != mast
        if not new or masts[mast].end - masts[mast].first > len(sector) - end:
            continue
        for k in range(masts[mast].first, masts[mast].end):
            sector[end], level[end] = mast_cells[k], np.nan
            for i in range(count):
                if cell[i] == sector[end]:
                    level[end] = level_dbm[i]
            end += 1
        group[groups, 0], group[groups, 1] = mast, end
        groups += 1
    return groups


@kernel
def predict(mast, cells, sector, first, end, x_m, y_m, work):
    """Write level [dBm] and its derivatives [dB/m] of the cells first..end of a MAST into work f8[64, 3].

    The pattern is pattern_db off^2 with off^2 = 2 u + u^2 / 3 + 4 u^3 / 45 and u = 1 - cos(off): no
    arc function; 2 % low at 90 degrees, next to nothing within the beam.
    """
    dx, dy, dz = x_m - mast.x_m, y_m - mast.y_m, mast.height_m - HANDSET_HEIGHT_M
    flat2 = dx * dx + dy * dy + 1.0
    range2 = flat2 + dz * dz
    per_m = 1.0 / sqrt(flat2)
    ux, uy = dx * per_m, dy * per_m
    loss, fall = 0.5 * SLOPE_NEPER * log(range2), SLOPE_NEPER / range2
    for k in range(first, end):
        cell = cells[sector[k]]
        ahead = ux * cell.east + uy * cell.north
        u = 1.0 - ahead
        bent = cell.pattern_db * u * (2.0 + u * (0.3333333 + u * 0.0888889))
        turn = (
            cell.pattern_db * (2.0 + u * (0.6666667 + u * 0.2666667)) * per_m
            if bent < PATTERN_MAX_DB
            else 0.0
        )
        work[k, 0] = cell.level_dbm - loss - min(bent, PATTERN_MAX_DB)
        work[k, 1] = turn * (cell.east - ahead * ux) - fall * dx
        work[k, 2] = turn * (cell.north - ahead * uy) - fall * dy


@kernel
def misfit(x_m, y_m, cells, masts, group, groups, sector, level, weakest_dbm, ta, foot, terms, work, site):
    """Return minus twice the log posterior at a point; write its gradient and curvature.

    Levels count as differences: one unknown offset of the handset (walls, car, antenna) is
    profiled out, and one of each site is averaged over (generalised least squares).  A cell
    of a mast that was heard, itself not heard, counts as heard at the weakest level where
    the model would have it louder: what is silent tells the bearing.

    terms : f8[5]      out: half the gradient x, y and the Gauss-Newton curvature xx, xy, yy
    work  : f8[64, 3]  scratch;  site : f8[8, 4] scratch
    """
    terms[:] = 0.0
    total, ro, xo, yo, oo, first = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for g in range(groups):
        end = group[g, 1]
        predict(masts[group[g, 0]], cells, sector, first, end, x_m, y_m, work)
        n, r, gx, gy = 0.0, 0.0, 0.0, 0.0
        for k in range(first, end):
            if level[k] == level[k]:
                miss = level[k] - work[k, 0]
                total += add(terms, miss, work[k, 1], work[k, 2], 1.0 / CELL_DB2)
                n, r, gx, gy = n + 1.0, r + miss, gx + work[k, 1], gy + work[k, 2]
        site[g, 0], site[g, 1], site[g, 2], site[g, 3] = n, r, gx, gy
        ro, oo = ro + r / (CELL_DB2 + n * SITE_DB2), oo + n / (CELL_DB2 + n * SITE_DB2)
        first = end
    offset, ro, oo, first = ro / oo, 0.0, 0.0, 0
    for g in range(groups):
        n, r, gx, gy = site[g, 0], site[g, 1], site[g, 2], site[g, 3]
        raised = offset + (r - n * offset) * SITE_DB2 / (CELL_DB2 + n * SITE_DB2)
        for k in range(first, group[g, 1]):
            miss = weakest_dbm - work[k, 0]
            if level[k] != level[k] and miss < raised:
                total += add(terms, miss, work[k, 1], work[k, 2], 1.0 / CELL_DB2)
                n, r, gx, gy = n + 1.0, r + miss, gx + work[k, 1], gy + work[k, 2]
        shared = CELL_DB2 + n * SITE_DB2
        total += add(terms, r, gx, gy, -SITE_DB2 / (CELL_DB2 * shared))
        ro, xo, yo, oo = ro + r / shared, xo + gx / shared, yo + gy / shared, oo + n / shared
        first = group[g, 1]
    terms[0], terms[1] = terms[0] - ro * xo / oo, terms[1] - ro * yo / oo
    terms[2], terms[3], terms[4] = terms[2] - xo * xo / oo, terms[3] - xo * yo / oo, terms[4] - yo * yo / oo
    return total - ro * ro / oo + outside_levels(x_m, y_m, masts[group[0, 0]], ta, foot, terms)


@kernel
def add(terms, r, gx, gy, weight):
    terms[0] += weight * r * gx
    terms[1] += weight * r * gy
    terms[2] += weight * gx * gx
    terms[3] += weight * gx * gy
    terms[4] += weight * gy * gy
    return weight * r * r


@kernel
def outside_levels(x_m, y_m, serving, ta, foot, terms):
    """Return what the footprint and the timing advance say; add their gradient and curvature to terms."""
    dx, dy = x_m - foot[0], y_m - foot[1]
    scale = PRIOR / (foot[2] * foot[4] - foot[3] * foot[3])
    ax, ay = scale * (foot[4] * dx - foot[3] * dy), scale * (foot[2] * dy - foot[3] * dx)
    total = dx * ax + dy * ay
    terms[0], terms[1] = terms[0] - ax, terms[1] - ay
    terms[2], terms[3] = terms[2] + scale * foot[4], terms[3] - scale * foot[3]
    terms[4] += scale * foot[2]
    if ta != NO_TA:
        dx, dy, dz = x_m - serving.x_m, y_m - serving.y_m, serving.height_m - HANDSET_HEIGHT_M
        range_m = sqrt(dx * dx + dy * dy + dz * dz)
        short_m, ux, uy = ta * STEP_M - EXCESS_M - range_m, dx / range_m, dy / range_m
        total += short_m * short_m / RING_M2
        terms[0], terms[1] = terms[0] + short_m * ux / RING_M2, terms[1] + short_m * uy / RING_M2
        terms[2], terms[3] = terms[2] + ux * ux / RING_M2, terms[3] + ux * uy / RING_M2
        terms[4] += uy * uy / RING_M2
    return total


@kernel
def descend(
    x_m, y_m, cells, masts, group, groups, sector, level, weakest_dbm, ta, foot, terms, work, site, steps
):
    """Return the point of least misfit near a start: Gauss-Newton, damped where it would climb."""
    best = misfit(
        x_m, y_m, cells, masts, group, groups, sector, level, weakest_dbm, ta, foot, terms, work, site
    )
    tried, damping = np.empty(5), 0.0
    for _ in range(steps):
        xx, xy, yy = terms[2] * (1.0 + damping), terms[3], terms[4] * (1.0 + damping)
        scale = 1.0 / (xx * yy - xy * xy)
        dx, dy = scale * (yy * terms[0] - xy * terms[1]), scale * (xx * terms[1] - xy * terms[0])
        x, y = x_m + dx, y_m + dy
        value = misfit(
            x, y, cells, masts, group, groups, sector, level, weakest_dbm, ta, foot, tried, work, site
        )
        if value < best:
            best, x_m, y_m, damping = value, x, y, 0.1 * damping
            terms[:] = tried
        else:
            damping = max(10.0 * damping, 0.5)
        if dx * dx + dy * dy < DONE_M * DONE_M:
            break
    return x_m, y_m


@kernel
def start(serving, cell, level_dbm, count, foot, ta):
    """Return where to begin: the middle of the footprints heard, the loud ones first, put on the ring of TA.

    Weights 10^(dBm / 15): the best locator of real reports that uses nothing but the plan.
    """
    total, x, y = 0.0, 0.0, 0.0
    for k in range(count):
        weight = exp(0.1535 * (level_dbm[k] - level_dbm[0]))
        total, x, y = total + weight, x + weight * foot[cell[k], 0], y + weight * foot[cell[k], 1]
    x, y = x / total, y / total
    if ta == NO_TA:
        return x, y
    dx, dy = x - serving.x_m, y - serving.y_m
    stretch = max(ta * STEP_M - EXCESS_M, 0.25 * STEP_M) / max(sqrt(dx * dx + dy * dy), 1.0)
    return serving.x_m + stretch * dx, serving.y_m + stretch * dy


@kernel
def put(x_m, y_m, serving, terms, bend, points, ground, mass, area, fix):
    """Write the fix of a posterior: its peak, and the inverse of its curvature as spread."""
    det = terms[2] * terms[4] - terms[3] * terms[3]
    xx, xy, yy = terms[4] / det, -terms[3] / det, terms[2] / det
    dx, dy = x_m - serving.x_m, y_m - serving.y_m
    flat_m = max(sqrt(dx * dx + dy * dy), 1.0)
    ux, uy = dx / flat_m, dy / flat_m
    along2 = xx * ux * ux + 2.0 * xy * ux * uy + yy * uy * uy
    shared = (xx - yy) * ux * uy + xy * (uy * uy - ux * ux)
    across2 = xx * uy * uy - 2.0 * xy * ux * uy + yy * ux * ux
    along = sqrt(along2)
    skew = shared / along
    across = sqrt(max(across2 - skew * skew, 1.0))
    fix.x_m, fix.y_m, fix.r50_m = x_m, y_m, half_radius_of(along2, across2, shared)
    bend_m = max(flat_m, 2.0 * across) if bend else 1e9
    spread(fix, ux, uy, along, skew, across, bend_m, points, ground, mass, area)


@kernel
def half_radius_of(xx, yy, xy):
    """Return the radius that holds half of a plane Gaussian, to 2 %: 0.6745 on a line, 1.1774 on a disc."""
    middle, off = 0.5 * (xx + yy), sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    large, small = sqrt(middle + off), sqrt(max(middle - off, 0.0))
    ratio = small / large
    return large * (0.6745 + 0.5029 * ratio * sqrt(ratio))


@kernel
def by_cell(observations, cells, first, table, fixes):
    """Write the fix of each observation by its serving cell: OBSERVATION[n] in, FIX[n] out."""
    for i in range(len(observations)):
        cell = np.int64(observations[i].cell)
        if cell < len(cells) and cells[cell].mast >= 0:
            fixes[i] = table[first[cell]]
        else:
            no_fix(fixes[i])


@kernel
def by_ranges(
    observations, cells, masts, mast_cells, matches, first, table, foot, points, ground, fixes, tally
):
    """Write the fix of each observation by all it says: cell, timing advance, levels.

    observations : OBSERVATION[n]
    matches      : u4[masts, 504]      `match.match`
    first, table, foot : i8[cells + 1], FIX, f4[cells, 5]  `footprint.fill`
    points       : f8[64, 2]           standard normal
    fixes        : FIX[n]  out
    tally        : i8[2]   neighbours heard, and those the plan does not know, are added
    """
    mass, area = np.empty(len(points)), np.empty(len(points), np.uint16)
    terms, work, site = np.empty(5), np.empty((64, 3)), np.empty((8, 4))
    named, named_dbm = np.empty(8, np.int64), np.empty(8)
    group, sector, level = np.empty((8, 2), np.int64), np.empty(64, np.int64), np.empty(64)
    for i in range(len(observations)):
        cell, ta = np.int64(observations[i].cell), np.int64(observations[i].ta)
        if cell >= len(cells) or cells[cell].mast < 0:
            no_fix(fixes[i])
            continue
        row = first[cell] if ta == NO_TA else first[cell] + 1 + ta
        if row < first[cell + 1]:
            fixes[i] = table[row]
        else:
            beyond(cells[cell], ta, points, ground, mass, area, fixes[i])
        count = heard(observations[i], cells, matches, named, named_dbm, tally)
        if count < LEVELS_MIN:
            continue
        groups = by_mast(cells, masts, mast_cells, named, named_dbm, count, group, sector, level)
        weakest_dbm = named_dbm[:count].min()
        x_m, y_m = start(cells[cell], named, named_dbm, count, foot, ta)
        x_m, y_m = descend(
            x_m,
            y_m,
            cells,
            masts,
            group,
            groups,
            sector,
            level,
            weakest_dbm,
            ta,
            foot[cell],
            terms,
            work,
            site,
            STEPS,
        )
        put(x_m, y_m, cells[cell], terms, ta != NO_TA, points, ground, mass, area, fixes[i])
        fixes[i].content = TA_LEVELS if ta != NO_TA else LEVELS
