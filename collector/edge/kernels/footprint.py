"""Where is whoever a cell serves?  The edge's belief from the plan alone, not the world's truth.

A bin belongs to a cell by the chance that the cell's mast is the loudest there (levels
predicted from the plan, shadowing unknown), times the chance that the handset uses that
carrier, times a prior of people.  Every sum is over bins of one grid that all cells share.
"""

from math import erfc, exp, log10, sqrt

import numpy as np

from collector.edge.kernels.bins import area_at, keep_six, spread
from probe.base.jit import kernel

SLOPE_DB = 39.08  # per decade: 3GPP TR 38.901 V17.0.0, table 7.4.1-1, UMa NLOS
HANDSET_HEIGHT_M = 1.5
PATTERN_MAX_DB = 30.0  # TR 38.901, table 7.3-1
SHADOW_DB = 8.0
SECTOR_DB = 2.0  # between sectors of one mast: they share the shadowing, hysteresis remains
NOISE_DBM = -118.0  # half of the handsets find no service below
STEP_M = 78.07  # one timing advance: c * 16 Ts / 2 (3GPP TS 36.213, 4.2.3)
TIMING_M = 35.0  # deviation of a timing advance before it is quantised
EXCESS_M = 15.0  # mean detour of the first path
NEAR_MASTS = 12  # rivals looked at; the next ones win less than one bin in a thousand
TILE_BINS = 8
BINS_MAX = 1 << 16  # bins of one footprint
BELOW_DB = 35.0  # whoever is so far below the loudest is not looked at: odds of one in a thousand
CUT = 1e-3  # bins below this share of the best are left out
CELL_ONLY, WITH_TA = 1, 2  # content of a fix


@kernel
def level_dbm(cell, loss_db, ux, uy):
    """Return the median level of a CELL after a loss by distance, in the direction (ux, uy) from its mast.

    The pattern is pattern_db off^2 with off^2 = 2 u + u^2 / 3 + 4 u^3 / 45 and u = 1 - cos(off): no
    arc function; 2 % low at 90 degrees, next to nothing within the beam.
    """
    u = 1.0 - ux * cell.east - uy * cell.north
    bent = cell.pattern_db * u * (2.0 + u * (0.3333333 + u * 0.0888889))
    return cell.level_dbm - loss_db - min(bent, PATTERN_MAX_DB)


@kernel
def sight(mast, x_m, y_m):
    """Return slant range [m], loss by distance [dB] and direction x, y of a point from a CELL or MAST."""
    dx, dy, dz = x_m - mast.x_m, y_m - mast.y_m, mast.height_m - HANDSET_HEIGHT_M
    flat2 = dx * dx + dy * dy + 1.0
    range2, per_m = flat2 + dz * dz, 1.0 / sqrt(flat2)
    return sqrt(range2), 0.5 * SLOPE_DB * log10(range2), dx * per_m, dy * per_m


@kernel
def loudest_dbm(mast, cells, mast_cells, loss_db, ux, uy):
    """Return the level of the loudest cell of a MAST."""
    best = -999.0
    for k in range(mast.first, mast.end):
        best = max(best, level_dbm(cells[mast_cells[k]], loss_db, ux, uy))
    return best


@kernel
def odds(below_db):
    """Return the odds that a mast this far below the loudest beats it, shadowing unknown."""
    lost = 0.5 * erfc(below_db / (2.0 * SHADOW_DB))
    return lost / (1.0 - lost)


@kernel
def nearest(masts, first, end, x_m, y_m, found, gap):
    """Write the nearest masts among rows first..end into found (i8) by rising distance; return how many."""
    count = 0
    for m in range(first, end):
        distance = (masts[m].x_m - x_m) ** 2 + (masts[m].y_m - y_m) ** 2
        if count == len(found) and distance >= gap[count - 1]:
            continue
        k = min(count, len(found) - 1)
        while k > 0 and gap[k - 1] > distance:
            gap[k], found[k] = gap[k - 1], found[k - 1]
            k -= 1
        gap[k], found[k] = distance, m
        count = min(count + 1, len(found))
    return count


