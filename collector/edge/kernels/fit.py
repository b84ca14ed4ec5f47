"""Where are the levels that a handset reports most likely heard?  Least squares over the plan's own model.

One unknown offset of the handset (walls, car, antenna) and one of each site (shadowing)
are averaged over: generalised least squares, in which differences of levels count most.
A cell of a mast that was heard, itself silent, counts as heard at the weakest level where
the model would have it louder: what is silent tells the bearing.
"""

from math import exp, log, sqrt

from collector.edge.kernels.bins import spread
from collector.edge.kernels.footprint import HANDSET_HEIGHT_M, PATTERN_MAX_DB, SLOPE_DB, STEP_M, TIMING_M
from probe.base.jit import kernel

SITE_DB2, CELL_DB2 = 8.0**2, 4.0**2  # shadowing that a site's cells share; what is left to each: quantisation, fading
OFFSET_DB, OFFSET_DB2 = -8.0, 8.0**2  # of a handset, indoors more often than not
PRIOR = 0.3  # variance of the place about the middle of what was heard, in footprints
RING_M2, NO_RING, DONE_M = TIMING_M**2 + STEP_M**2 / 12.0, -1.0, 1.0
SLOPE_NEPER = SLOPE_DB / 2.302585092994046
EAST, NORTH, PATTERN, LEVEL, WANTED, HEARD, MISS, TURN = range(8)  # columns of sector
MAST, X, Y, RISE2, FIRST, END, COUNT, SUM, UX, UY, FALL = range(11)  # columns of group


@kernel
def gather(cells, masts, mast_cells, cell, level_dbm, count, group, sector):
    """Sort what was heard by mast, the serving one first, and add the silent cells of these masts.

    cell, level_dbm : i8[8], f8[8]  the first `count`: what was heard
    group           : f8[8, 11]     out: the columns named above up to END
    sector          : f8[64, 8]     out: the columns named above up to HEARD (1 or 0)
    Returns how many masts; 0 where the serving one alone has more cells than sector has rows.
    """
    groups, end, weakest_dbm = 0, 0, level_dbm[:count].min()
    for j in range(count):
        heard, row = cells[cell[j]], cells[cell[j]].mast
        mast, g = masts[row], 0
        while g < groups and group[g, MAST] != row:
            g += 1
        if g == groups:
            if mast.end - mast.first > len(sector) - end:
                if g == 0:
                    return 0
                continue
            group[g, MAST], group[g, X], group[g, Y] = row, mast.x_m, mast.y_m
            group[g, RISE2], group[g, FIRST] = (mast.height_m - HANDSET_HEIGHT_M) ** 2, end
            for k in range(mast.first, mast.end):
                silent, out = cells[mast_cells[k]], sector[end]
                out[EAST], out[NORTH], out[PATTERN] = silent.east, silent.north, silent.pattern_db
                out[LEVEL], out[WANTED], out[HEARD], end = silent.level_dbm, weakest_dbm, 0.0, end + 1
            group[g, END], groups = end, groups + 1
        k = int(group[g, FIRST]) + heard.slot - mast.first
        sector[k, WANTED], sector[k, HEARD] = level_dbm[j], 1.0
    return groups


