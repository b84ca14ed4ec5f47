"""A layout from a CSV file: our own plan format, or any other whose columns are named."""

from pathlib import Path

import numpy as np
from pydantic import Field

from probe.base.config import ConfigError, Settings, did_you_mean, read_text
from probe.wire import cells
from simulator.layouts.layout import Layout


class Table(Settings):
    """A CSV file with one row a cell.

    columns       : what the file calls ours: height_m = "Antennaht"
    drop_bad_rows : a row that cannot be read is left out and named in the report; else it is a problem

    An empty azimuth means omnidirectional.
    """

    path: str
    columns: dict[str, str] = Field(default_factory=dict)
    drop_bad_rows: bool = False

    def build(self) -> Layout:
        """Return the cells of the file; raises ConfigError with every problem in it."""
        strange = [name for name in self.columns if name not in cells.COLUMNS]
        if strange:
            problems = [f'columns: "{name}" is none of ours{did_you_mean(name, cells.COLUMNS)}' for name in strange]
            raise ConfigError("[layout]", problems)
        text = read_text(Path(self.path).expanduser(), "layout.path")
        table = cells.read(text, self.path, self.columns)
        problems = [] if self.drop_bad_rows else cells.named(table.faults)
        problems += ["mend the rows, or set layout.drop_bad_rows = true"] if problems else []
        if not len(table.plan):
            problems += ["no cells; one row a cell is needed below the header"]
        elif swapped(table.plan["latitude"], table.plan["longitude"]):
            problems += ["latitude and longitude are swapped: only the other way round they are in Europe"]
        if problems:
            raise ConfigError(self.path, problems)
        given = {name: table.plan[name] for name in table.present}
        return Layout(**given, origin=table.plan.origin, dropped=table.faults, unasked=table.unasked)


def swapped(latitude: np.ndarray, longitude: np.ndarray) -> bool:
    """Return whether positions are in the grid's area of use (EPSG:3035) only the other way round."""

    def within(north, east):
        return (north >= 24) & (north <= 84) & (east >= -16) & (east <= 40)

    return not within(latitude, longitude).any() and bool(within(longitude, latitude).all())
