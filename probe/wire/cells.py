"""The plan: the network as the planning database describes it.  One row a cell, columns as arrays."""

import csv
import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from probe.base.config import ConfigError, did_you_mean

# Name: kind and the range within which a value is no mistake, in the order of the file.
FIELDS: dict[str, tuple] = {
    "cell_id": (str,), "site_id": (str,), "mcc": (int, 200, 999), "mnc": (str,), "tac": (int, 0, 65_535),
    "radio": (str,), "pci": (int, 0, 1_007), "arfcn": (int, 0, 3_279_165), "frequency_mhz": (float, 300, 100_000),
    "latitude": (float, -90, 90), "longitude": (float, -180, 180), "height_m": (float, 0, 1_000),
    # Azimuth clockwise from north, NaN = omnidirectional; power of the reference signal, per resource element.
    "azimuth_deg": (float, 0, 360), "downtilt_deg": (float, -90, 90), "beamwidth_h_deg": (float, 1, 360),
    "beamwidth_v_deg": (float, 1, 360), "gain_dbi": (float, -10, 40), "power_dbm": (float, -60, 60),
    "valid_from": (str,), "valid_to": (str,)}
ABSENT, RADIOS = {str: "", int: -1, float: float("nan")}, ("GSM", "LTE", "NR")
COLUMNS, REQUIRED = tuple(FIELDS), ("cell_id", "latitude", "longitude")
# The last column of the file, as in "pci=imputed tac=register"; the rest is given.
ORIGIN, ORIGINS = "origin", ("given", "register", "imputed")
ROWS_MAX, PROBLEMS_MAX = 1_000_000, 50
NO_CELLS = "no cells; one row a cell is needed below the header"
# Where guests may be from: mobile country codes (ITU-T E.212) and names, the last for all others; and what the home
# of a guest is: HOME_ABROAD and the row of the country.
HOME_ABROAD, COUNTRIES = 0xFF00, (
    (262, "Germany"), (260, "Poland"), (230, "Czechia"), (232, "Austria"), (228, "Switzerland"), (208, "France"),
    (270, "Luxembourg"), (206, "Belgium"), (204, "Netherlands"), (238, "Denmark"), (240, "Sweden"),
    (234, "United Kingdom"), (222, "Italy"), (214, "Spain"), (226, "Romania"), (255, "Ukraine"), (286, "Türkiye"),
    (310, "United States"), (0, "another country"))
SUPPLEMENTARY_MHZ = (1427, 1518)  # LTE bands 32, 75, 76: downlink only, they never serve alone