@kernel
def predict(x_m, y_m, groups, group, sector):
    """Write how much louder than the model each cell is [dB], and the model's fall and turn [dB/m].

    Moving away from a mast all its cells fall alike; moving around it each turns by itself.
    Pattern: see `footprint.level_dbm`.  Returns the handset's own offset.
    """
    total, weight = OFFSET_DB / OFFSET_DB2, 1.0 / OFFSET_DB2
    for g in range(groups):
        dx, dy = x_m - group[g, X], y_m - group[g, Y]
        flat2 = dx * dx + dy * dy + 1.0
        range2, per_m = flat2 + group[g, RISE2], 1.0 / sqrt(flat2)
        ux, uy, loss, n, r = dx * per_m, dy * per_m, 0.5 * SLOPE_NEPER * log(range2), 0.0, 0.0
        for k in range(int(group[g, FIRST]), int(group[g, END])):
            east, north, pattern = sector[k, EAST], sector[k, NORTH], sector[k, PATTERN]
            u = 1.0 - ux * east - uy * north
            bent = pattern * u * (2.0 + u * (0.3333333 + u * 0.0888889))
            turn = pattern * (2.0 + u * (0.6666667 + u * 0.2666667)) * per_m * (ux * north - uy * east)
            miss = sector[k, WANTED] - sector[k, LEVEL] + loss + min(bent, PATTERN_MAX_DB)
            sector[k, MISS], sector[k, TURN] = miss, turn if bent < PATTERN_MAX_DB else 0.0
            n, r = n + sector[k, HEARD], r + sector[k, HEARD] * miss
        group[g, UX], group[g, UY], group[g, FALL] = ux, uy, -SLOPE_NEPER * (flat2 * per_m) / range2
        group[g, COUNT], group[g, SUM] = n, r
        total, weight = total + r / (CELL_DB2 + n * SITE_DB2), weight + n / (CELL_DB2 + n * SITE_DB2)
    return total / weight


@kernel
def misfit(x_m, y_m, groups, group, sector, beside):
    """Return minus twice the log posterior at a point, half its slope downhill x, y, curvature xx, xy, yy.

    beside : what else is known: (ring_m or NO_RING, x, y and variance of a first guess)

    Sums over the cells of a mast: n of one, r of what is missing, t of turns; o stands for the offset.
    """
    offset = predict(x_m, y_m, groups, group, sector)
    rx, ry, xx, xy, yy, xo, yo = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    rr, ro, oo = CELL_DB2 * OFFSET_DB**2 / OFFSET_DB2, OFFSET_DB / OFFSET_DB2, 1.0 / OFFSET_DB2
    for g in range(groups):
        n, r, ux, uy, fall = group[g, COUNT], group[g, SUM], group[g, UX], group[g, UY], group[g, FALL]
        raised = offset + (r - n * offset) * SITE_DB2 / (CELL_DB2 + n * SITE_DB2)
        n, r, t, r2, rt, t2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(int(group[g, FIRST]), int(group[g, END])):
            used = 1.0 if sector[k, HEARD] > 0.0 or sector[k, MISS] < raised else 0.0
            miss, turn = used * sector[k, MISS], used * sector[k, TURN]
            n, r, t = n + used, r + miss, t + turn
            r2, rt, t2 = r2 + miss * miss, rt + miss * turn, t2 + turn * turn
        shared, f = CELL_DB2 + n * SITE_DB2, n * fall
        pull = SITE_DB2 / shared
        away, around = (fall - pull * f) * r, rt - pull * r * t
        ff, ft, tt = (fall - pull * f) * f, (fall - pull * f) * t, t2 - pull * t * t
        rr, rx, ry = rr + r2 - pull * r * r, rx + away * ux - around * uy, ry + away * uy + around * ux
        xx += ff * ux * ux - 2.0 * ft * ux * uy + tt * uy * uy
        yy += ff * uy * uy + 2.0 * ft * ux * uy + tt * ux * ux
        xy += (ff - tt) * ux * uy + ft * (ux * ux - uy * uy)
        ro, oo = ro + r / shared, oo + n / shared
        xo, yo = xo + (f * ux - t * uy) / shared, yo + (f * uy + t * ux) / shared
    rr, rx, ry = rr / CELL_DB2 - ro * ro / oo, rx / CELL_DB2 - ro * xo / oo, ry / CELL_DB2 - ro * yo / oo
    xx, xy, yy = xx / CELL_DB2 - xo * xo / oo, xy / CELL_DB2 - xo * yo / oo, yy / CELL_DB2 - yo * yo / oo
    ring_m, middle_x, middle_y, variance = beside
    dx, dy, w = x_m - middle_x, y_m - middle_y, 1.0 / variance
    rr, rx, ry, xx, yy = rr + w * (dx * dx + dy * dy), rx - w * dx, ry - w * dy, xx + w, yy + w
    if ring_m != NO_RING:
        dx, dy, w = x_m - group[0, X], y_m - group[0, Y], 1.0 / RING_M2
        range_m = sqrt(dx * dx + dy * dy + group[0, RISE2])
        short_m, ux, uy = ring_m - range_m, dx / range_m, dy / range_m
        rr, rx, ry = rr + w * short_m * short_m, rx + w * short_m * ux, ry + w * short_m * uy
        xx, xy, yy = xx + w * ux * ux, xy + w * ux * uy, yy + w * uy * uy
    return rr, rx, ry, xx, xy, yy