@kernel
def rivals(cells, masts, mast_cells, carrier_first, grid, top_dbm, rest):
    """Write for each carrier and bin the level of the loudest mast and the summed odds of all.

    top_dbm : f4[carriers, rows, columns]  out
    rest    : f4[carriers, rows, columns]  out: sum of odds, at least 1
    """
    carriers, rows, columns = top_dbm.shape
    found, gap = np.empty(NEAR_MASTS, np.int64), np.empty(NEAR_MASTS)
    level = np.empty(NEAR_MASTS)
    for c in range(carriers):
        for tile in range((rows // TILE_BINS) * (columns // TILE_BINS)):
            row = tile // (columns // TILE_BINS) * TILE_BINS
            column = tile % (columns // TILE_BINS) * TILE_BINS
            x_m, y_m = grid.x_m + (column + 4) * grid.step_m, grid.y_m + (row + 4) * grid.step_m
            count = nearest(masts, carrier_first[c], carrier_first[c + 1], x_m, y_m, found, gap)
            for i in range(row, row + TILE_BINS):
                for j in range(column, column + TILE_BINS):
                    x_m, y_m = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
                    best, total = -999.0, 0.0
                    for k in range(count):
                        mast = masts[found[k]]
                        _, loss_db, ux, uy = sight(mast, x_m, y_m)
                        level[k] = loudest_dbm(mast, cells, mast_cells, loss_db, ux, uy)
                        best = max(best, level[k])
                    for k in range(count):
                        total += odds(best - level[k])
                    top_dbm[c, i, j], rest[c, i, j] = best, total


@kernel
def weigh(top_dbm, rest, prior, weight):
    """Write people x chance of the carrier / odds of all masts: what a cell's own odds are multiplied with.

    A handset uses any carrier that covers it, all alike.

    prior  : f8[rows, columns]            people by bin
    weight : f4[carriers, rows, columns]  out
    """
    carriers, rows, columns = top_dbm.shape
    for i in range(rows):
        for j in range(columns):
            total = 1e-3
            for c in range(carriers):
                total += 0.5 * erfc((NOISE_DBM - top_dbm[c, i, j]) / (SHADOW_DB * sqrt(2.0)))
            for c in range(carriers):
                covered = 0.5 * erfc((NOISE_DBM - top_dbm[c, i, j]) / (SHADOW_DB * sqrt(2.0)))
                weight[c, i, j] = prior[i, j] * covered / (total * rest[c, i, j])


@kernel
def areas_of(grid, ground, area):
    """Write the area row of every bin of the grid: area u2[rows, columns]."""
    for i in range(area.shape[0]):
        for j in range(area.shape[1]):
            x_m, y_m = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
            area[i, j] = area_at(x_m, y_m, ground.bins, ground.first_column, ground.first_row, ground.terms)


@kernel
def served(c, cells, masts, mast_cells, grid, top_dbm, weight, area, bins, bin_area):
    """Collect the bins of the footprint of cell c.

    bins     : f8[4, BINS_MAX]  out: x, y, slant range [m], weight
    bin_area : u2[BINS_MAX]     out
    Returns how many.
    """
    cell = cells[c]
    mast = masts[cell.mast]
    j_first = max(int((cell.x_m - cell.reach_m - grid.x_m) / grid.step_m), 0)
    j_end = min(int((cell.x_m + cell.reach_m - grid.x_m) / grid.step_m) + 1, area.shape[1])
    i_first = max(int((cell.y_m - cell.reach_m - grid.y_m) / grid.step_m), 0)
    i_end = min(int((cell.y_m + cell.reach_m - grid.y_m) / grid.step_m) + 1, area.shape[0])
    count, best = 0, 0.0
    for i in range(i_first, i_end):
        for j in range(j_first, j_end):
            x_m, y_m = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
            range_m, loss_db, ux, uy = sight(cell, x_m, y_m)
            own, top = level_dbm(cell, loss_db, ux, uy), top_dbm[cell.carrier, i, j]
            if range_m > cell.reach_m or own < top - BELOW_DB or count == bins.shape[1]:
                continue
            most, total = loudest_dbm(mast, cells, mast_cells, loss_db, ux, uy), 0.0
            for k in range(mast.first, mast.end):
                total += exp((level_dbm(cells[mast_cells[k]], loss_db, ux, uy) - most) / SECTOR_DB)
            sector = exp((own - most) / SECTOR_DB) / total
            w = sector * odds(max(top - most, 0.0)) * weight[cell.carrier, i, j]
            if w <= CUT * best:
                continue
            best = max(best, w)
            bins[0, count], bins[1, count], bins[2, count], bins[3, count] = x_m, y_m, range_m, w
            bin_area[count] = area[i, j]
            count += 1
    return count


@kernel
def distance(bins, k, x_m, y_m):
    return sqrt((bins[0, k] - x_m) ** 2 + (bins[1, k] - y_m) ** 2)


@kernel
def summarise(bins, bin_area, first, end, w, by_area, fix):
    """Write the geometric median, the half radius and the six areas of bins first..end weighted by w.

    by_area : f8[areas]  scratch, zero before and after
    fix     : FIX        out: all but content
    Returns the sum of the weights; the fix is left alone where it is 0.
    """
    total, x, y = 0.0, 0.0, 0.0
    for k in range(first, end):
        total += w[k]
        x += w[k] * bins[0, k]
        y += w[k] * bins[1, k]
    if total <= 0.0:
        return total
    x, y = x / total, y / total
    for _ in range(6):  # Weiszfeld (1937), over-relaxed
        sum_w, sum_x, sum_y = 0.0, 0.0, 0.0
        for k in range(first, end):
            pull = w[k] / (distance(bins, k, x, y) + 10.0)
            sum_w, sum_x, sum_y = sum_w + pull, sum_x + pull * bins[0, k], sum_y + pull * bins[1, k]
        x, y = x + 1.7 * (sum_x / sum_w - x), y + 1.7 * (sum_y / sum_w - y)
    fix.x_m, fix.y_m = x, y
    fix.r50_m = half_radius(bins, first, end, w, x, y, total)
    touched, count = np.empty(end - first, np.uint16), 0
    for k in range(first, end):
        if by_area[bin_area[k]] == 0.0 and w[k] > 0.0:
            touched[count] = bin_area[k]
            count += 1
        by_area[bin_area[k]] += w[k]
    mass = np.empty(count)
    for k in range(count):
        mass[k] = by_area[touched[k]]
        by_area[touched[k]] = 0.0
    keep_six(mass, touched, count, fix)
    return total


@kernel
def half_radius(bins, first, end, w, x_m, y_m, total):
    """Return the radius about (x, y) that holds half of the weight, to a 256th of the farthest."""
    far = 1.0
    for k in range(first, end):
        far = max(far, distance(bins, k, x_m, y_m))
    within = np.zeros(257)
    for k in range(first, end):
        within[int(256.0 * distance(bins, k, x_m, y_m) / far)] += w[k]
    held, k = within[0], 0
    while held < 0.5 * total and k < 256:
        k += 1
        held += within[k]
    return (k + 0.5) * far / 256.0


@kernel
def timing_below(ta, range_m):
    """Return the chance of a timing advance of at most ta: range plus a detour, normal noise, rounded."""
    return 0.5 * erfc((range_m + EXCESS_M - (ta + 0.5) * STEP_M) / (TIMING_M * sqrt(2.0)))


@kernel
def beyond(cell, ta, points, ground, mass, area, fix):
    """Write the fix of a timing advance where the footprint has nobody: that far along the boresight."""
    range_m = max(ta * STEP_M - EXCESS_M, 0.25 * STEP_M)
    across_m = 0.36 / sqrt(max(cell.pattern_db / 12.0, 0.05)) * range_m  # deviation of half the beam
    out_m = range_m if cell.pattern_db > 0.0 else 0.0
    fix.x_m, fix.y_m = cell.x_m + out_m * cell.east, cell.y_m + out_m * cell.north
    if cell.pattern_db > 0.0:
        spread(fix, cell.east, cell.north, TIMING_M, 0.0, across_m, range_m, points, ground, mass, area)
        fix.r50_m = 0.6745 * across_m
    else:
        spread(fix, 0.0, 1.0, 0.7 * range_m, 0.0, 0.7 * range_m, 1e9, points, ground, mass, area)
        fix.r50_m = range_m
    fix.content = WITH_TA


@kernel
def fill(cells, masts, mast_cells, grid, top_dbm, weight, area, points, ground, first, fixes, foot):
    """Write for every serving cell its fix without timing and one for each timing advance in reach.

    first : i8[cells + 1]  row of `fixes` where a cell begins: cell only, then TA 0, 1, ...
    fixes : FIX[first[-1]] out
    foot  : f4[cells, 3]   out: point x, y [m] of the footprint, variance about it by axis [m^2]
    """
    bins, bin_area = np.empty((4, BINS_MAX)), np.empty(BINS_MAX, np.uint16)
    w, below, by_area = np.empty(BINS_MAX), np.empty(BINS_MAX), np.zeros(1 << 16)
    mass_few, area_few = np.empty(len(points)), np.empty(len(points), np.uint16)
    for c in range(len(cells)):
        if first[c + 1] == first[c]:
            continue
        count = served(c, cells, masts, mast_cells, grid, top_dbm, weight, area, bins, bin_area)
        order = np.argsort(bins[2, :count])
        for k in range(4):
            bins[k, :count] = bins[k, :count][order]
        bin_area[:count] = bin_area[:count][order]
        w[:count] = bins[3, :count]
        whole = summarise(bins, bin_area, 0, count, w, by_area, fixes[first[c]])
        if whole <= 0.0:
            beyond(cells[c], 1, points, ground, mass_few, area_few, fixes[first[c]])
        fixes[first[c]].content = CELL_ONLY
        moments(bins, count, fixes[first[c]], foot[c])
        near, far = 0, 0
        below[:count] = 0.0
        for row in range(first[c] + 1, first[c + 1]):
            ta = row - first[c] - 1
            while near < count and bins[2, near] < (ta - 0.5) * STEP_M - EXCESS_M - 3.0 * TIMING_M:
                near += 1
            while far < count and bins[2, far] < (ta + 0.5) * STEP_M - EXCESS_M + 3.0 * TIMING_M:
                far += 1
            for k in range(near, far):
                chance = timing_below(ta, bins[2, k])
                w[k] = bins[3, k] * (chance - below[k])
                below[k] = chance
            if summarise(bins, bin_area, near, far, w, by_area, fixes[row]) <= 1e-6 * whole:
                beyond(cells[c], ta, points, ground, mass_few, area_few, fixes[row])
            fixes[row].content = WITH_TA


@kernel
def moments(bins, count, fix, foot):
    """Write the point of a footprint's FIX and the variance about it; a round kilometre where it is empty."""
    total, square = 0.0, 0.0
    for k in range(count):
        total += bins[3, k]
        square += bins[3, k] * distance(bins, k, fix.x_m, fix.y_m) ** 2
    foot[0], foot[1], foot[2] = fix.x_m, fix.y_m, 1e6
    if total > 0.0:
        foot[2] = max(0.5 * square / total, 1e4)
