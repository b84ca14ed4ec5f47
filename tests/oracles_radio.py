"""Slow, obvious answers about radio.  Imports numpy only; never imports a kernel.

Typed from 3GPP TR 38.901 V17.0.0; f in GHz, distances and heights in m, handset at 1.5 m.
"""

import numpy as np


def slant_m(along_m, height_m):
    """d3D of a handset at 1.5 m."""
    return np.hypot(along_m, height_m - 1.5)


def uma_los_db(along_m, ghz, height_m=25.0):
    """Table 7.4.1-1, UMa LOS, PL1 up to the break point and PL2 beyond."""
    break_m = 4 * (height_m - 1.0) * 0.5 * ghz * 1e9 / 3.0e8
    lg = np.log10(slant_m(along_m, height_m))
    if along_m <= break_m:
        return 28.0 + 22 * lg + 20 * np.log10(ghz)
    return 28.0 + 40 * lg + 20 * np.log10(ghz) - 9 * np.log10(break_m**2 + (height_m - 1.5) ** 2)


def uma_nlos_db(along_m, ghz, height_m=25.0):
    """Table 7.4.1-1, UMa NLOS: never less than LOS."""
    own = 13.54 + 39.08 * np.log10(slant_m(along_m, height_m)) + 20 * np.log10(ghz)
    return max(uma_los_db(along_m, ghz, height_m), own)


def uma_sight(along_m):
    """Table 7.4.2-1, UMa, handset below 13 m."""
    if along_m <= 18:
        return 1.0
    return 18 / along_m + np.exp(-along_m / 63) * (1 - 18 / along_m)


def wall_db(ghz):
    """Table 7.4.3-2: low-loss and high-loss building."""
    glass, irr, concrete = 2 + 0.2 * ghz, 23 + 0.3 * ghz, 5 + 4 * ghz
    low = 5 - 10 * np.log10(0.3 * 10 ** (-glass / 10) + 0.7 * 10 ** (-concrete / 10))
    return low, 5 - 10 * np.log10(0.7 * 10 ** (-irr / 10) + 0.3 * 10 ** (-concrete / 10))


def antenna_db(bearing_deg, below_deg, azimuth_deg, tilt_deg, width_h_deg, width_v_deg):
    """Loss off the main beam, TR 36.814 table A.2.1.1-2; azimuth NaN = none in the horizontal."""
    turned = 0.0 if np.isnan(azimuth_deg) else (bearing_deg - azimuth_deg + 180) % 360 - 180
    horizontal = min(12 * (turned / width_h_deg) ** 2, 30)
    vertical = min(12 * ((below_deg - tilt_deg) / width_v_deg) ** 2, 20)
    return min(horizontal + vertical, 30)


def level_dbm(cell, x_m, y_m, sight, shadow_db):
    """Level of one cell (a dict of plan columns and x_m, y_m) at a place, shadow given."""
    east, north = x_m - cell["x_m"], y_m - cell["y_m"]
    along = max(np.hypot(east, north), 10.0)
    below = np.degrees(np.arcsin((cell["height_m"] - 1.5) / slant_m(along, cell["height_m"])))
    bearing = np.degrees(np.arctan2(east, north))
    lost = antenna_db(
        bearing,
        below,
        cell["azimuth_deg"],
        cell["downtilt_deg"],
        cell["beamwidth_h_deg"],
        cell["beamwidth_v_deg"],
    )
    loss = (uma_los_db if sight else uma_nlos_db)(along, cell["frequency_mhz"] / 1000, cell["height_m"])
    return cell["power_dbm"] + cell["gain_dbi"] - lost - loss + shadow_db
