"""Slow, obvious answers about places.  Imports numpy only; never imports a kernel."""

from fractions import Fraction
from math import erf, sqrt

import numpy as np

NORMAL = np.vectorize(lambda x: 0.5 * (1 + erf(x / sqrt(2))))


def largest_remainder(mass, area, units=64, most=6):
    """Return {area: units} of the `most` heaviest, exactly: ties go to the lower area."""
    heavy = sorted(zip(mass, area, strict=True), key=lambda pair: (-pair[0], pair[1]))[:most]
    total = sum(Fraction(m) for m, _ in heavy)
    if not total:
        return {}
    share = {a: units * Fraction(m) / total for m, a in heavy}
    given = {a: int(s) for a, s in share.items()}
    rest = sorted(share, key=lambda a: (-(share[a] - given[a]), a))[: units - sum(given.values())]
    return {a: n + (a in rest) for a, n in given.items() if n + (a in rest)}


def level_dbm(plan, cell_x, cell_y, x, y):
    """Return f8[points, cells]: TR 38.901 UMa NLOS and horizontal pattern, typed from the tables."""
    dx, dy = x[:, None] - cell_x, y[:, None] - cell_y
    range_m = np.sqrt(dx**2 + dy**2 + (plan["height_m"] - 1.5) ** 2)
    off = (np.degrees(np.arctan2(dx, dy)) - plan["azimuth_deg"] + 540) % 360 - 180
    pattern = np.minimum(12 * (off / plan["beamwidth_h_deg"]) ** 2, 30)
    loss = 13.54 + 39.08 * np.log10(range_m) + 20 * np.log10(plan["frequency_mhz"] / 1_000)
    return plan["power_dbm"] + plan["gain_dbi"] - loss - pattern, range_m


def chance_to_serve(level, site, carrier, cell, shadow_db=8.0, sector_db=2.0):
    """Return f8[points]: sites compete by normal odds of their loudest cell, then cells within."""
    on = carrier == carrier[cell]
    loudest = {s: level[:, on & (site == s)].max(axis=1) for s in set(site[on].tolist())}
    top = np.max(list(loudest.values()), axis=0)

    def odds(s):
        lost = NORMAL((loudest[s] - top) / (shadow_db * sqrt(2)))
        return lost / (1 - lost)

    mine = on & (site == site[cell])
    within = np.exp((level[:, mine] - loudest[site[cell]][:, None]) / sector_db).sum(axis=1)
    sector = np.exp((level[:, cell] - loudest[site[cell]]) / sector_db) / within
    return sector * odds(site[cell]) / sum(odds(s) for s in loudest)


def timing_chance(ta, range_m, step_m=78.07, deviation_m=35.0, excess_m=15.0):
    """Return P(TA = ta | slant range): range plus detour plus normal noise, rounded, never below 0."""
    upper = NORMAL(((ta + 0.5) * step_m - range_m - excess_m) / deviation_m)
    return upper - (NORMAL(((ta - 0.5) * step_m - range_m - excess_m) / deviation_m) if ta else 0)


def geometric_median(x, y, w, rounds=200):
    """Return the point with the least weighted mean distance."""
    px, py = np.average(x, weights=w), np.average(y, weights=w)
    for _ in range(rounds):
        pull = w / (np.hypot(x - px, y - py) + 1e-3)
        px, py = (pull * x).sum() / pull.sum(), (pull * y).sum() / pull.sum()
    return px, py


def level_misfit(miss_db, site, site_db2=64.0, cell_db2=16.0, offset_db=-8.0, offset_db2=64.0):
    """Return the generalised least squares sum by a full covariance: cell, site and handset."""
    covariance = cell_db2 * np.eye(len(site)) + site_db2 * (site[:, None] == site[None, :]) + offset_db2
    return (miss_db - offset_db) @ np.linalg.inv(covariance) @ (miss_db - offset_db)
