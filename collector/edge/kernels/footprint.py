"""Where is whoever a cell serves?  The edge's belief from the plan alone, not the world's truth.

A bin belongs to a cell by the chance that the cell's mast is the loudest there (levels
predicted from the plan, shadowing unknown), times the chance that the handset uses that
carrier, times a prior of people.  Every sum is over bins of one grid that all cells share.
"""

from math import erfc, exp, log10, sqrt

import numpy as np

from collector.edge.kernels.bins import area_at, keep_six, spread
from probe.base.jit import kernel

# 3GPP TR 38.901 V17.0.0: slope a decade, table 7.4.1-1, UMa NLOS; pattern, table 7.3-1.
SLOPE_DB, HANDSET_HEIGHT_M, PATTERN_MAX_DB = 39.08, 1.5, 30.0
SHADOW_DB, SECTOR_DB = 8.0, 2.0  # sectors of one mast share the shadowing, hysteresis remains
STEP_M = 78.07  # one timing advance: c * 16 Ts / 2 (3GPP TS 36.213, 4.2.3)
TIMING_M, EXCESS_M = 35.0, 15.0  # deviation of a timing advance before it is quantised; mean detour of the first path
NEAR_MASTS, TILE_BINS = 12, 8  # rivals looked at from a tile; the next ones win less than one bin in a thousand
# Half of the handsets find no service below NOISE_DBM; who is so far below the loudest is not looked at:
# odds of one in a thousand; bins below this share of the best are left out.
NOISE_DBM, BELOW_DB, CUT = -118.0, 35.0, 1e-3
CELL, TA, TA_LEVELS, LEVELS = 1, 2, 3, 4  # content of a fix


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
def weigh(known, grid, rows, columns):
    """Return what a cell's own odds are judged by: level of the loudest mast, weight, and area row of every bin.

    The weight is people x chance of the carrier / odds of all masts; a handset uses any carrier that
    covers it, all alike.

    Returns f4[carriers, rows, columns], f4[carriers, rows, columns], u2[rows, columns].
    """
    masts, carriers = known.masts, len(known.carrier_first) - 1
    top_dbm, area = np.empty((carriers, rows, columns), np.float32), np.empty((rows, columns), np.uint16)
    weight, covered = np.empty_like(top_dbm), np.empty(carriers)
    found, gap, level = np.empty(NEAR_MASTS, np.int64), np.empty(NEAR_MASTS), np.empty(NEAR_MASTS)
    for c in range(carriers):
        first, end = known.carrier_first[c], known.carrier_first[c + 1]
        near = min(end - first, NEAR_MASTS)
        for tile in range(rows * columns // TILE_BINS**2):
            row, column = tile * TILE_BINS // columns * TILE_BINS, tile * TILE_BINS % columns
            x_m, y_m = grid.x_m + (column + 4) * grid.step_m, grid.y_m + (row + 4) * grid.step_m
            gap[:] = np.inf
            for m in range(first, end):  # the nearest masts of the tile, by rising distance
                distance, k = (masts[m].x_m - x_m) ** 2 + (masts[m].y_m - y_m) ** 2, NEAR_MASTS - 1
                if distance < gap[k]:
                    while k > 0 and gap[k - 1] > distance:
                        gap[k], found[k], k = gap[k - 1], found[k - 1], k - 1
                    gap[k], found[k] = distance, m
            for i in range(row, row + TILE_BINS):
                for j in range(column, column + TILE_BINS):
                    x_m, y_m = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
                    for k in range(near):
                        _, loss_db, ux, uy = sight(masts[found[k]], x_m, y_m)
                        level[k] = loudest_dbm(masts[found[k]], known.cells, known.mast_cells, loss_db, ux, uy)
                    best, total = level[:near].max(), 0.0
                    for k in range(near):
                        total += odds(best - level[k])
                    top_dbm[c, i, j], weight[c, i, j] = best, total
    for i in range(rows):
        for j in range(columns):
            area[i, j] = area_at(grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m, known.ground)
            total = 1e-3
            for c in range(carriers):
                covered[c] = 0.5 * erfc((NOISE_DBM - top_dbm[c, i, j]) / (SHADOW_DB * sqrt(2.0)))
                total += covered[c]
            for c in range(carriers):
                weight[c, i, j] = known.density[area[i, j]] * covered[c] / (total * weight[c, i, j])
    return top_dbm, weight, area


@kernel
def served(c, known, grid, weighed):
    """Return the bins of the footprint of cell c by rising range, f8[5, n]: x, y, slant range [m], weight, area."""
    cells, mast_cells, cell, step_m = known.cells, known.mast_cells, known.cells[c], grid.step_m
    mast, reach_m, (top_dbm, weight, area), count, best = known.masts[cell.mast], cell.reach_m, weighed, 0, 0.0
    i_first, i_end = (cell.y_m - reach_m - grid.y_m) / step_m, (cell.y_m + reach_m - grid.y_m) / step_m + 1.0
    j_first, j_end = (cell.x_m - reach_m - grid.x_m) / step_m, (cell.x_m + reach_m - grid.x_m) / step_m + 1.0
    bins = np.empty((5, int((i_end - i_first + 1.0) * (j_end - j_first + 1.0))))
    for i in range(max(int(i_first), 0), min(int(i_end), area.shape[0])):
        for j in range(max(int(j_first), 0), min(int(j_end), area.shape[1])):
            x_m, y_m = grid.x_m + (j + 0.5) * step_m, grid.y_m + (i + 0.5) * step_m
            range_m, loss_db, ux, uy = sight(cell, x_m, y_m)
            own, top = level_dbm(cell, loss_db, ux, uy), top_dbm[cell.carrier, i, j]
            if range_m > cell.reach_m or own < top - BELOW_DB:
                continue
            most, total = loudest_dbm(mast, cells, mast_cells, loss_db, ux, uy), 0.0
            for k in range(mast.first, mast.end):
                total += exp((level_dbm(cells[mast_cells[k]], loss_db, ux, uy) - most) / SECTOR_DB)
            w = exp((own - most) / SECTOR_DB) / total * odds(max(top - most, 0.0)) * weight[cell.carrier, i, j]
            if w > CUT * best:
                best, bins[:, count] = max(best, w), (x_m, y_m, range_m, w, float(area[i, j]))
                count += 1
    return bins[:, :count][:, np.argsort(bins[2, :count])]


@kernel
def gaps(x, y, x_m, y_m):
    return np.sqrt((x - x_m) * (x - x_m) + (y - y_m) * (y - y_m))


@kernel
def summarise(x, y, w, area, fix):
    """Write the geometric median, the radius about it that holds half, and the six areas of bins weighted by w.

    fix : FIX  out: all but content
    Returns the sum of the weights; the fix is left alone where it is 0.
    """
    total = w.sum()
    if total <= 0.0:
        return total
    x_m, y_m = (w * x).sum() / total, (w * y).sum() / total
    for _ in range(6):  # Weiszfeld (1937), over-relaxed
        pull = w / (gaps(x, y, x_m, y_m) + 10.0)
        sum_w = pull.sum()
        x_m, y_m = x_m + 1.7 * ((pull * x).sum() / sum_w - x_m), y_m + 1.7 * ((pull * y).sum() / sum_w - y_m)
    gap = gaps(x, y, x_m, y_m)
    far = max(gap.max(), 1.0)
    within = np.cumsum(np.bincount((256.0 * gap / far).astype(np.int64), w))  # to a 256th of the farthest
    fix.x_m, fix.y_m, fix.r50_m = x_m, y_m, (np.searchsorted(within, 0.5 * total) + 0.5) * far / 256.0
    mass = np.bincount(area, w)
    touched = np.flatnonzero(mass)
    keep_six(mass[touched], touched.astype(np.uint16), len(touched), fix)
    return total


@kernel
def timing_below(ta, range_m):
    """Return the chance of a timing advance of at most ta: range plus a detour, normal noise, rounded."""
    return 0.5 * erfc((range_m + EXCESS_M - (ta + 0.5) * STEP_M) / (TIMING_M * sqrt(2.0)))


@kernel
def beyond(cell, ta, ground, mass, area, fix):
    """Write the fix of a timing advance where the footprint has nobody: that far along the boresight."""
    range_m, beam = max(ta * STEP_M - EXCESS_M, 0.25 * STEP_M), cell.pattern_db > 0.0
    ahead_m, along_m, bend_m = (range_m, TIMING_M, range_m) if beam else (0.0, 0.7 * range_m, 1e9)
    across_m = (0.36 / sqrt(max(cell.pattern_db / 12.0, 0.05)) if beam else 0.7) * range_m  # deviation of half the beam
    fix.x_m, fix.y_m = cell.x_m + ahead_m * cell.east, cell.y_m + ahead_m * cell.north
    fix.r50_m, fix.content = 0.6745 * across_m if beam else range_m, TA
    spread(fix, cell.east, cell.north, along_m, 0.0, across_m, bend_m, ground, mass, area)


@kernel
def fill(known, grid, weighed, tables):
    """Write for every serving cell its fix without timing and one for each timing advance in reach.

    weighed : what `weigh` returns
    tables  : Tables  out: fixes, and foot: point and variance by axis [m^2], a round kilometre where it is empty
    """
    cells, ground, first, fixes, foot = known.cells, known.ground, tables.first, tables.fixes, tables.foot
    mass, few = np.empty(len(ground.points)), np.empty(len(ground.points), np.uint16)
    for c in range(len(cells)):
        if cells[c].mast < 0:
            continue
        bins = served(c, known, grid, weighed)
        x, y, range_m, w, there = bins[0], bins[1], bins[2], bins[3], bins[4].astype(np.int64)
        fix, below, whole = fixes[first[c]], np.zeros(len(x)), summarise(x, y, w, there, fixes[first[c]])
        if whole <= 0.0:
            beyond(cells[c], 1, ground, mass, few, fix)
        fix.content = CELL
        square = 0.5 * (w * gaps(x, y, fix.x_m, fix.y_m) ** 2).sum() / whole if whole > 0.0 else 1e6
        foot[c, 0], foot[c, 1], foot[c, 2] = fix.x_m, fix.y_m, max(square, 1e4)
        for ta in range(first[c + 1] - first[c] - 1):
            fix = fixes[first[c] + 1 + ta]
            near = np.searchsorted(range_m, (ta - 0.5) * STEP_M - EXCESS_M - 3.0 * TIMING_M)
            far = np.searchsorted(range_m, (ta + 0.5) * STEP_M - EXCESS_M + 3.0 * TIMING_M)
            chance = np.array([timing_below(ta, here_m) for here_m in range_m[near:far]])
            now, below[near:far] = w[near:far] * (chance - below[near:far]), chance
            if summarise(x[near:far], y[near:far], now, there[near:far], fix) <= 1e-6 * whole:
                beyond(cells[c], ta, ground, mass, few, fix)
            fix.content = TA