@dataclass(frozen=True)
class Plan:
    """Columns by name: text as list[str], whole numbers as i8[n], reals as f8[n]; ABSENT where not known.

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
        (low, high), mhz = SUPPLEMENTARY_MHZ, self["frequency_mhz"]
        return (np.array(self["radio"], str) == "LTE") & ~((low <= mhz) & (mhz <= high))


def column_of(name: str, values) -> np.ndarray | list[str]:
    """Return values as a column of a plan."""
    kind = FIELDS[name][0]
    return list(map(str, values)) if kind is str else np.asarray(values, "i8" if kind is int else "f8")


def whole(columns: dict) -> dict[str, np.ndarray | list[str]]:
    """Return all columns of a plan: those that are there, the others absent in every row."""
    count = len(columns["latitude"])
    return {name: columns.get(name, column_of(name, [ABSENT[FIELDS[name][0]]] * count)) for name in COLUMNS}


def absent(name: str, column) -> np.ndarray:
    """Return bool[n]: which rows of a column say nothing."""
    kind = FIELDS[name][0]
    return np.isnan(column) if kind is float else np.array([value == ABSENT[kind] for value in column], bool)


def to_csv(plan: Plan) -> str:
    """Return the file of a plan: the same plan, the same text."""
    text, columns = io.StringIO(), []
    for name, (kind, *_) in FIELDS.items():
        words = plan[name] if kind is str else [str(value).removesuffix(".0") for value in plan[name].tolist()]
        columns.append(["" if gone else word for word, gone in zip(words, absent(name, plan[name]), strict=True)])
    codes = [(name, plan.origin[name].tolist()) for name in COLUMNS if name in plan.origin]
    origin = (" ".join(f"{name}={ORIGINS[code[row]]}" for name, code in codes if code[row]) for row in range(len(plan)))
    csv.writer(text, lineterminator="\n").writerows([(*COLUMNS, ORIGIN), *zip(*columns, origin, strict=True)])
    return text.getvalue()


def from_csv(text: str, where: str) -> Plan:
    """Return the plan in a CSV file of our own format, or raise ConfigError with every problem.

    Columns that are missing are absent in every row; a column we do not know is a
    problem, for it may be a misspelt one.
    """
    columns, origin, faults, unasked = read(text, where)
    problems = [f'unknown column "{name}"{did_you_mean(name, COLUMNS)}' for name in unasked] + named(faults)
    if problems or not columns["cell_id"]:
        raise ConfigError(where, problems or [NO_CELLS])
    return Plan(whole(columns), origin)


def named(faults: list[tuple[int, str]]) -> list[str]:
    """Return the first faults in words, and how many more there are."""
    more = [f"and {len(faults) - PROBLEMS_MAX} more rows"] if len(faults) > PROBLEMS_MAX else []
    return [f"row {row}: {reason}" for row, reason in faults[:PROBLEMS_MAX]] + more


def read(text: str, where: str, names: dict[str, str] | None = None) -> tuple[dict, dict, list, list[str]]:
    """Return (columns, origin, faults, unasked) of a CSV whose columns are ours or renamed (our name -> its name).

    columns and origin are those of a Plan, of the good rows and without what the file does not have;
    faults are (row, reason) of the bad ones, the header being row 1; unasked are columns that nobody asked for.
    Raises ConfigError where the file as a whole cannot be read: no header, required or mapped columns
    missing, too many rows.
    """
    lines = csv.reader(io.StringIO(text))
    try:
        rows = [line for line in lines if line]
    except csv.Error as error:
        raise ConfigError(where, [f"not a CSV file: line {lines.line_num}: {error}"]) from None
    if not 0 < len(rows) <= ROWS_MAX:
        raise ConfigError(where, [f"{f'{len(rows)} rows' if rows else 'is empty'}; a header with {', '.join(REQUIRED)} "
                                  f"and at most {ROWS_MAX - 1} rows is what we read"])
    if len(rows[0]) < len(REQUIRED) and ";" in rows[0][0]:
        raise ConfigError(where, ["columns are separated by semicolons; save it with commas between columns, and "
                                  "points in decimal numbers: 51.34"])
    header = [name.strip() for name in rows[0]]
    theirs = {ours: (names or {}).get(ours, ours) for ours in COLUMNS}
    problems = [f'column "{name}" stands twice' for name, count in Counter(header).items() if count > 1]
    problems += [f'no column "{name}"{did_you_mean(name, header)}; the file has {", ".join(header)}'
                 for ours, name in theirs.items() if name not in header and ours in (*REQUIRED, *(names or ()))]
    if problems:
        raise ConfigError(where, problems)
    position = {ours: header.index(name) for ours, name in theirs.items() if name in header}
    good, faults = dict[str, tuple[int, dict, dict]](), []  # good by cell_id: row, values, origins
    for number, line in enumerate(rows[1:], start=2):
        wrong = [] if len(line) == len(header) else [f"{len(line)} fields where the header has {len(header)}"]
        line += [""] * (len(header) - len(line))
        cell = {name: value_of(name, line[at].strip(), wrong) for name, at in position.items()}
        codes = origin_of(line[header.index(ORIGIN)] if ORIGIN in header else "", wrong)
        if (cell_id := cell["cell_id"]) in good:
            wrong.append(f"cell_id {cell_id} stands in row {good[cell_id][0]} already")
        if wrong:
            faults.append((number, "; ".join(wrong)))
        else:
            good[cell_id] = number, cell, codes
    columns = {name: column_of(name, [cell[name] for _, cell, _ in good.values()]) for name in position}
    stated = {name: np.array([codes.get(name, 0) for *_, codes in good.values()], "u1") for name in COLUMNS}
    origin = {name: codes for name, codes in stated.items() if codes.any()}
    return columns, origin, faults, [name for name in header if name not in (*theirs.values(), ORIGIN)]


def value_of(name: str, text: str, wrong: list[str]):
    """Return one field, or note in wrong what is wrong with it."""
    kind, *span = FIELDS[name]
    try:
        value = kind(text) if text else ABSENT[kind]
    except ValueError:
        wrong.append(f"{name} = {text[:40]}: not a {'whole ' if kind is int else ''}number")
        return ABSENT[kind]
    if not text:
        wrong += [f"{name} is empty"] if name in REQUIRED else []
    elif name == "radio" and text not in RADIOS:
        wrong.append(f"radio = {text}: not one of {', '.join(RADIOS)}{did_you_mean(text.upper(), RADIOS)}")
    elif span and not span[0] <= value <= span[1]:  # NaN and infinity, too
        wrong.append(f"{name} = {text[:40]}: not within {span[0]} to {span[1]}")
    return value


def origin_of(text: str, wrong: list[str]) -> dict[str, int]:
    """Return the origins that a row states, as rows of ORIGINS."""
    pairs = [word.partition("=") for word in text.split()]
    if any(name not in FIELDS or origin not in ORIGINS for name, _, origin in pairs):
        wrong.append(f'origin "{text[:60]}": columns are needed, with = and one of {", ".join(ORIGINS)}')
        return {}
    return {name: ORIGINS.index(origin) for name, _, origin in pairs}