@kernel
def start(cells, cell, level_dbm, count, ring_m, foot):
    """Return what is known beside the levels (see `misfit`) and where to begin: beside, x, y.

    The first guess is the middle of the footprints heard, the loud ones first, by 10^(dBm / 15): the best locator
    of real reports that uses nothing but the plan.  To begin with: on the ring of a timing advance towards it.
    """
    serving, total, x, y = cells[cell[0]], 0.0, 0.0, 0.0
    for k in range(count):
        weight = exp(0.1535 * (level_dbm[k] - level_dbm[0]))
        total, x, y = total + weight, x + weight * foot[cell[k], 0], y + weight * foot[cell[k], 1]
    x, y, variance = x / total, y / total, PRIOR * foot[cell[0], 2]
    dx, dy = x - serving.x_m, y - serving.y_m
    stretch = 1.0 if ring_m == NO_RING else max(ring_m, 0.25 * STEP_M) / max(sqrt(dx * dx + dy * dy), 1.0)
    return (ring_m, x, y, variance), serving.x_m + stretch * dx, serving.y_m + stretch * dy


@kernel
def descend(x_m, y_m, groups, group, sector, beside, steps):
    """Return the point of least misfit near a start and the curvature there: x, y, (xx, xy, yy).

    Gauss-Newton, damped where it would climb.
    """
    (best, rx, ry, xx, xy, yy), damping = misfit(x_m, y_m, groups, group, sector, beside), 0.0
    for _ in range(steps):
        xd, yd = xx * (1.0 + damping), yy * (1.0 + damping)
        scale = 1.0 / (xd * yd - xy * xy)
        dx, dy = scale * (yd * rx - xy * ry), scale * (xd * ry - xy * rx)
        tried = misfit(x_m + dx, y_m + dy, groups, group, sector, beside)
        if tried[0] < best:
            x_m, y_m, damping = x_m + dx, y_m + dy, 0.1 * damping
            best, rx, ry, xx, xy, yy = tried
        else:
            damping = max(10.0 * damping, 0.5)
        if dx * dx + dy * dy < DONE_M * DONE_M:
            break
    return x_m, y_m, (xx, xy, yy)


@kernel
def put(x_m, y_m, serving, curvature, ring_m, ground, mass, area, fix):
    """Write the fix of a posterior: its peak, and the inverse of its curvature as spread.

    Half of a plane Gaussian lies within 0.6745 deviations on a line, 1.1774 on a disc; 2 % off between.
    """
    per_xx, per_xy, per_yy = curvature
    det = per_xx * per_yy - per_xy * per_xy
    xx, xy, yy = per_yy / det, -per_xy / det, per_xx / det
    middle, off = 0.5 * (xx + yy), sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    large, small = sqrt(middle + off), sqrt(max(middle - off, 0.0))
    fix.x_m, fix.y_m, fix.r50_m = x_m, y_m, 0.6745 * large + 0.5029 * small * sqrt(small / large)
    dx, dy = x_m - serving.x_m, y_m - serving.y_m
    flat_m = max(sqrt(dx * dx + dy * dy), 1.0)
    ux, uy = dx / flat_m, dy / flat_m
    along = sqrt(xx * ux * ux + 2.0 * xy * ux * uy + yy * uy * uy)
    skew = ((xx - yy) * ux * uy + xy * (uy * uy - ux * ux)) / along
    across = sqrt(max(xx * uy * uy - 2.0 * xy * ux * uy + yy * ux * ux - skew * skew, 1.0))
    bend_m = 1e9 if ring_m == NO_RING else max(flat_m, 2.0 * across)
    spread(fix, ux, uy, along, skew, across, bend_m, ground, mass, area)
