"""The plan as the edge reads it: cells and masts in local metres, the area raster, and a prior of people."""

from collections import namedtuple

import numpy as np

from collector.edge.kernels import bins, footprint
from collector.edge.locators.fixes import FIX, NO_AREA
from probe.base.plane import BIN_M
from probe.wire.areas import AreaSet
from probe.wire.cells import Plan

# CELL: x and y; azimuth as a unit vector; median level 1 m along the boresight, less pattern_db * off^2 [rad]; nobody
# beyond the reach is looked for; mast: row of MAST, -1 = never serves; slot: place among the cells by mast.
# MAST: what stands within one square of MAST_M on one carrier, and which of the cells by mast.
CELL = np.dtype({"formats": ["f4"] * 8 + ["i4"] * 3, "names": (
    "x_m y_m height_m east north level_dbm pattern_db reach_m mast slot carrier".split())})
MAST = np.dtype({"formats": ["f4"] * 3 + ["i4"] * 3, "names": "x_m y_m height_m first end carrier".split()})
PER_HERTZ_DB = 13.54  # TR 38.901 table 7.4.1-1, UMa NLOS, at 1 m and 1 GHz
MAST_M = 50.0  # a site of the plan may hold radio heads kilometres apart: places count, not names
REACH_M, MARGIN_M, GRID_BINS_MAX = (1_500.0, 5_000.0), 3_000.0, 4_000_000
# People stay where people live about so much of the time, the rest is spread evenly; and the density of
# people outside all areas, of the mean inside.
AT_HOME, OUTSIDE = 0.6, 0.05
# The squares that footprints are made of: the corner and the side in local metres.
Grid = namedtuple("Grid", "x_m y_m step_m")


class Ground(namedtuple("Ground", "bins first terms points")):
    """The area raster as kernels take it, and the points that stand for a Gaussian.

    bins   : u2[rows, columns]
    first  : (i8, i8)  column and row of bins[0, 0] in the grid
    terms  : f8[2, 6]
    points : f8[64, 2] standard normal
    """


class Believed(namedtuple("Believed", "cells masts mast_cells carrier_first pci ground density")):
    """What a locator may know of the network, as kernels take it.

    cells         : CELL[n]    one row a row of the plan
    masts         : MAST[m]    by carrier, then place
    mast_cells    : i8[k]      serving cells by mast
    carrier_first : i8[c + 1]  row of masts where a carrier begins
    pci           : i8[n]
    ground        : Ground
    density       : f8[areas]  people by square metre, the mean over the named areas = 1
    """


