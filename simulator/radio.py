"""The radio of a world: the tables that say what is heard where, and the outages in force."""

from statistics import NormalDist

import numpy as np

from probe.base import plane, streams
from probe.wire.cells import Plan
from simulator.kernels import radio as kernels
from simulator.propagation.propagation import PIXEL_M, Propagation

TILE_M, CELL_REACH_M, COVERED_DBM = 200.0, 12_000.0, -112.0  # a carrier expected below is not used at a tile
SITE_PURPOSE, NEVER_MS = 310, np.int64(1 << 62)
# What handsets need of a cell.
NET = np.dtype([("x_m", "f4"), ("y_m", "f4"), ("height_m", "f4"), ("site", "u4"), ("tac", "u2"), ("pci", "u2")])
MAIN_BEAM = 12.0  # an antenna loses 12 dB at one beamwidth off its main beam (3 dB at half of it)


class Radio:
    """What every handset hears on a square of 2 reach_m about the middle of the frame.

    One object a process; `measure` is all that the time line needs.

    carriers    : number of carriers that serve, numbered by rising arfcn
    net         : NET[cells]
    wall_db     : f4[carriers] loss through the wall of a building with low loss
    outage_from_ms, outage_until_ms : i8[sites + 1], the current or next outage of a site, written by
                  the network: while from <= time < until its cells are not heard.  The last row is nobody's.
    """

    def __init__(self, plan: Plan, frame: plane.LocalFrame, reach_m: float, propagation: Propagation, seed: int):
        sites = {name: row for row, name in enumerate(dict.fromkeys(plan["site_id"]))}
        self.sites, self.net = len(sites), np.zeros(len(plan), NET)
        self.net["x_m"], self.net["y_m"] = frame.to_xy(plan["latitude"], plan["longitude"])
        self.net["site"] = [sites[name] for name in plan["site_id"]]
        for name in ("height_m", "tac", "pci"):
            self.net[name] = plan[name]
        self.outage_from_ms, self.outage_until_ms = np.full((2, self.sites + 1), NEVER_MS)
        tiles, arfcn = 2 * int(np.ceil(reach_m / TILE_M)), np.where(plan.serving(), plan["arfcn"], -1)
        self._grid = np.array([*[-tiles / 2 * TILE_M] * 2, 1 / TILE_M, tiles, tiles, 1 / PIXEL_M], "f4")
        self._slope, self._field = propagation.slope.astype("f4"), propagation.field
        inverse, sight = NormalDist().inv_cdf, np.clip(propagation.sight, 1e-9, 1 - 1e-9)  # a field ends at 5.11 sigma
        self._threshold = np.array([inverse(share) for share in sight.tolist()], "f4")
        shared = propagation.site_correlation
        self._spread = np.outer(np.sqrt([1 - shared, shared]), propagation.sigma_db).astype("f4").ravel()
        self._cells = self._cell_table(plan, propagation.loss_db, seed)
        members = [np.flatnonzero(arfcn == value).astype("i4") for value in np.unique(arfcn[arfcn >= 0])]
        self.carriers, sight = len(members), propagation.sight.astype("f4")
        found = np.empty((self.carriers, tiles * tiles, kernels.CANDIDATES), "i4")
        best_dbm = np.empty(found.shape[:2], "f4")
        for carrier, cells in enumerate(members):
            kernels.list_candidates(cells, np.float32(CELL_REACH_M), self._grid, self._cells, self._slope, sight,
                                    found[carrier], best_dbm[carrier])
        source = np.where(best_dbm >= COVERED_DBM, np.arange(self.carriers)[:, None], np.argmax(best_dbm, axis=0))
        self._candidate = found[source, np.arange(tiles * tiles)].ravel()  # no cover: the list of the best carrier
        self.wall_db = wall_loss_db(plan["frequency_mhz"][[cells[0] for cells in members]] / 1_000)[0].astype("f4")

    def _cell_table(self, plan: Plan, loss_db: np.ndarray, seed: int) -> np.ndarray:
        """Return f4[(cells + 1) * 16], columns as named in kernels.radio; the last row is never heard."""
        net, omni, azimuth = self.net, np.isnan(plan["azimuth_deg"]), np.radians(plan["azimuth_deg"])
        width_h, width_v = (MAIN_BEAM / np.radians(plan[f"beamwidth_{way}_deg"]) ** 2 for way in "hv")
        table = np.zeros((len(plan) + 1, 16), "f4")
        table[:-1, : kernels.SHIFT] = np.column_stack([
            net["x_m"], net["y_m"], net["height_m"] - kernels.HANDSET_M,
            (plan["power_dbm"] + plan["gain_dbi"])[:, None] - loss_db,
            np.where(omni, 0, [np.sin(azimuth), np.cos(azimuth)]).T,
            np.radians(plan["downtilt_deg"]), np.where(omni, 0, width_h), width_v])
        table[-1, [kernels.NEAR, kernels.FAR, kernels.NLOS]] = -500.0
        name = np.array([streams.bits(seed, SITE_PURPOSE, site, 0) & 0x3FFFF for site in range(self.sites)], "i8")
        # Where in the field a site stands: x in the low, y in the high 16 bits.
        shift, words = name & 511 | name >> 9 << 16, table.view("i4")
        words[:-1, kernels.SHIFT], words[:, kernels.SITE] = shift[net["site"]], [*net["site"], self.sites]
        return table.ravel()

    def measure(self, x_m, y_m, time_ms, carrier, indoor_db, cell, level_dbm) -> None:
        """Write what n points hear: the 8 loudest cells, falling, ties by cell number.

        x_m, y_m f4[n]; time_ms i8[n]; carrier u1[n] below `carriers`; indoor_db f4[n];
        out: cell u4[n, 8], NO_CELL (0xFFFFFFFF) where fewer; level_dbm f4[n, 8], true RSRP
        before measurement noise, -200 beside NO_CELL.  Below -125 dBm nothing is heard.
        """
        if not (count := len(x_m)):
            return
        spot, haze = np.empty((2, count), "i4"), np.empty((2, count), "f4")
        key = np.empty((-(-count // kernels.BLOCK), kernels.CANDIDATES, kernels.BLOCK), "i4")
        words, since_ms, until_ms = self._cells.view("i4"), self.outage_from_ms, self.outage_until_ms
        kernels.place(x_m, y_m, carrier, indoor_db, self._grid, self._spread, self._field, spot, haze)
        kernels.weigh(x_m, y_m, spot, haze, self._candidate, self._cells, words, self._slope, self._threshold,
                      self._spread, self._field, key)
        if np.any((since_ms <= time_ms.max()) & (until_ms > time_ms.min())):  # mostly no site is out
            kernels.silence(time_ms, spot, self._candidate, words, since_ms, until_ms, key)
        kernels.choose(spot, self._candidate, key, cell.view("i4").reshape(-1), level_dbm.reshape(-1))


def wall_loss_db(ghz: np.ndarray) -> np.ndarray:
    """Return f8[2, n]: loss through the wall of a building with low and with high loss.

    Source: TR 38.901 table 7.4.3-2 (materials: table 7.4.3-1).
    """
    glass, coated, concrete = (10 ** (-loss_db / 10) for loss_db in (2 + 0.2 * ghz, 23 + 0.3 * ghz, 5 + 4 * ghz))
    return 5 - 10 * np.log10(np.stack([0.3 * glass + 0.7 * concrete, 0.7 * coated + 0.3 * concrete]))
