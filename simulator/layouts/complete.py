"""Fill in what a layout does not say, field by field, each by a stated rule."""

from collections import defaultdict, namedtuple
from itertools import count
from typing import Any

import numpy as np

from probe.base.config import ConfigError
from probe.base.plane import LocalFrame
from probe.wire import cells
from simulator.layouts.layout import Layout

IMPUTED = cells.ORIGINS.index("imputed")
NEAR_M, EARTH_M, HANDSET_M = 200_000.0, 6_371_000.0, 1.5  # farther from the areas a cell is a mistake
SWAPPED = "latitude and longitude are swapped: only the other way round the cells are near the areas"
# Of a tracking area (grouping halves, so 31 to 60); the nearest cells of a carrier that never share a PCI.
SITES_PER_AREA, PCI_COUNT, PCI_APART = 60, 504, 250
BANDS = (  # radio, from and to MHz, arfcn at the middle of the band (TS 36.101 table 5.7.3-1, TS 38.104)
    ("LTE", 700, 790, 9_435), ("LTE", 790, 860, 6_300), ("LTE", 860, 1_000, 3_625),  # 28, 20, 8
    ("LTE", 1_427, 1_518, 10_140), ("LTE", 1_700, 1_900, 1_575),  # 32, downlink only; 3
    ("LTE", 1_900, 2_200, 300), ("LTE", 2_500, 2_700, 3_100),  # 1, 7
    ("GSM", 800, 1_000, 62), ("GSM", 1_700, 1_900, 698),
    ("NR", 700, 790, 156_100), ("NR", 1_900, 2_200, 428_000), ("NR", 3_300, 3_800, 640_000))  # n28, n1, n78


# What was made of a layout: cells and sites int, dropped ((row, reason), ...), imputed {column: (count, rule)},
# unasked (column, ...).
Report = namedtuple("Report", "cells sites dropped imputed unasked")


def complete(layout: Layout, frame: LocalFrame, where: str = "[layout]") -> tuple[cells.Plan, Report]:
    """Return the plan of a layout about the middle of the areas, and what was imputed.

    Raises ConfigError with every problem: no cells, lengths that differ, values out of range,
    positions far from the areas (and whether swapping latitude and longitude would help).
    """
    if not isinstance(layout, Layout):
        raise ConfigError(where, [f"build() returns a {type(layout).__name__}, not a simulator.layouts.layout.Layout"])
    given, lengths = dict(layout.columns), {name: len(column) for name, column in layout.columns.items()}
    degrees = {"latitude", "longitude"} <= given.keys()
    if not (degrees or {"x_m", "y_m"} <= given.keys()):
        raise ConfigError(where, ["a layout gives x_m and y_m, or latitude and longitude"])
    if len(set(lengths.values())) > 1 or not len(layout):
        wrong = f"columns differ in length: {lengths}" if len(layout) else "no cells; a layout needs at least one"
        raise ConfigError(where, [wrong])
    if not degrees:
        given["latitude"], given["longitude"] = frame.to_degrees(given["x_m"], given["y_m"])
    latitude, longitude = place = given["latitude"], given["longitude"]
    far, rule = far_from(frame, *place), f"more than {NEAR_M / 1000:.0f} km from the middle of the areas"
    faults = [(int(c) + 2, f"{latitude[c]:.5f}, {longitude[c]:.5f}: {rule}") for c in np.flatnonzero(far)]  # plan rows
    if faults:
        swapped = far.all() and not far_from(frame, longitude, latitude).any()
        raise ConfigError(where, [SWAPPED] if swapped else cells.named(faults))
    columns: dict[str, Any] = cells.whole(given)
    columns["x_m"], columns["y_m"] = frame.to_xy(*place)
    origin, imputed = {name: codes.copy() for name, codes in layout.origin.items()}, {}
    for name, rule, make in RULES:
        empty = cells.absent(name, columns[name])
        if empty.any() and (name != "azimuth_deg" or name not in given):  # where it is given, NaN says something
            made = make(columns) if callable(make) else by_kind(columns, *make) if isinstance(make, tuple) else make
            columns[name] = cells.column_of(name, np.where(empty, made, np.asarray(columns[name], object)).tolist())
            origin.setdefault(name, np.zeros(len(layout), "u1"))[empty] = IMPUTED
            imputed[name] = (int(empty.sum()), rule)
    # The checks of the file are the checks of the plan.
    plan = cells.from_csv(cells.to_csv(cells.Plan(columns, origin)), where)
    return plan, Report(len(plan), len(set(plan["site_id"])), layout.dropped, imputed, layout.unasked)


def far_from(frame: LocalFrame, latitude, longitude) -> np.ndarray:
    """Return bool[n]: more than NEAR_M from the middle of the frame (on a sphere, that is enough here)."""
    a, b, turn = np.radians(latitude), np.radians(frame.latitude), np.radians(longitude - frame.longitude)
    return np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn) < np.cos(NEAR_M / EARTH_M)


def by_kind(c: dict, omni, sector) -> np.ndarray:
    """Return what omnidirectional cells get, and what the others do."""
    return np.where(np.isnan(c["azimuth_deg"]), omni, sector)


