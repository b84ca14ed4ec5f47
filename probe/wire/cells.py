"""The plan: the network as the planning database describes it.  One row a cell, columns as arrays."""

import csv
import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from probe.base.config import ConfigError, did_you_mean

VERSION = 1
TEXT = ("cell_id", "site_id", "mnc", "radio", "valid_from", "valid_to")
WHOLE = ("mcc", "tac", "pci", "arfcn")
REAL = (
    "frequency_mhz",
    "latitude",
    "longitude",
    "height_m",
    "azimuth_deg",  # clockwise from north; NaN = omnidirectional
    "downtilt_deg",
    "beamwidth_h_deg",
    "beamwidth_v_deg",
    "gain_dbi",
    "power_dbm",  # of the reference signal, per resource element
)
COLUMNS = (
    "cell_id", "site_id", "mcc", "mnc", "tac", "radio", "pci", "arfcn", "frequency_mhz", "latitude",
    "longitude", "height_m", "azimuth_deg", "downtilt_deg", "beamwidth_h_deg", "beamwidth_v_deg",
    "gain_dbi", "power_dbm", "valid_from", "valid_to",
)  # fmt: skip
REQUIRED = ("cell_id", "latitude", "longitude")
RADIOS = ("GSM", "LTE", "NR")
ORIGINS = ("given", "register", "imputed")
ORIGIN = "origin"  # last column of the file: "imputed: height_m pci; register: tac"; the rest is given
ABSENT = -1  # of a whole number; "" of a text, NaN of a real
ROWS_MAX = 1_000_000
PROBLEMS_MAX = 50
RANGE = {  # inclusive; what lies outside is a mistake, not a network
    "mcc": (200, 999),
    "tac": (0, 65_535),
    "pci": (0, 1_007),
    "arfcn": (0, 3_279_165),
    "frequency_mhz": (300, 100_000),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
    "height_m": (0, 1_000),
    "azimuth_deg": (0, 360),
    "downtilt_deg": (-90, 90),
    "beamwidth_h_deg": (1, 360),
    "beamwidth_v_deg": (1, 360),
    "gain_dbi": (-10, 40),
    "power_dbm": (-60, 60),
}
SUPPLEMENTARY_MHZ = (1427, 1518)  # LTE bands 32, 75, 76: downlink only, they never serve alone


@dataclass(frozen=True)
class Plan:
    """Columns by name: text as list[str], whole numbers as i8[n], reals as f8[n].

    origin says for every column where it came from: rows of ORIGINS, by cell; a column
    that is not in it was given.
    """

    columns: dict[str, np.ndarray | list[str]]
    origin: dict[str, np.ndarray] = field(default_factory=dict)  # u1[n], rows of ORIGINS

    def __len__(self) -> int:
        return len(self.columns["cell_id"])

    def __getitem__(self, name: str):
        return self.columns[name]

    def digest(self) -> bytes:
        """Return 8 bytes that name this plan, the same for the same CSV."""
        return hashlib.sha256(to_csv(self).encode()).digest()[:8]

    def serving(self) -> np.ndarray:
        """Return bool[n]: LTE cells that can hold a connection on their own."""
        lte = np.array([radio == "LTE" for radio in self["radio"]], bool)
        low, high = SUPPLEMENTARY_MHZ
        return lte & ~((self["frequency_mhz"] >= low) & (self["frequency_mhz"] <= high))


