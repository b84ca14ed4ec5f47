"""Fill in what a layout does not say, field by field, each by a stated rule."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probe.base.config import ConfigError
from probe.base.plane import LocalFrame
from probe.wire.cells import ABSENT, COLUMNS, ORIGINS, RANGE, TEXT, WHOLE, Plan, capped
from simulator.layouts.layout import Layout

IMPUTED = ORIGINS.index("imputed")
NEAR_M = 200_000.0  # farther from the areas a cell is a mistake
SAME_MAST_M = 1.0
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

    def lines(self) -> list[str]:
        """Return the report in words."""
        found = [f"{self.cells} cells on {self.sites} sites"]
        found += [f"imputed {name} of {count} cells: {rule}" for name, (count, rule) in self.imputed.items()]
        found += [f"dropped row {row}: {reason}" for row, reason in self.dropped]
        if self.unasked:
            found.append("left alone: columns " + ", ".join(self.unasked))
        return found


def complete(layout: Layout, frame: LocalFrame, where: str = "[layout]") -> tuple[Plan, Report]:
    """Return the plan of a layout about the middle of the areas, and what was imputed.

    Raises ConfigError with every problem: no cells, lengths that differ, values out of range,
    positions far from the areas (and whether swapping latitude and longitude would help).
    """
    known = layout.known()
    problems = shape_problems(known)
    if problems:
        raise ConfigError(where, problems)
    if "latitude" not in known:
        known["latitude"], known["longitude"] = frame.to_degrees(known.pop("x_m"), known.pop("y_m"))
    known.pop("x_m", None), known.pop("y_m", None)
    problems = value_problems(known) or place_problems(known, frame)
    if problems:
        raise ConfigError(where, capped(problems))
    filling = Filling(known, layout.origin or {}, frame)
    filling.fill()
    plan = Plan({name: filling.columns[name] for name in COLUMNS}, filling.origin)
    sites = len(set(plan["site_id"]))
    return plan, Report(len(plan), sites, filling.rules, layout.dropped, layout.unasked)


def shape_problems(known: dict) -> list[str]:
    """Return what is wrong with a layout as a whole."""
    if not ({"x_m", "y_m"} <= set(known) or {"latitude", "longitude"} <= set(known)):
        return ["a layout gives x_m and y_m, or latitude and longitude"]
    lengths = {name: len(column) for name, column in known.items()}
    if len(set(lengths.values())) > 1:
        return ["columns differ in length: " + ", ".join(f"{n} {length}" for n, length in lengths.items())]
    return [] if max(lengths.values()) else ["no cells; a layout needs at least one"]


def value_problems(known: dict) -> list[str]:
    """Return every value out of its range, and every cell_id that stands twice."""
    problems = []
    for name, (low, high) in RANGE.items():
        if name not in known:
            continue
        value = known[name]
        absent = value == ABSENT if name in WHOLE else np.isnan(value)
        if name in ("latitude", "longitude"):
            absent = np.zeros(len(value), bool)
        for cell in np.flatnonzero(~(absent | ((value >= low) & (value <= high)))):
            problems.append(f"cell {cell}: {name} = {value[cell]}: not within {low} to {high}")
    ids = [name for name in known.get("cell_id", []) if name]
    if len(set(ids)) < len(ids):
        problems.append("cell_id: some stand twice; every cell needs its own")
    return problems


def place_problems(known: dict, frame: LocalFrame) -> list[str]:
    """Return which cells are far from the areas."""
    far = far_from(frame, known["latitude"], known["longitude"])
    if not far.any():
        return []
    if far.all() and not far_from(frame, known["longitude"], known["latitude"]).any():
        return ["latitude and longitude are swapped: only the other way round the cells are near the areas"]
    return [
        f"cell {cell}: {known['latitude'][cell]:.5f}, {known['longitude'][cell]:.5f} is more than "
        f"{NEAR_M / 1000:.0f} km from the middle of the areas"
        for cell in np.flatnonzero(far)
    ]


def far_from(frame: LocalFrame, latitude, longitude) -> np.ndarray:
    """Return bool[n]: more than NEAR_M from the middle of the frame (on a sphere, that is enough here)."""
    a, b = np.radians(latitude), np.radians(frame.latitude)
    turn = np.radians(longitude - frame.longitude)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn)
    return np.arccos(np.clip(cosine, -1, 1)) * 6_371_000 > NEAR_M


class Filling:
    """Columns on their way to a plan.  Each `fill` fills the absent rows of one and notes the rule."""

    def __init__(self, known: dict, origin: dict, frame: LocalFrame):
        self.count = len(known["latitude"])
        self.columns: dict = dict(known)
        self.origin = {name: codes.copy() for name, codes in origin.items()}
        self.rules: dict[str, tuple[int, str]] = {}
        self.x_m, self.y_m = frame.to_xy(known["latitude"], known["longitude"])

    def fill(self) -> None:
        """Fill every column, in an order in which each rule finds what it needs."""
        self.put("site_id", "cells within 1 m stand on one mast", self.masts)
        self.put("cell_id", "site and a running number", self.cell_ids)
        self.put("radio", "LTE", lambda: ["LTE"] * self.count)
        self.put("frequency_mhz", "1800 MHz", lambda: np.full(self.count, 1_800.0))
        self.put("arfcn", "middle of the band (TS 36.101 table 5.7.3-1, TS 38.104)", self.arfcn)
        self.put("mcc", "262", lambda: np.full(self.count, 262))
        self.put("mnc", "03", lambda: ["03"] * self.count)
        if "azimuth_deg" not in self.columns:  # the one column whose NaN says something
            self.put("azimuth_deg", "omnidirectional", lambda: np.full(self.count, np.nan))
        self.omni = np.isnan(self.columns["azimuth_deg"])
        self.site = np.unique(self.columns["site_id"], return_inverse=True)[1]
        self.put(
            "height_m", "25 m (TR 38.901 table 7.2-1, UMa); 8 m if omnidirectional (mobloc)", self.heights
        )
        self.put("beamwidth_h_deg", "65 degrees (TR 38.901 table 7.3-1); 360 if omnidirectional",
                 lambda: np.where(self.omni, 360.0, 65.0))  # fmt: skip
        self.put("beamwidth_v_deg", "10 degrees (TR 36.814 table A.2.1.1-2); 65 if omnidirectional",
                 lambda: np.where(self.omni, 65.0, 10.0))  # fmt: skip
        self.put("gain_dbi", "14 dBi; 5 dBi if omnidirectional (TR 36.814 tables A.2.1.1-2 and A.2.1.1.2-3)",
                 lambda: np.where(self.omni, 5.0, 14.0))  # fmt: skip
        self.put("power_dbm", "46 dBm over 10 MHz below 1 GHz, 49 dBm over 20 MHz above (TR 36.814); 5 W if "
                 "omnidirectional (mobloc); per resource element", self.powers)  # fmt: skip
        self.put("downtilt_deg", "the main beam meets the ground at 2/3 of the way to the next site, 2 to 12 "
                 "degrees; 0 if omnidirectional", self.tilts)  # fmt: skip
        self.put("tac", "neighbouring sites in groups of at most 60", self.tracking_areas)
        self.put("pci", "never the same among the 250 nearest cells of a carrier", self.pcis)
        for name in ("valid_from", "valid_to"):
            self.columns.setdefault(name, [""] * self.count)

    def put(self, name: str, rule: str, make: Callable) -> None:
        """Fill the absent rows of a column by make() -> the whole column."""
        have = self.columns.get(name)
        absent = np.ones(self.count, bool) if have is None else is_absent(name, have)
        if not absent.any():
            return
        made = make()
        if name in TEXT:
            have = [""] * self.count if have is None else have
            self.columns[name] = [m if a else h for m, a, h in zip(made, absent, have, strict=True)]
        else:
            self.columns[name] = np.where(absent, made, 0 if have is None else have).astype(
                "i8" if name in WHOLE else "f8"
            )
        codes = self.origin.setdefault(name, np.zeros(self.count, "u1"))
        codes[absent] = IMPUTED
        self.rules[name] = (int(absent.sum()), rule)

    def masts(self) -> list[str]:
        spots = np.stack([np.rint(self.x_m / SAME_MAST_M), np.rint(self.y_m / SAME_MAST_M)], axis=1)
        rows = np.unique(spots, axis=0, return_inverse=True)[1].ravel()
        return [f"S{row + 1:05d}" for row in rows]

    def cell_ids(self) -> list[str]:
        seen: dict[str, int] = {}
        found = []
        for site in self.columns["site_id"]:
            seen[site] = seen.get(site, 0) + 1
            found.append(f"{site}-{seen[site]}")
        return found

    def arfcn(self) -> np.ndarray:
        found = np.zeros(self.count, "i8")
        radio = np.array(self.columns["radio"])
        for name, low, high, arfcn in BANDS:
            mhz = self.columns["frequency_mhz"]
            found[(radio == name) & (mhz >= low) & (mhz < high)] = arfcn
        unknown = found == 0  # a band that is not listed: the frequency names the carrier
        found[unknown] = np.rint(self.columns["frequency_mhz"][unknown]).astype("i8")
        return found

    def heights(self) -> np.ndarray:
        return np.where(self.omni, 8.0, 25.0)

    def powers(self) -> np.ndarray:
        wide = self.columns["frequency_mhz"] >= 1_000
        subcarriers = np.where(wide, 1_200, 600)
        total_dbm = np.where(self.omni, 37.0, np.where(wide, 49.0, 46.0))
        return np.round(total_dbm - 10 * np.log10(subcarriers), 1)

    def site_places(self) -> np.ndarray:
        """Return f8[sites, 2]: the mean place of the cells of a site."""
        count = np.bincount(self.site)
        return np.stack([np.bincount(self.site, axis) / count for axis in (self.x_m, self.y_m)], axis=1)

    def tilts(self) -> np.ndarray:
        places = self.site_places()
        spacing_m = np.array([nearest_m(places, place) for place in places])
        edge_m = np.clip(spacing_m, 200, 3_000)[self.site] * 2 / 3
        tilt_deg = np.degrees(np.arctan2(self.columns["height_m"] - HANDSET_M, edge_m))
        return np.where(self.omni, 0.0, np.round(np.clip(tilt_deg, 2, 12), 1))

    def tracking_areas(self) -> np.ndarray:
        """Return i8: halve the sites at the middle of their longer side until a group is small enough."""
        places = self.site_places()
        groups, waiting = [], [np.arange(len(places))]
        while waiting:
            rows = waiting.pop()
            if len(rows) <= SITES_PER_AREA:
                groups.append(rows)
                continue
            axis = int(np.argmax(np.ptp(places[rows], axis=0)))
            rows = rows[np.argsort(places[rows, axis], kind="stable")]
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        tac = np.zeros(len(places), "i8")
        for number, rows in enumerate(groups):
            tac[rows] = number + 1
        return tac[self.site]

    def pcis(self) -> np.ndarray:
        """Return i8: cell by cell the first PCI that none of the nearest cells of the carrier has."""
        pci = np.zeros(self.count, "i8")
        carrier = self.columns["arfcn"] * 4 + np.unique(self.columns["radio"], return_inverse=True)[1]
        for value in np.unique(carrier):
            cells = np.flatnonzero(carrier == value)
            pci[cells] = spread_numbers(self.x_m[cells], self.y_m[cells])
        return pci


def is_absent(name: str, column) -> np.ndarray:
    """Return bool[n]: which rows of a column say nothing."""
    if name in TEXT:
        return np.array([text == "" for text in column], bool)
    return column == ABSENT if name in WHOLE else np.isnan(column)


def nearest_m(places: np.ndarray, place: np.ndarray) -> float:
    """Return the distance to the nearest other place; a place on its own has it at 3 km."""
    square = np.sum((places - place) ** 2, axis=1)
    others = square[square > 1.0]
    return float(np.sqrt(others.min())) if len(others) else 3_000.0


def spread_numbers(x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
    """Return i8[n] below PCI_COUNT: none twice among the PCI_APART nearest of those numbered before."""
    number = np.zeros(len(x_m), "i8")
    for cell in range(len(x_m)):
        square = (x_m[:cell] - x_m[cell]) ** 2 + (y_m[:cell] - y_m[cell]) ** 2
        near = np.argpartition(square, PCI_APART)[:PCI_APART] if cell > PCI_APART else np.arange(cell)
        taken = np.zeros(PCI_COUNT, bool)
        taken[number[near]] = True
        number[cell] = np.argmin(np.roll(taken, -cell)) + cell
        number[cell] %= PCI_COUNT
    return number