def read(plan: Plan, areas: AreaSet) -> Believed:
    """Return the plan in local metres; GSM, NR and downlink-only cells never serve."""
    cells, omni = np.zeros(len(plan), CELL), np.isnan(plan["azimuth_deg"])
    cells["x_m"], cells["y_m"] = areas.frame.to_xy(np.asarray(plan["latitude"]), np.asarray(plan["longitude"]))
    azimuth_rad = np.radians(np.where(omni, 0.0, plan["azimuth_deg"]))
    cells["height_m"], cells["east"] = np.maximum(plan["height_m"], 3.0), np.sin(azimuth_rad)
    cells["north"], cells["mast"], cells["carrier"] = np.cos(azimuth_rad), -1, -1
    cells["pattern_db"] = np.where(omni, 0.0, 12 / np.radians(np.maximum(plan["beamwidth_h_deg"], 5.0)) ** 2)
    ghz = np.asarray(plan["frequency_mhz"], "f8") / 1_000
    cells["level_dbm"] = plan["power_dbm"] + plan["gain_dbi"] - PER_HERTZ_DB - 20 * np.log10(ghz)
    serving = np.flatnonzero(plan.serving())
    carrier = np.unique(np.asarray(plan["arfcn"])[serving], return_inverse=True)[1]
    cells["carrier"][serving] = carrier
    place = np.stack([carrier, *(np.floor(cells[name][serving] / MAST_M) for name in ("x_m", "y_m"))], axis=1)
    _, head, mast, count = np.unique(place, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order, masts = serving[np.argsort(mast.ravel(), kind="stable")], np.zeros(len(count), MAST)
    for name in ("x_m", "y_m", "height_m", "carrier"):
        masts[name] = cells[name][serving[head]]
    masts["end"], masts["first"] = np.cumsum(count), np.cumsum(count) - count
    cells["mast"][serving], cells["slot"][order] = mast.ravel(), np.arange(len(order))
    carrier_first = np.searchsorted(masts["carrier"], np.arange(carrier.max(initial=-1) + 2))
    cells["reach_m"][order] = reaches(masts)[cells["mast"][order]]
    return Believed(cells, masts, order.astype("i8"), carrier_first.astype("i8"), np.asarray(plan["pci"], "i8"),
                    Ground(areas.bins, areas.first, areas.terms, bins.normal_points()), people_density(areas))


def reaches(masts: np.ndarray) -> np.ndarray:
    """Return f8[m]: 2.5 times the mean distance to the six nearest other masts of the carrier, bounded."""
    reach = np.full(len(masts), REACH_M[1])
    for m, mast in enumerate(masts):
        rivals = masts[masts["carrier"] == mast["carrier"]]
        gap = np.hypot(*(rivals[axis].astype("f8") - mast[axis] for axis in ("x_m", "y_m")))
        if len(gap := gap[gap > 100.0]):
            reach[m] = 2.5 * np.sort(np.partition(gap, min(5, len(gap) - 1))[:6]).mean()
    return np.clip(reach, *REACH_M)


def people_density(areas: AreaSet) -> np.ndarray:
    """Return people by square metre for each area: residents mixed with an even part, the mean inside = 1.

    Residents come from the areas' own file (a census); never from counts, which would then shape themselves.
    """
    people, home, known = areas.residents, np.ones(len(areas.area_id)), np.isfinite(areas.residents)
    size_m2 = np.maximum(np.bincount(areas.bins.ravel(), minlength=len(home)), 1) * BIN_M**2
    if (total := people[known].sum()) > 0:
        home[known] = people[known] / size_m2[known] / (total / size_m2[known].sum())
    density = AT_HOME * home + (1 - AT_HOME)
    density[areas.elsewhere] = OUTSIDE
    return density


class Tables(namedtuple("Tables", "first fixes foot")):
    """Fixes that need no arithmetic: one a serving cell, and one for each of its timing advances.

    first : i8[cells + 2]   row of `fixes` where a cell begins: cell only, TA 0, TA 1, ...
    fixes : FIX[first[-1]]  of a cell that never serves, and of one beyond the plan, a row of no fix
    foot  : f4[cells, 3]    point x, y and variance of each footprint
    """

    def locate(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Write FIX[n] for OBSERVATION[n] by the cell alone."""
        row = self.first[np.minimum(observations["cell"], len(self.foot))]
        np.take(self.fixes, row, out=fixes, mode="clip")  # a mode makes it copy rows as bytes


def tables(known: Believed) -> Tables:
    """Return the footprints of all serving cells as fixes; one cell at least serves."""
    cells = known.cells
    rows = np.where(cells["mast"] >= 0, cells["reach_m"] / footprint.STEP_M + 3, 1).astype("i8")
    first = np.cumsum([0, *rows, 1])
    made = Tables(first, np.zeros(first[-1], FIX), np.zeros((len(cells), 3), "f4"))
    made.fixes["area"], (grid, shape) = NO_AREA, grid_over(known.masts)
    footprint.fill(known, grid, footprint.weigh(known, grid, *shape), made)
    return made


def grid_over(masts: np.ndarray) -> tuple[Grid, tuple[int, int]]:
    """Return squares of 50 m over all masts and a margin, coarser where that would be too many."""
    x, y, step_m = masts["x_m"].astype("f8"), masts["y_m"].astype("f8"), 50.0
    size_x, size_y = np.ptp(x) + 2 * MARGIN_M, np.ptp(y) + 2 * MARGIN_M
    while size_x * size_y / step_m**2 > GRID_BINS_MAX:
        step_m *= 1.25
    tile_m = step_m * footprint.TILE_BINS
    shape = (int(size_y / tile_m) + 1) * footprint.TILE_BINS, (int(size_x / tile_m) + 1) * footprint.TILE_BINS
    return Grid(float(x.min() - MARGIN_M), float(y.min() - MARGIN_M), step_m), shape
