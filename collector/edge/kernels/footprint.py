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
    gap[:] = np.inf
    for m in range(first, end):
        distance, k = (masts[m].x_m - x_m) ** 2 + (masts[m].y_m - y_m) ** 2, len(found) - 1
        if distance < gap[k]:
            while k > 0 and gap[k - 1] > distance:
                gap[k], found[k] = gap[k - 1], found[k - 1]
                k -= 1
            gap[k], found[k] = distance, m
    return min(end - first, len(found))


@kernel
def rivals(known, grid, top_dbm, rest):
    """Write for each carrier and bin the level of the loudest mast and the summed odds of all.

    top_dbm : f4[carriers, rows, columns]  out
    rest    : f4[carriers, rows, columns]  out: sum of odds, at least 1
    """
    cells, masts, mast_cells, carrier_first = known.cells, known.masts, known.mast_cells, known.carrier_first
    carriers, rows, columns = top_dbm.shape
    found, gap, level = np.empty(NEAR_MASTS, np.int64), np.empty(NEAR_MASTS), np.empty(NEAR_MASTS)
    for c in range(carriers):
        for tile in range(rows * columns // TILE_BINS**2):
            row, column = tile * TILE_BINS // columns * TILE_BINS, tile * TILE_BINS % columns
            x_m, y_m = grid.x_m + (column + 4) * grid.step_m, grid.y_m + (row + 4) * grid.step_m
            count = nearest(masts, carrier_first[c], carrier_first[c + 1], x_m, y_m, found, gap)
            for i in range(row, row + TILE_BINS):
                for j in range(column, column + TILE_BINS):
                    x_m, y_m = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
                    for k in range(count):
                        _, loss_db, ux, uy = sight(masts[found[k]], x_m, y_m)
                        level[k] = loudest_dbm(masts[found[k]], cells, mast_cells, loss_db, ux, uy)
                    best, total = level[:count].max(), 0.0
                    for k in range(count):
                        total += odds(best - level[k])
                    top_dbm[c, i, j], rest[c, i, j] = best, total


@kernel
def weigh(known, grid, top_dbm, weight, area):
    """Write people x chance of the carrier / odds of all masts: what a cell's own odds are multiplied with.

    A handset uses any carrier that covers it, all alike.

    weight  : f4[carriers, rows, columns]  in: sum of odds; out
    area    : u2[rows, columns]            out: area row of every bin
    """
    carriers, rows, columns = top_dbm.shape
    covered = np.empty(carriers)
    for i in range(rows):
        for j in range(columns):
            area[i, j] = area_at(grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m, known.ground)
            total = 1e-3
            for c in range(carriers):
                covered[c] = 0.5 * erfc((NOISE_DBM - top_dbm[c, i, j]) / (SHADOW_DB * sqrt(2.0)))
                total += covered[c]
            for c in range(carriers):
                weight[c, i, j] = known.density[area[i, j]] * covered[c] / (total * weight[c, i, j])


@kernel
def served(c, known, grid, top_dbm, weight, area):
    """Return the bins of the footprint of cell c by rising range, f8[5, n]: x, y, slant range [m], weight, area."""
    cells, mast_cells, cell, step_m = known.cells, known.mast_cells, known.cells[c], grid.step_m
    mast, reach_m, count, best = known.masts[cell.mast], cell.reach_m, 0, 0.0
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
            sector = exp((own - most) / SECTOR_DB) / total
            w = sector * odds(max(top - most, 0.0)) * weight[cell.carrier, i, j]
            if w > CUT * best:
                best = max(best, w)
                bins[0, count], bins[1, count], bins[2, count], bins[3, count] = x_m, y_m, range_m, w
                bins[4, count], count = area[i, j], count + 1
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
    range_m = max(ta * STEP_M - EXCESS_M, 0.25 * STEP_M)
    if cell.pattern_db > 0.0:
        across_m = 0.36 / sqrt(max(cell.pattern_db / 12.0, 0.05)) * range_m  # deviation of half the beam
        fix.x_m, fix.y_m = cell.x_m + range_m * cell.east, cell.y_m + range_m * cell.north
        fix.r50_m = 0.6745 * across_m
        spread(fix, cell.east, cell.north, TIMING_M, 0.0, across_m, range_m, ground, mass, area)
    else:
        fix.x_m, fix.y_m, fix.r50_m = cell.x_m, cell.y_m, range_m
        spread(fix, 0.0, 1.0, 0.7 * range_m, 0.0, 0.7 * range_m, 1e9, ground, mass, area)
    fix.content = WITH_TA


@kernel
def fill(known, grid, top_dbm, weight, area, tables):
    """Write for every serving cell its fix without timing and one for each timing advance in reach.

    tables : Tables  out: fixes, and foot: point and variance by axis [m^2], a round kilometre where it is empty
    """
    cells, ground, first, fixes, foot = known.cells, known.ground, tables.first, tables.fixes, tables.foot
    mass, few = np.empty(len(ground.points)), np.empty(len(ground.points), np.uint16)
    for c in range(len(cells)):
        if cells[c].mast < 0:
            continue
        bins = served(c, known, grid, top_dbm, weight, area)
        x, y, range_m, w, there = bins[0], bins[1], bins[2], bins[3], bins[4].astype(np.int64)
        fix, below = fixes[first[c]], np.zeros(len(x))
        whole = summarise(x, y, w, there, fix)
        if whole <= 0.0:
            beyond(cells[c], 1, ground, mass, few, fix)
        fix.content = CELL_ONLY
        gap = gaps(x, y, fix.x_m, fix.y_m)
        square = 0.5 * (w * (gap * gap)).sum() / whole if whole > 0.0 else 1e6
        foot[c, 0], foot[c, 1], foot[c, 2] = fix.x_m, fix.y_m, max(square, 1e4)
        for ta in range(first[c + 1] - first[c] - 1):
            fix = fixes[first[c] + 1 + ta]
            near = np.searchsorted(range_m, (ta - 0.5) * STEP_M - EXCESS_M - 3.0 * TIMING_M)
            far = np.searchsorted(range_m, (ta + 0.5) * STEP_M - EXCESS_M + 3.0 * TIMING_M)
            chance = np.array([timing_below(ta, here_m) for here_m in range_m[near:far]])
            now, below[near:far] = w[near:far] * (chance - below[near:far]), chance
            if summarise(x[near:far], y[near:far], now, there[near:far], fix) <= 1e-6 * whole:
                beyond(cells[c], ta, ground, mass, few, fix)
            fix.content = WITH_TA