def masts(c: dict) -> list[str]:
    spots = np.rint(np.stack([c["x_m"], c["y_m"]], axis=1))
    return [f"S{row + 1:05d}" for row in np.unique(spots, axis=0, return_inverse=True)[1].ravel()]


def cell_ids(c: dict) -> list[str]:
    number: defaultdict[str, count] = defaultdict(lambda: count(1))
    return [f"{site}-{next(number[site])}" for site in c["site_id"]]


def arfcns(c: dict) -> np.ndarray:
    """Return that of the band; of a band that is not listed the frequency names the carrier."""
    radio, mhz = np.array(c["radio"]), c["frequency_mhz"]
    within = [(radio == name) & (mhz >= low) & (mhz < high) for name, low, high, _ in BANDS]
    return np.select(within, [band[-1] for band in BANDS], np.rint(mhz))


def powers(c: dict) -> np.ndarray:
    wide = c["frequency_mhz"] >= 1_000
    return np.round(by_kind(c, 37.0, np.where(wide, 49.0, 46.0)) - 10 * np.log10(np.where(wide, 1_200, 600)), 1)


def sites(c: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return (site of each cell, f8[sites, 2] middle of its cells)."""
    site = np.unique(c["site_id"], return_inverse=True)[1]
    return site, np.stack([np.bincount(site, c[axis]) / np.bincount(site) for axis in ("x_m", "y_m")], axis=1)


def tilts(c: dict) -> np.ndarray:
    """Return degrees; the next site is taken to be 200 m to 3 km away."""
    site, places = sites(c)
    squares = (np.sum((places - place) ** 2, axis=1) for place in places)
    near_m = np.clip(np.sqrt([square[square > 1.0].min(initial=9e6) for square in squares]), 200, 3_000)[site]
    tilt_deg = np.degrees(np.arctan2(c["height_m"] - HANDSET_M, near_m * 2 / 3))
    return by_kind(c, 0.0, np.round(np.clip(tilt_deg, 2, 12), 1))


def tracking_areas(c: dict) -> np.ndarray:
    site, places = sites(c)
    groups = halved(places, np.arange(len(places)))
    number = np.repeat(np.arange(len(groups)) + 1, [len(rows) for rows in groups])
    return number[np.argsort(np.concatenate(groups))][site]


def halved(places: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return rows in groups: halved at the middle of their longer side until a group is small enough."""
    if len(rows) <= SITES_PER_AREA:
        return [rows]
    rows = rows[np.argsort(places[rows, np.argmax(np.ptp(places[rows], axis=0))], kind="stable")]
    return halved(places, rows[: len(rows) // 2]) + halved(places, rows[len(rows) // 2 :])


def pcis(c: dict) -> np.ndarray:
    """Return i8[n] below PCI_COUNT: none twice among the PCI_APART nearest of its carrier that were numbered before."""
    x_m, y_m, number = c["x_m"], c["y_m"], np.zeros(len(c["x_m"]), "i8")
    carrier = c["arfcn"] * 4 + np.unique(c["radio"], return_inverse=True)[1]
    for cell in range(len(number)):
        before = near = np.flatnonzero(carrier[:cell] == carrier[cell])
        if len(before) > PCI_APART:
            square = (x_m[before] - x_m[cell]) ** 2 + (y_m[before] - y_m[cell]) ** 2
            near = before[np.argpartition(square, PCI_APART)[:PCI_APART]]
        used = np.bincount(number[near], minlength=PCI_COUNT) > 0
        number[cell] = (np.argmin(np.roll(used, -len(before))) + len(before)) % PCI_COUNT
    return number


# Column, rule in words, and what it gives: one value, (omnidirectional, sector), or a function of the columns
# so far; in an order in which each rule finds what it needs.
RULES: tuple[tuple[str, str, Any], ...] = (
    ("site_id", "cells within 1 m stand on one mast", masts), ("cell_id", "site and a running number", cell_ids),
    ("radio", "LTE", "LTE"), ("frequency_mhz", "1800 MHz", 1_800.0),
    ("arfcn", "middle of the band (TS 36.101 table 5.7.3-1, TS 38.104)", arfcns),
    ("mcc", "262", 262), ("mnc", "03", "03"), ("azimuth_deg", "omnidirectional", np.nan),
    ("height_m", "25 m (TR 38.901 table 7.2-1, UMa); 8 m if omnidirectional (mobloc)", (8.0, 25.0)),
    ("beamwidth_h_deg", "65 degrees (TR 38.901 table 7.3-1)", (360.0, 65.0)),
    ("beamwidth_v_deg", "10 degrees (TR 36.814 table A.2.1.1-2); 65 if omnidirectional", (65.0, 10.0)),
    ("gain_dbi", "14 dBi; 5 dBi if omnidirectional (TR 36.814 table A.2.1.1-2)", (5.0, 14.0)),
    ("power_dbm", "46 dBm over 10 MHz, above 1 GHz 49 over 20 (TR 36.814); 5 W if omnidirectional (mobloc); "
                  "per resource element", powers),
    ("downtilt_deg", "the main beam meets the ground at 2/3 of the way to the next site, 2 to 12 degrees; "
                     "0 if omnidirectional", tilts),
    ("tac", "neighbouring sites in groups of at most 60", tracking_areas),
    ("pci", "never the same among the 250 nearest cells of a carrier", pcis))
