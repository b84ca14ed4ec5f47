"""A made-up network for the locators' tests: hexagonal sites, square areas, and who is heard where.

Knows nothing of the kernels: levels, shadowing and timing are drawn here, in numpy.
"""

import numpy as np

from probe.base.plane import BIN_M, LocalFrame, bin_terms, to_laea
from probe.wire.areas import ELSEWHERE, AreaSet
from probe.wire.cells import Plan
from probe.wire.observations import NO_PCI, NO_RSRP, NO_TA, OBSERVATION

FRAME = LocalFrame(51.34, 12.37)
SECTORS_DEG = (30.0, 150.0, 270.0)


def squares(side=6, size_m=1_000, residents=None):
    """Return side x side square areas about the middle of FRAME."""
    east, north = to_laea(FRAME.latitude, FRAME.longitude)
    step, half = int(size_m / BIN_M), int(side * size_m / BIN_M / 2)
    row, column = np.indices((2 * half, 2 * half)) // step
    count = side * side
    bins = np.pad(row * side + column, 1, constant_values=count)  # the border is elsewhere
    name = [f"a{k}" for k in range(count)]
    people = np.full(count, 5_000.0) if residents is None else np.asarray(residents, "f8")
    first = (int(east // BIN_M) - half - 1, int(north // BIN_M) - half - 1)
    return AreaSet(
        FRAME,
        [*name, ELSEWHERE],
        [*name, ELSEWHERE],
        np.append(people, np.nan),
        bins.astype("u2"),
        first,
        bin_terms(FRAME, 20_000.0),
        b"areas---",
    )


def hexagon_sites(rings, spacing_m):
    axis = range(-rings, rings + 1)
    return np.array(
        [(spacing_m * (i + j / 2), spacing_m * j * 3**0.5 / 2) for i in axis for j in axis if abs(i + j) <= rings]
    )


def hexagons(rings=4, spacing_m=500.0, carriers_mhz=(800, 1_800)):
    """Return a plan of three sectors a site on each carrier; PCIs repeat after 504 cells of a carrier."""
    site, carrier, sector = (
        a.ravel()
        for a in np.meshgrid(
            np.arange(len(hexagon_sites(rings, spacing_m))),
            np.arange(len(carriers_mhz)),
            np.arange(3),
            indexing="ij",
        )
    )
    xy = hexagon_sites(rings, spacing_m)[site]
    latitude, longitude = FRAME.to_degrees(xy[:, 0], xy[:, 1])
    n = len(site)
    mhz = np.array(carriers_mhz, "f8")[carrier]
    columns = {
        "cell_id": [f"c{k}" for k in range(n)],
        "site_id": [f"s{k:05}" for k in site],
        "mcc": np.full(n, 262),
        "mnc": ["03"] * n,
        "tac": np.full(n, 1),
        "radio": ["LTE"] * n,
        "pci": (site * 3 + sector) % 504,
        "arfcn": np.array([6_300, 1_300, 3_000])[carrier],
        "frequency_mhz": mhz,
        "latitude": latitude,
        "longitude": longitude,
        "height_m": np.full(n, 25.0),
        "azimuth_deg": np.array(SECTORS_DEG)[sector],
        "downtilt_deg": np.full(n, 6.0),
        "beamwidth_h_deg": np.full(n, 65.0),
        "beamwidth_v_deg": np.full(n, 10.0),
        "gain_dbi": np.full(n, 17.0),
        "power_dbm": np.full(n, 15.2),
        "valid_from": [""] * n,
        "valid_to": [""] * n,
    }
    return Plan(columns)


class Radio:
    """Levels by place: a slope, a pattern, a map of shadowing by site, a little by cell."""

    def __init__(self, plan, seed, site_db=6.0, cell_db=3.0):
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.plan, self.site_db, self.cell_db = plan, site_db, cell_db
        self.x, self.y = FRAME.to_xy(plan["latitude"], plan["longitude"])
        self.site = np.unique(np.array(plan["site_id"]), return_inverse=True)[1]
        self.carrier = np.unique(plan["arfcn"], return_inverse=True)[1]

    def levels(self, x, y):
        """Return f8[points, cells] dBm; each point is a place of its own."""
        dx, dy = x[:, None] - self.x, y[:, None] - self.y
        range_m = np.sqrt(dx**2 + dy**2 + 23.5**2)
        off = (np.degrees(np.arctan2(dx, dy)) - self.plan["azimuth_deg"] + 540) % 360 - 180
        loss = 13.54 + 39.08 * np.log10(range_m) + 20 * np.log10(self.plan["frequency_mhz"] / 1_000)
        median = self.plan["power_dbm"] + self.plan["gain_dbi"] - loss - np.minimum(12 * (off / 65) ** 2, 30)
        shadow = self.rng.normal(0, self.site_db, (len(x), self.site.max() + 1))[:, self.site]
        return median + shadow + self.rng.normal(0, self.cell_db, median.shape), range_m

    def observe(self, x, y, timing=True, levels=0):
        """Return OBSERVATION[n] of handsets at x, y: the loudest cell of a carrier, TA, levels of others."""
        n = len(x)
        level, range_m = self.levels(x, y)
        carrier = self.rng.integers(0, self.carrier.max() + 1, n)
        level = np.where(self.carrier == carrier[:, None], level, -999.0)
        order = np.argsort(-level, axis=1, kind="stable")[:, :8]
        seen = np.zeros(n, OBSERVATION)
        seen["cell"] = order[:, 0]
        seen["ta"], seen["rsrp"], seen["neighbour_pci"] = NO_TA, NO_RSRP, NO_PCI
        if timing:
            late_m = self.rng.normal(0, 30, n) + self.rng.exponential(20, n)
            far = np.take_along_axis(range_m, order[:, :1], 1)[:, 0]
            seen["ta"] = np.clip(np.floor((far + late_m) / 78.07 + 0.5), 0, 1282)
        heard = np.take_along_axis(level, order, 1) + self.rng.normal(0, 2, (n, 1)) - self.rng.exponential(8, (n, 1))
        code = np.clip(np.floor(heard + 141), 0, 97).astype("u1")
        for k in range(levels):
            seen["rsrp"][:, k] = code[:, k]
            if k:
                seen["neighbour_pci"][:, k - 1] = self.plan["pci"][order[:, k]]
        return seen
