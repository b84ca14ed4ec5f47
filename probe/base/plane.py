"""Geometry: a local metric frame for radio, and the 100 m grid of ETRS89-LAEA for bins.

LAEA keeps areas, not distances (1 percent off in Spain), so distances are taken in a
transverse Mercator frame about the region's middle, which is true to 1e-5 within
30 km.  Both are closed form over the GRS80 ellipsoid.
Source: J. P. Snyder, Map Projections - A Working Manual, USGS PP 1395 (1987),
equations 8-9 to 8-15 (transverse Mercator) and 24-17 to 24-26 (LAEA).
"""

from typing import NamedTuple

import numpy as np

AXIS_M, FLATTENING, BIN_M = 6_378_137.0, 1 / 298.257222101, 100.0
E2 = FLATTENING * (2 - FLATTENING)
EP2, E1 = E2 / (1 - E2), (1 - np.sqrt(1 - E2)) / (1 + np.sqrt(1 - E2))
M0, M2, M4, M6 = (AXIS_M * part for part in (  # by the multiple of the latitude, 0, 2, 4, 6 (Snyder 3-21)
    1 - E2 / 4 - 3 * E2**2 / 64 - 5 * E2**3 / 256, 3 * E2 / 8 + 3 * E2**2 / 32 + 45 * E2**3 / 1024,
    15 * E2**2 / 256 + 45 * E2**3 / 1024, 35 * E2**3 / 3072))


class LocalFrame(NamedTuple("LocalFrame", [("latitude", float), ("longitude", float)])):
    """Metres east (x) and north (y) of a middle point."""

    def to_xy(self, latitude, longitude):
        """Return (x_m, y_m) f8 arrays for WGS 84 degrees (Snyder 8-9, 8-10)."""
        phi = np.radians(latitude)
        n, t, c = AXIS_M / np.sqrt(1 - E2 * np.sin(phi) ** 2), np.tan(phi) ** 2, EP2 * np.cos(phi) ** 2
        a = np.radians(np.asarray(longitude) - self.longitude) * np.cos(phi)
        x = n * (a + (1 - t + c) * a**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * EP2) * a**5 / 120)
        y = _meridian_m(phi) - _meridian_m(np.radians(self.latitude))
        return x, y + n * np.tan(phi) * (a**2 / 2 + (5 - t + 9 * c + 4 * c**2) * a**4 / 24)

    def to_degrees(self, x_m, y_m):
        """Return (latitude, longitude) of local metres (Snyder 8-12 to 8-18)."""
        mu = (_meridian_m(np.radians(self.latitude)) + np.asarray(y_m, "f8")) / M0
        phi = mu + (3 * E1 / 2 - 27 * E1**3 / 32) * np.sin(2 * mu) + (21 * E1**2 / 16) * np.sin(4 * mu)
        phi = phi + (151 * E1**3 / 96) * np.sin(6 * mu)
        bend = 1 - E2 * np.sin(phi) ** 2
        n, r = AXIS_M / np.sqrt(bend), AXIS_M * (1 - E2) / bend**1.5
        t, c, d = np.tan(phi) ** 2, EP2 * np.cos(phi) ** 2, np.asarray(x_m, "f8") / n
        latitude = phi - n * np.tan(phi) / r * (d**2 / 2 - (5 + 3 * t + 10 * c - 4 * c**2 - 9 * EP2) * d**4 / 24)
        longitude = (d - (1 + 2 * t + c) * d**3 / 6 + (5 - 2 * c + 28 * t) * d**5 / 120) / np.cos(phi)
        return np.degrees(latitude), self.longitude + np.degrees(longitude)


def _meridian_m(phi):
    """Return the length of the meridian from the equator (Snyder 3-21)."""
    return M0 * phi - M2 * np.sin(2 * phi) + M4 * np.sin(4 * phi) - M6 * np.sin(6 * phi)


def _q(phi):
    e, s = np.sqrt(E2), np.sin(phi)
    return (1 - E2) * (s / (1 - E2 * s**2) - np.log((1 - e * s) / (1 + e * s)) / (2 * e))


def to_laea(latitude, longitude):
    """Return (east_m, north_m) in EPSG:3035 for WGS 84 degrees (Snyder 24-17 to 24-19)."""
    phi0, qp, lam = np.radians(52.0), _q(np.pi / 2), np.radians(np.asarray(longitude) - 10.0)
    rq, beta0, beta = AXIS_M * np.sqrt(qp / 2), np.arcsin(_q(phi0) / qp), np.arcsin(_q(np.radians(latitude)) / qp)
    d = AXIS_M * np.cos(phi0) / np.sqrt(1 - E2 * np.sin(phi0) ** 2) / (rq * np.cos(beta0))
    b = rq * np.sqrt(2 / (1 + np.sin(beta0) * np.sin(beta) + np.cos(beta0) * np.cos(beta) * np.cos(lam)))
    east = 4_321_000 + b * d * np.cos(beta) * np.sin(lam)
    return east, 3_210_000 + b / d * (np.cos(beta0) * np.sin(beta) - np.sin(beta0) * np.cos(beta) * np.cos(lam))


def bin_terms(frame: LocalFrame, reach_m: float) -> np.ndarray:
    """Return f8[2, 6]: (column, row) of the 100 m grid as quadratics in local metres.

    column = t0 + t1 x + t2 y + t3 x^2 + t4 x y + t5 y^2, likewise the row: what a kernel
    evaluates per point.  Fitted within reach_m; the residual is below 0.5 m to 30 km.
    """
    x, y = (a.ravel() for a in np.meshgrid(*2 * [np.linspace(-reach_m, reach_m, 21)]))
    scale = np.array([1, reach_m, reach_m, reach_m**2, reach_m**2, reach_m**2])
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1) / scale
    solution, *_ = np.linalg.lstsq(design, np.stack(to_laea(*frame.to_degrees(x, y)), axis=1) / BIN_M, rcond=None)
    return (solution / scale[:, None]).T.copy()
