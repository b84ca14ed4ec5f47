"""What a layout plugin returns: where cells stand, and as much about them as it knows."""

from dataclasses import dataclass, fields

import numpy as np

from probe.wire.cells import TEXT, WHOLE


@dataclass(frozen=True)
class Layout:
    """One row a cell.  Places in local metres about the middle of the areas, or in WGS 84 degrees.

    x_m, y_m or latitude, longitude : f8[n]
    azimuth_deg : f8[n] clockwise from north; NaN = omnidirectional
    the others  : as in probe.wire.cells, None = not known for any cell; "", -1 or NaN = not known for one.
                  What is not known is imputed (simulator.layouts.complete), and said so.
    dropped     : rows of the source that were left out, with the reason
    unasked     : columns of the source that nobody asked for
    """

    x_m: np.ndarray | None = None
    y_m: np.ndarray | None = None
    latitude: np.ndarray | None = None
    longitude: np.ndarray | None = None
    azimuth_deg: np.ndarray | None = None
    height_m: np.ndarray | None = None
    downtilt_deg: np.ndarray | None = None
    beamwidth_h_deg: np.ndarray | None = None
    beamwidth_v_deg: np.ndarray | None = None
    gain_dbi: np.ndarray | None = None
    power_dbm: np.ndarray | None = None
    frequency_mhz: np.ndarray | None = None
    mcc: np.ndarray | None = None
    tac: np.ndarray | None = None
    pci: np.ndarray | None = None
    arfcn: np.ndarray | None = None
    cell_id: list[str] | None = None
    site_id: list[str] | None = None
    mnc: list[str] | None = None
    radio: list[str] | None = None
    valid_from: list[str] | None = None
    valid_to: list[str] | None = None
    origin: dict[str, np.ndarray] | None = None
    dropped: tuple[tuple[int, str], ...] = ()
    unasked: tuple[str, ...] = ()

    def __len__(self) -> int:
        places = self.x_m if self.x_m is not None else self.latitude
        return 0 if places is None else len(places)

    def known(self) -> dict:
        """Return the columns that are given, as lists of text, i8 or f8 arrays."""
        skipped = ("origin", "dropped", "unasked")
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        return {name: _typed(name, column) for name, column in found.items() if column is not None}


def _typed(name: str, column):
    if name in TEXT:
        return [str(text) for text in column]
    return np.asarray(column, "i8" if name in WHOLE else "f8")
