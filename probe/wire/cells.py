"""The plan: the network as the planning database describes it.  One row a cell, columns as arrays."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

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
    "cell_id", "site_id", "mcc", "mnc", "tac", "radio", "pci", "arfcn", "frequency_mhz", "latitude", "longitude",
    "height_m", "azimuth_deg", "downtilt_deg", "beamwidth_h_deg", "beamwidth_v_deg", "gain_dbi", "power_dbm",
    "valid_from", "valid_to",
)  # fmt: skip
REQUIRED = ("cell_id", "latitude", "longitude")
RADIOS = ("GSM", "LTE", "NR")
ORIGINS = ("given", "register", "imputed")


@dataclass(frozen=True)
class Plan:
    """Columns by name: text as list[str], whole numbers as i8[n], reals as f8[n].

    origin says for every column where it came from: one of ORIGINS for the whole
    column, or a u1[n] of rows into ORIGINS where it differs by cell.
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
