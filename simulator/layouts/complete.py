"""Fill in what a layout does not say, field by field, each by a stated rule."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probe.base.config import ConfigError
from probe.base.plane import LocalFrame
from probe.wire import cells
from probe.wire.cells import Plan
from simulator.layouts.layout import Layout

IMPUTED = cells.ORIGINS.index("imputed")
NEAR_M = 200_000.0  # farther from the areas a cell is a mistake
HANDSET_M = 1.5
SITES_PER_AREA = 60  # of a tracking area; grouping halves, so 31 to 60
PCI_COUNT = 504
PCI_APART = 250  # the nearest cells of a carrier that never share a PCI
BANDS = (  # radio, from and to MHz, arfcn at the middle of the band (TS 36.101 table 5.7.3-1, TS 38.104)
    ("LTE", 700, 790, 9_435),  # 28
    ("LTE", 790, 860, 6_300),  # 20
    ("LTE", 860, 1_000, 3_625),  # 8
    ("LTE", 1_427, 1_518, 10_140),  # 32, downlink only
    ("LTE", 1_700, 1_900, 1_575),  # 3
    ("LTE", 1_900, 2_200, 300),  # 1
    ("LTE", 2_500, 2_700, 3_100),  # 7
    ("GSM", 800, 1_000, 62),
    ("GSM", 1_700, 1_900, 698),
    ("NR", 700, 790, 156_100),  # n28
    ("NR", 1_900, 2_200, 428_000),  # n1
    ("NR", 3_300, 3_800, 640_000),  # n78
)


@dataclass(frozen=True)
class Report:
    """What was made of a layout: cells, sites, counts and rules of what was imputed, what was left out."""

    cells: int
    sites: int
    imputed: dict[str, tuple[int, str]]
    dropped: tuple[tuple[int, str], ...]
    unasked: tuple[str, ...]


def complete(layout: Layout, frame: LocalFrame, where: str = "[layout]") -> tuple[Plan, Report]:
    """Return the plan of a layout about the middle of the areas, and what was imputed.

    Raises ConfigError with every problem: no cells, lengths that differ, values out of range,
    positions far from the areas (and whether swapping latitude and longitude would help).
    """
    columns = dict(layout.columns)
    lengths = {name: len(column) for name, column in columns.items()}
    if not ({"x_m", "y_m"} <= set(columns) or {"latitude", "longitude"} <= set(columns)):
        raise ConfigError(where, ["a layout gives x_m and y_m, or latitude and longitude"])
    if len(set(lengths.values())) > 1:
        raise ConfigError(where, [f"columns differ in length: {lengths}"])
    if not len(layout):
        raise ConfigError(where, ["no cells; a layout needs at least one"])
    if "latitude" not in columns:
        columns["latitude"], columns["longitude"] = frame.to_degrees(columns.pop("x_m"), columns.pop("y_m"))
    problems = place_problems(columns["latitude"], columns["longitude"], frame)
    if problems:
        raise ConfigError(where, problems)
    filling = Filling(columns, layout.origin, frame)
    filling.fill()
    plan = Plan({name: filling.columns[name] for name in cells.COLUMNS}, filling.origin)
    plan = cells.from_csv(cells.to_csv(plan), where)  # the checks of the file are the checks of the plan
    return plan, Report(len(plan), len(set(plan["site_id"])), filling.rules, layout.dropped, layout.unasked)


def place_problems(latitude, longitude, frame: LocalFrame) -> list[str]:
    """Return which cells are far from the areas, by row of the plan file."""
    far = far_from(frame, latitude, longitude)
    if far.all() and not far_from(frame, longitude, latitude).any():
        return ["latitude and longitude are swapped: only the other way round the cells are near the areas"]
    rule = f"more than {NEAR_M / 1000:.0f} km from the middle of the areas"
    return cells.named([(int(c) + 2, f"{latitude[c]:.5f}, {longitude[c]:.5f}: {rule}") for c in np.flatnonzero(far)])


def far_from(frame: LocalFrame, latitude, longitude) -> np.ndarray:
    """Return bool[n]: more than NEAR_M from the middle of the frame (on a sphere, that is enough here)."""
    a, b = np.radians(latitude), np.radians(frame.latitude)
    turn = np.radians(longitude - frame.longitude)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn)
    return np.arccos(np.clip(cosine, -1, 1)) * 6_371_000 > NEAR_M


class Filling:
    """Columns on their way to a plan.  `put` fills the absent rows of one and notes the rule."""

    def __init__(self, columns: dict, origin: dict, frame: LocalFrame):
        self.columns = columns
        self.origin = {name: codes.copy() for name, codes in origin.items()}
        self.rules: dict[str, tuple[int, str]] = {}
        self.count = len(columns["latitude"])
        self.x_m, self.y_m = frame.to_xy(columns["latitude"], columns["longitude"])

    def fill(self) -> None:
        """Fill every column, in an order in which each rule finds what it needs."""
        put, given = self.put, self.columns
        put("site_id", "cells within 1 m stand on one mast", self.masts)
        put("cell_id", "site and a running number", self.cell_ids)
        put("radio", "LTE", lambda: "LTE")
        put("frequency_mhz", "1800 MHz", lambda: 1_800.0)
        put("arfcn", "middle of the band (TS 36.101 table 5.7.3-1, TS 38.104)", self.arfcns)
        put("mcc", "262", lambda: 262)
        put("mnc", "03", lambda: "03")
        if "azimuth_deg" not in given:  # the one column whose NaN says something
            put("azimuth_deg", "omnidirectional", lambda: np.nan)
        omni = np.isnan(given["azimuth_deg"])
        for name, sector, around, rule in (
            ("height_m", 25.0, 8.0, "25 m (TR 38.901 table 7.2-1, UMa); 8 m if omnidirectional (mobloc)"),
            ("beamwidth_h_deg", 65.0, 360.0, "65 degrees (TR 38.901 table 7.3-1)"),
            ("beamwidth_v_deg", 10.0, 65.0, "10 degrees (TR 36.814 table A.2.1.1-2); 65 if omnidirectional"),
            ("gain_dbi", 14.0, 5.0, "14 dBi; 5 dBi if omnidirectional (TR 36.814 table A.2.1.1-2)"),
        ):
            put(name, rule, lambda here=(sector, around): np.where(omni, here[1], here[0]))
        rule = "46 dBm over 10 MHz, above 1 GHz 49 over 20 (TR 36.814); 5 W if omnidirectional (mobloc)"
        put("power_dbm", f"{rule}; per resource element", lambda: self.powers(omni))
        self.site = np.unique(given["site_id"], return_inverse=True)[1]
        self.place = np.stack([np.bincount(self.site, v) / np.bincount(self.site) for v in (self.x_m, self.y_m)], 1)
        rule = "the main beam meets the ground at 2/3 of the way to the next site, 2 to 12 degrees"
        put("downtilt_deg", f"{rule}; 0 if omnidirectional", lambda: np.where(omni, 0.0, self.tilts()))
        put("tac", "neighbouring sites in groups of at most 60", self.tracking_areas)
        put("pci", "never the same among the 250 nearest cells of a carrier", self.pcis)
        for name in ("valid_from", "valid_to"):
            given.setdefault(name, [""] * self.count)

    def put(self, name: str, rule: str, make: Callable) -> None:
        """Fill the absent rows of a column by make(): one value for all, or one a cell."""
        kind = cells.FIELDS[name][0]
        have = self.columns.get(name, cells.column_of(name, [cells.ABSENT[kind]] * self.count))
        empty = cells.absent(name, have)
        if empty.any():
            made = np.broadcast_to(np.asarray(make(), object), self.count)
            both = np.where(empty, made, np.asarray(have, object))
            self.columns[name] = cells.column_of(name, both.tolist())
            self.origin.setdefault(name, np.zeros(self.count, "u1"))[empty] = IMPUTED
            self.rules[name] = (int(empty.sum()), rule)

    def masts(self) -> list[str]:
        spots = np.stack([np.rint(self.x_m), np.rint(self.y_m)], axis=1)
        return [f"S{row + 1:05d}" for row in np.unique(spots, axis=0, return_inverse=True)[1].ravel()]

    def cell_ids(self) -> list[str]:
        seen: Counter[str] = Counter()
        found = []
        for site in self.columns["site_id"]:
            seen[site] += 1
            found.append(f"{site}-{seen[site]}")
        return found

    def arfcns(self) -> np.ndarray:
        radio, mhz = np.array(self.columns["radio"]), self.columns["frequency_mhz"]
        found = np.rint(mhz)  # of a band that is not listed: the frequency names the carrier
        for name, low, high, arfcn in BANDS:
            found[(radio == name) & (mhz >= low) & (mhz < high)] = arfcn
        return found.astype("i8")

    def powers(self, omni) -> np.ndarray:
        wide = self.columns["frequency_mhz"] >= 1_000
        total_dbm = np.where(omni, 37.0, np.where(wide, 49.0, 46.0))
        return np.round(total_dbm - 10 * np.log10(np.where(wide, 1_200, 600)), 1)

    def tilts(self) -> np.ndarray:
        spacing_m = np.array([nearest_m(self.place, place) for place in self.place])[self.site]
        height_m = self.columns["height_m"] - HANDSET_M
        return np.round(np.clip(np.degrees(np.arctan2(height_m, spacing_m * 2 / 3)), 2, 12), 1)

    def tracking_areas(self) -> np.ndarray:
        """Return i8: halve the sites at the middle of their longer side until a group is small enough."""
        tac = np.zeros(len(self.place), "i8")
        waiting, number = [np.arange(len(tac))], 0
        while waiting:
            rows = waiting.pop()
            if len(rows) <= SITES_PER_AREA:
                number += 1
                tac[rows] = number
                continue
            axis = int(np.argmax(np.ptp(self.place[rows], axis=0)))
            rows = rows[np.argsort(self.place[rows, axis], kind="stable")]
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        return tac[self.site]

    def pcis(self) -> np.ndarray:
        pci = np.zeros(self.count, "i8")
        carrier = self.columns["arfcn"] * 4 + np.unique(self.columns["radio"], return_inverse=True)[1]
        for value in np.unique(carrier):
            on = np.flatnonzero(carrier == value)
            pci[on] = spread_numbers(self.x_m[on], self.y_m[on])
        return pci


def nearest_m(places: np.ndarray, place: np.ndarray) -> float:
    """Return the distance to the nearest other place, 200 m to 3 km."""
    square = np.sum((places - place) ** 2, axis=1)
    return float(np.clip(np.sqrt(square[square > 1.0].min(initial=9e6)), 200, 3_000))


def spread_numbers(x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
    """Return i8[n] below PCI_COUNT: none twice among the PCI_APART nearest of those numbered before."""
    number = np.zeros(len(x_m), "i8")
    for cell in range(len(x_m)):
        square = (x_m[:cell] - x_m[cell]) ** 2 + (y_m[:cell] - y_m[cell]) ** 2
        near = np.argpartition(square, PCI_APART)[:PCI_APART] if cell > PCI_APART else np.arange(cell)
        taken = np.zeros(PCI_COUNT, bool)
        taken[number[near]] = True
        number[cell] = (np.argmin(np.roll(taken, -cell)) + cell) % PCI_COUNT
    return number
