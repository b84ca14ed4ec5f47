"""One observation, one fix: table look-ups for what is known by cell and timing."""

import numpy as np

from collector.edge.kernels.footprint import beyond
from probe.base.jit import kernel

NO_TA = 0xFFFF
NO_AREA = 0xFFFF


@kernel
def no_fix(fix):
    """Write a fix that says nothing."""
    fix.x_m, fix.y_m, fix.r50_m, fix.content = 0.0, 0.0, 0.0, 0
    for k in range(len(fix.area)):
        fix.area[k], fix.weight[k] = NO_AREA, 0


@kernel
def look_up(observations, first, table, timed, cells, points, ground, fixes):
    """Write the fix of each observation by its cell, and its timing advance if `timed`.

    observations : OBSERVATION[n]
    first, table : i8[cells + 1], FIX  what `footprint.fill` made
    fixes        : FIX[n]  out
    """
    mass, area = np.empty(len(points)), np.empty(len(points), np.uint16)
    for i in range(len(observations)):
        cell, ta = np.int64(observations[i].cell), np.int64(observations[i].ta)
        if cell >= len(cells) or first[cell + 1] == first[cell]:
            no_fix(fixes[i])
        elif not timed or ta == NO_TA:
            fixes[i] = table[first[cell]]
        elif first[cell] + 1 + ta < first[cell + 1]:
            fixes[i] = table[first[cell] + 1 + ta]
        else:
            beyond(cells[cell], ta, points, ground, fixes[i], mass, area)