def to_csv(plan: Plan) -> str:
    """Return the file of a plan: the same plan, the same text."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*COLUMNS, ORIGIN])
    columns = [_written(name, plan[name]) for name in COLUMNS]
    out.writerows(zip(*columns, _origins_written(plan), strict=True))
    return text.getvalue()


def _written(name: str, column) -> list[str]:
    if name in TEXT:
        return list(column)
    if name in WHOLE:
        return ["" if value == ABSENT else str(value) for value in column.tolist()]
    return ["" if value != value else repr(value).removesuffix(".0") for value in column.tolist()]


def _origins_written(plan: Plan) -> list[str]:
    rows: list[list[str]] = [[] for _ in range(len(plan))]
    for code in range(1, len(ORIGINS)):
        names = [name for name in COLUMNS if name in plan.origin]
        which = np.array([plan.origin[name] == code for name in names]).reshape(len(names), len(plan))
        for row, cell in zip(rows, which.T, strict=True):
            if cell.any():
                words = [name for name, yes in zip(names, cell, strict=True) if yes]
                row.append(f"{ORIGINS[code]}: {' '.join(words)}")
    return ["; ".join(row) for row in rows]


def from_csv(text: str, where: str) -> Plan:
    """Return the plan in a CSV file of our own format, or raise ConfigError with every problem.

    Columns that are missing are absent in every row ("", ABSENT, NaN); a column we do
    not know is a problem, for it may be a misspelt one.
    """
    table = read(text, where)
    strange = [name for name in table.unasked if name != ORIGIN]
    problems = [f'unknown column "{name}"{did_you_mean(name, COLUMNS)}' for name in strange]
    problems += [f"row {row}: {reason}" for row, reason in table.faults]
    if not problems and not len(table.plan):
        problems = ["no cells; one row a cell is needed below the header"]
    if problems:
        raise ConfigError(where, capped(problems))
    return table.plan


def capped(problems: list[str]) -> list[str]:
    """Return the first problems and how many more there are."""
    more = len(problems) - PROBLEMS_MAX
    return problems if more <= 0 else [*problems[:PROBLEMS_MAX], f"and {more} more"]


@dataclass(frozen=True)
class Table:
    """What a CSV holds: its good rows as a plan, its bad ones as (row, reason), what nobody asked for.

    Rows are numbered as in the file: the header is row 1.
    """

    plan: Plan
    faults: list[tuple[int, str]]
    present: list[str]
    unasked: list[str]


def read(text: str, where: str, names: dict[str, str] | None = None) -> Table:
    """Return what is in a CSV whose columns are ours or renamed (our name -> its name).

    Raises ConfigError where the file as a whole cannot be read: no header, required or
    mapped columns missing, lengths that differ, too many rows.
    """
    lines = csv.reader(io.StringIO(text))
    try:
        rows = [line for line in lines if line]
    except csv.Error as error:
        raise ConfigError(where, [f"not a CSV file: line {lines.line_num}: {error}"]) from None
    if not rows:
        raise ConfigError(where, ["is empty; a header with " + ", ".join(REQUIRED) + " is needed"])
    header = [name.strip() for name in rows[0]]
    position = _positions(header, where, names or {})
    if len(rows) > ROWS_MAX:
        raise ConfigError(where, [f"{len(rows) - 1} rows, at most {ROWS_MAX - 1} allowed"])
    used = {header[index] for index in position.values()}
    unasked = [name for name in header if name not in used]
    origin_at = header.index(ORIGIN) if ORIGIN in header else None
    plan, faults = _parsed(rows[1:], position, len(header), origin_at)
    return Table(plan, faults, list(position), unasked)


def _positions(header: list[str], where: str, names: dict[str, str]) -> dict[str, int]:
    problems = [f'column "{name}" stands twice' for name, count in Counter(header).items() if count > 1]
    position = {}
    for ours in COLUMNS:
        theirs = names.get(ours, ours)
        if theirs in header:
            position[ours] = header.index(theirs)
        elif ours in REQUIRED or ours in names:
            near = did_you_mean(theirs, header)
            problems.append(f'no column "{theirs}"{near}; the file has {", ".join(header)}')
    if problems:
        raise ConfigError(where, problems)
    return position


def _parsed(rows, position: dict[str, int], width: int, origin_at: int | None):
    values: dict[str, list] = {name: [] for name in COLUMNS}
    origins: list[dict[str, int]] = []
    faults: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(rows, start=2):
        wrong = []
        if len(line) != width:
            wrong.append(f"{len(line)} fields where the header has {width}")
            line = (line + [""] * width)[:width]
        cell = {name: _value(name, line[at].strip(), wrong) for name, at in position.items()}
        if cell["cell_id"] in seen and cell["cell_id"]:
            wrong.append(f"cell_id {cell['cell_id']} stands in row {seen[cell['cell_id']]} already")
        origin = _origin_of(line[origin_at], wrong) if origin_at is not None else {}
        if wrong:
            faults.append((number, "; ".join(wrong)))
            continue
        seen[cell["cell_id"]] = number
        for name in COLUMNS:
            values[name].append(cell.get(name, _absent(name)))
        origins.append(origin)
    columns = {name: _column(name, values[name]) for name in COLUMNS}
    return Plan(columns, _origin_columns(origins)), faults


def _absent(name: str):
    return "" if name in TEXT else ABSENT if name in WHOLE else float("nan")


def _column(name: str, values: list):
    return values if name in TEXT else np.array(values, "i8" if name in WHOLE else "f8")


def _value(name: str, text: str, wrong: list[str]):
    """Return one field, or note in wrong what is wrong with it."""
    if not text:
        if name in REQUIRED:
            wrong.append(f"{name} is empty")
        return _absent(name)
    if name == "radio" and text not in RADIOS:
        wrong.append(f"radio = {text}: not one of {', '.join(RADIOS)}{did_you_mean(text.upper(), RADIOS)}")
    if name in TEXT:
        return text
    try:
        value = int(text) if name in WHOLE else float(text)
    except ValueError:
        wrong.append(f"{name} = {text[:40]}: not a {'whole ' if name in WHOLE else ''}number")
        return _absent(name)
    low, high = RANGE[name]
    if not low <= value <= high:  # NaN and infinity, too
        wrong.append(f"{name} = {text[:40]}: not within {low} to {high}")
    return value


def _origin_of(text: str, wrong: list[str]) -> dict[str, int]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        word, _, names = part.partition(":")
        if word not in ORIGINS or not set(names.split()) <= set(COLUMNS):
            wrong.append(f'origin "{part[:60]}": not one of {", ".join(ORIGINS)}, a colon and columns')
            continue
        found.update(dict.fromkeys(names.split(), ORIGINS.index(word)))
    return found


def _origin_columns(origins: list[dict[str, int]]) -> dict[str, np.ndarray]:
    names = sorted({name for origin in origins for name, code in origin.items() if code}, key=COLUMNS.index)
    return {name: np.array([origin.get(name, 0) for origin in origins], "u1") for name in names}
