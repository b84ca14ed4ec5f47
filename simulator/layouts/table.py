"""A layout from a CSV file: our own plan format, or any other whose columns are named."""

from pathlib import Path

import numpy as np
from pydantic import Field

from probe.base.config import ConfigError, Settings, did_you_mean, read_text
from probe.wire import cells
from simulator.layouts.layout import Layout

LATITUDES, LONGITUDES = (24.0, 84.0), (-16.0, 40.0)  # area of use of the grid, EPSG:3035


class Table(Settings):
    """A CSV with one row a cell.  `columns` says what the file calls ours: height_m = "Antennaht".

    A row that cannot be read is a problem; with drop_bad_rows it is left out and named in the report.
    An empty azimuth means omnidirectional.
    """

    path: str
    columns: dict[str, str] = Field(default_factory=dict)
    drop_bad_rows: bool = False

    def build(self) -> Layout:
        """Return the cells of the file; raises ConfigError with every problem in it."""
        table = self.read()
        faults, plan = table.faults, table.plan
        if faults and not self.drop_bad_rows:
            named = [f"row {row}: {reason}" for row, reason in faults]
            raise ConfigError(
                self.path, [*cells.capped(named), "mend the rows, or set layout.drop_bad_rows = true"]
            )
        if not len(plan):
            named = [f"row {row}: {reason}" for row, reason in faults]
            raise ConfigError(
                self.path, [*cells.capped(named), "no cells; one row a cell is needed below the header"]
            )
        if swapped(plan["latitude"], plan["longitude"]):
            raise ConfigError(
                self.path, ["latitude and longitude are swapped: only the other way round they are in Europe"]
            )
        present = {name: plan[name] for name in table.present}
        return Layout(**present, origin=plan.origin, dropped=tuple(faults), unasked=tuple(table.unasked))

    def read(self) -> cells.Table:
        """Return the file as it stands."""
        strange = [name for name in self.columns if name not in cells.COLUMNS]
        problems = [
            f'[layout.columns] "{name}" is none of ours{did_you_mean(name, cells.COLUMNS)}'
            for name in strange
        ]
        if problems:
            raise ConfigError("[layout]", problems)
        text = read_text(Path(self.path).expanduser(), "layout.path")
        table = cells.read(text, self.path, self.columns)
        table.unasked[:] = [name for name in table.unasked if name != cells.ORIGIN]
        return table


def swapped(latitude: np.ndarray, longitude: np.ndarray) -> bool:
    """Return whether the positions are in the grid's area of use only the other way round."""
    return not within(latitude, longitude).any() and bool(within(longitude, latitude).all())


def within(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Return bool[n]: in the area of use of the grid."""
    inside = (latitude >= LATITUDES[0]) & (latitude <= LATITUDES[1])
    return inside & (longitude >= LONGITUDES[0]) & (longitude <= LONGITUDES[1])
