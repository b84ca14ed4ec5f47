"""The radio of a world: the tables that say what is heard where, and the outages in force."""

from statistics import NormalDist

import numpy as np

from probe.base.plane import LocalFrame
from probe.base.streams import bits
from probe.wire.cells import Plan
from simulator.kernels import radio as kernels
from simulator.propagation.propagation import PIXEL_M, Propagation

TILE_M = 200.0
CELL_REACH_M = 12_000.0
COVERED_DBM = -112.0  # a carrier that is expected below this at a tile is not used there
SITE_PURPOSE = 310
NEVER_MS = np.int64(1 << 62)
MAIN_BEAM = 12.0  # an antenna loses 12 dB at one beamwidth off its main beam (3 dB at half of it)


class Radio:
    """What every handset hears.  One object a process; `measure` is all that the time line needs.

    carriers    : number of carriers that serve, numbered by rising arfcn
    cell_site   : u4[cells]; cell_x_m, cell_y_m, cell_height_m: f4[cells]; tac, pci: u2[cells]
    wall_db     : f4[carriers] loss through the wall of a building with low loss
    outage_from_ms, outage_until_ms : i8[sites + 1], the current or next outage of a site, written by
                  the network: while from <= time < until its cells are not heard.  The last row is nobody's.
    """

    def __init__(self, plan: Plan, frame: LocalFrame, reach_m: float, propagation: Propagation, seed: int):
        sites = {name: row for row, name in enumerate(dict.fromkeys(plan["site_id"]))}
        self.cell_site = np.array([sites[name] for name in plan["site_id"]], "u4")
        self.sites = len(sites)
        x_m, y_m = frame.to_xy(plan["latitude"], plan["longitude"])
        self.cell_x_m, self.cell_y_m = x_m.astype("f4"), y_m.astype("f4")
        self.cell_height_m = plan["height_m"].astype("f4")
        self.tac, self.pci = plan["tac"].astype("u2"), plan["pci"].astype("u2")
        self.outage_from_ms = np.full(self.sites + 1, NEVER_MS)
        self.outage_until_ms = np.full(self.sites + 1, NEVER_MS)
        self._cells = self._cell_table(plan, propagation, seed)
        self._slope = propagation.slope.astype("f4")
        self._sight = propagation.sight.astype("f4")
        self._threshold = quantiles(propagation.sight)
        self._spread = spread(propagation)
        self._field = propagation.field
        tiles = 2 * int(np.ceil(reach_m / TILE_M))
        west_m = -tiles / 2 * TILE_M
        self._grid = np.array([west_m, west_m, 1 / TILE_M, tiles, tiles, 1 / PIXEL_M], "f4")
        arfcn = np.where(plan.serving(), plan["arfcn"], -1)
        served = np.unique(arfcn[arfcn >= 0])
        self._members = [np.flatnonzero(arfcn == value).astype("i4") for value in served]
        self.carriers = len(self._members)
        self._candidate = self._candidates()
        ghz = np.array([plan["frequency_mhz"][cells[0]] / 1_000 for cells in self._members])
        self.wall_db = wall_loss_db(ghz)[0].astype("f4")

    @classmethod
    def build(cls, plan: Plan, frame: LocalFrame, reach_m: float, propagation: Propagation, seed: int):
        """Return the radio of a plan on a square of 2 reach_m about the middle of the frame."""
        return cls(plan, frame, reach_m, propagation, seed)

    def _cell_table(self, plan: Plan, propagation: Propagation, seed: int) -> np.ndarray:
        """Return f4[cells + 1, 16], columns as named in kernels.radio; the last row is never heard."""
        table = np.zeros((len(plan) + 1, 16), "f4")
        cells, words = table[:-1], table.view("i4")
        cells[:, kernels.X], cells[:, kernels.Y] = self.cell_x_m, self.cell_y_m
        cells[:, kernels.RISE] = self.cell_height_m - kernels.HANDSET_M
        peak_dbm = (plan["power_dbm"] + plan["gain_dbi"])[:, None]
        cells[:, [kernels.NEAR, kernels.FAR, kernels.NLOS]] = peak_dbm - propagation.loss_db
        azimuth, omni = np.radians(plan["azimuth_deg"]), np.isnan(plan["azimuth_deg"])
        cells[:, kernels.EAST] = np.where(omni, 0, np.sin(azimuth))
        cells[:, kernels.NORTH] = np.where(omni, 0, np.cos(azimuth))
        cells[:, kernels.WIDTH_H] = np.where(omni, 0, MAIN_BEAM / np.radians(plan["beamwidth_h_deg"]) ** 2)
        cells[:, kernels.TILT] = np.radians(plan["downtilt_deg"])
        cells[:, kernels.WIDTH_V] = MAIN_BEAM / np.radians(plan["beamwidth_v_deg"]) ** 2
        table[-1, [kernels.NEAR, kernels.FAR, kernels.NLOS]] = -500.0
        shift = np.array([shift_of(seed, site) for site in range(self.sites)], "i4")
        words[:-1, kernels.SHIFT], words[:-1, kernels.SITE] = shift[self.cell_site], self.cell_site
        words[-1, kernels.SITE] = self.sites
        return table.reshape(-1)

    def _candidates(self) -> np.ndarray:
        """Return i4[carriers * tiles, CANDIDATES]; where a carrier does not cover, the best one's list."""
        tiles = int(self._grid[3] * self._grid[4])
        found = np.empty((self.carriers, tiles, kernels.CANDIDATES), "i4")
        best_dbm = np.empty((self.carriers, tiles), "f4")
        for carrier, members in enumerate(self._members):
            kernels.list_candidates(members, np.float32(CELL_REACH_M), self._grid, self._cells, self._slope,
                                    self._sight, found[carrier], best_dbm[carrier])  # fmt: skip
        own, best = np.arange(self.carriers)[:, None], np.argmax(best_dbm, axis=0)
        source = np.where(best_dbm >= COVERED_DBM, own, best)
        return found[source, np.arange(tiles)].ravel()

    def measure(self, x_m, y_m, time_ms, carrier, indoor_db, cell, level_dbm) -> None:
        """Write what n points hear: the 8 loudest cells, falling, ties by cell number.

        x_m, y_m f4[n]; time_ms i8[n]; carrier u1[n] below `carriers`; indoor_db f4[n];
        out: cell u4[n, 8], NO_CELL (0xFFFFFFFF) where fewer; level_dbm f4[n, 8], true RSRP
        before measurement noise, -200 beside NO_CELL.  Below -125 dBm nothing is heard.
        """
        assert cell.flags.c_contiguous and level_dbm.flags.c_contiguous
        if not len(x_m):
            return
        spot, haze = np.empty((2, len(x_m)), "i4"), np.empty((2, len(x_m)), "f4")
        key = np.empty((-(-len(x_m) // kernels.BLOCK), kernels.CANDIDATES, kernels.BLOCK), "i4")
        words, outage = self._cells.view("i4"), (self.outage_from_ms, self.outage_until_ms)
        kernels.place(x_m, y_m, carrier, indoor_db, self._grid, self._spread, self._field, spot, haze)
        kernels.weigh(x_m, y_m, spot, haze, self._candidate, self._cells, words, self._slope,
                      self._threshold, self._spread, self._field, key)  # fmt: skip
        if self._outage_within(time_ms):
            kernels.silence(time_ms, spot, self._candidate, words, *outage, key)
        kernels.choose(spot, self._candidate, key, cell.view("i4").reshape(-1), level_dbm.reshape(-1))

    def _outage_within(self, time_ms) -> bool:
        """Return whether a site is out at some time of a batch; mostly none is, and nothing is looked up."""
        return bool(np.any((self.outage_from_ms <= time_ms.max()) & (self.outage_until_ms > time_ms.min())))


def quantiles(probability: np.ndarray) -> np.ndarray:
    """Return f4: what a standard normal is below with each probability; 9 for certain."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(p) if p < 1 else 9.0 for p in probability.tolist()], "f4")


def spread(propagation: Propagation) -> np.ndarray:
    """Return f4[4]: sigma of a site's own shadow (LOS, NLOS) and of what all sites share [dB]."""
    shared = propagation.site_correlation
    sigma = propagation.sigma_db
    return np.concatenate([np.sqrt(1 - shared) * sigma, np.sqrt(shared) * sigma]).astype("f4")


def shift_of(seed: int, site: int) -> int:
    """Return where in the field a site stands: x in the low, y in the high 16 bits."""
    name = int(bits(seed, SITE_PURPOSE, site, 0))
    return (name & 511) | (name >> 9 & 511) << 16


def wall_loss_db(ghz: np.ndarray) -> np.ndarray:
    """Return f8[2, n]: loss through the wall of a building with low and with high loss.

    Source: TR 38.901 table 7.4.3-2 (materials: table 7.4.3-1).
    """
    glass, coated, concrete = 2 + 0.2 * ghz, 23 + 0.3 * ghz, 5 + 4 * ghz
    low = 0.3 * 10 ** (-glass / 10) + 0.7 * 10 ** (-concrete / 10)
    high = 0.7 * 10 ** (-coated / 10) + 0.3 * 10 ** (-concrete / 10)
    return 5 - 10 * np.log10(np.stack([low, high]))
