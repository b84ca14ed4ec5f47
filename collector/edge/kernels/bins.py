"""From points to areas: which area a point lies in, and the six areas with most weight."""

import numpy as np

from probe.base.jit import kernel

AREAS_MAX, UNITS, NO_AREA = 6, 64, 0xFFFF
TIE = 1e-9  # remainders closer than this are equal: they come from divisions


@kernel
def keep_six(mass, area, count, fix):
    """Give 64 units to the six areas with most mass, by largest remainder; ties go to the lower area.

    mass : f8[count] >= 0, changed: what is kept becomes remainders
    area : u2[count] rows of the area set, no row twice
    fix  : FIX       out: area and weight
    """
    kept, total, left = min(count, AREAS_MAX), 0.0, UNITS
    for i in range(kept):  # selection sort of the first six: count is small
        best = i
        for j in range(i + 1, count):
            if mass[j] > mass[best] or (mass[j] == mass[best] and area[j] < area[best]):
                best = j
        mass[i], mass[best], area[i], area[best] = mass[best], mass[i], area[best], area[i]
        total += mass[i]
    fix.area[:], fix.weight[:] = NO_AREA, 0
    if total <= 0.0:
        return
    for i in range(kept):
        share = UNITS * mass[i] / total
        fix.weight[i] = units = int(share)
        mass[i], left = share - units, left - units
    for _ in range(left):
        best = 0
        for i in range(1, kept):
            more = mass[i] - mass[best]
            if more > TIE or (more > -TIE and area[i] < area[best]):
                best = i
        fix.weight[best] += 1
        mass[best] -= 1.0
    for i in range(kept):
        if fix.weight[i] > 0:
            fix.area[i] = area[i]


@kernel
def grid_lines(ground, axis, x_m, y_m, forward_x, forward_y):
    """Return the raster column (axis 0) or row (1) of a point, and its change per metre forward and across."""
    terms = ground.terms
    by_x = terms[axis, 1] + 2.0 * terms[axis, 3] * x_m + terms[axis, 4] * y_m
    by_y = terms[axis, 2] + terms[axis, 4] * x_m + 2.0 * terms[axis, 5] * y_m
    middle = terms[axis, 0] + 0.5 * ((by_x + terms[axis, 1]) * x_m + (by_y + terms[axis, 2]) * y_m)
    return middle - ground.first[axis], by_x * forward_x + by_y * forward_y, by_x * forward_y - by_y * forward_x


@kernel
def area_at(x_m, y_m, ground):
    """Return the area row of a point in local metres; off the raster its border counts."""
    (east, _, _), (north, _, _) = grid_lines(ground, 0, x_m, y_m, 0.0, 1.0), grid_lines(ground, 1, x_m, y_m, 0.0, 1.0)
    return bin_at(east, north, ground.bins)


@kernel
def bin_at(east, north, bins):
    return bins[min(max(int(north), 0), bins.shape[0] - 1), min(max(int(east), 0), bins.shape[1] - 1)]


@kernel
def spread(fix, forward_x, forward_y, along_m, skew_m, across_m, range_m, ground, mass, area):
    """Spread a fix's point over areas by 64 points of a bent Gaussian.

    The Gaussian lies along the line of sight (forward) and across it, skew being the part of
    across that goes with along.  What is across bends back around the mast at range_m, as a
    ring of equal timing does.

    fix    : FIX        in: x_m, y_m; out: area, weight
    mass, area : f8[64], u2[64] scratch
    """
    points, bins, bend, count, last = ground.points, ground.bins, 0.5 / range_m, 0, 0
    east, column_f, column_a = grid_lines(ground, 0, fix.x_m, fix.y_m, forward_x, forward_y)
    north, row_f, row_a = grid_lines(ground, 1, fix.x_m, fix.y_m, forward_x, forward_y)
    for p in range(points.shape[0]):
        across = skew_m * points[p, 0] + across_m * points[p, 1]
        along = along_m * points[p, 0] - bend * across * across
        row = bin_at(east + along * column_f + across * column_a, north + along * row_f + across * row_a, bins)
        if count == 0 or area[last] != row:
            last = 0
            while last < count and area[last] != row:
                last += 1
            if last == count:
                area[last], mass[last], count = row, 0.0, count + 1
        mass[last] += 1.0
    keep_six(mass, area, count, fix)


def normal_points(count: int = UNITS) -> np.ndarray:
    """Return f8[count, 2] even points of a standard normal: mean 0, covariance 1, the same on every machine.

    Source: sunflower spiral (H. Vogel, 1979) with the radii of Box and Muller (1958).
    """
    i = np.arange(1, count + 1)
    radius, turn = np.sqrt(-2 * np.log((i - 0.5) / count)), 2 * np.pi * (i * 0.6180339887498949 % 1)
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T, bias=True))).T
    return np.ascontiguousarray(points.round(6))
