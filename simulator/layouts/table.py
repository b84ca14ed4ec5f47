"""A layout from a CSV file: our own plan format, or any other whose columns are named."""

from pathlib import Path

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
        if strange := [name for name in self.columns if name not in cells.COLUMNS]:
            raise ConfigError("[layout]", [f'columns: "{name}" is none of ours{did_you_mean(name, cells.COLUMNS)}'
                                           for name in strange])
        text = read_text(Path(self.path).expanduser(), "layout.path")
        columns, origin, faults, unasked = cells.read(text, self.path, self.columns)
        latitude, longitude = columns["latitude"], columns["longitude"]
        passed = not faults or (self.drop_bad_rows and len(latitude))
        problems = [] if passed else [*cells.named(faults), "mend the rows, or set layout.drop_bad_rows = true"]
        if not len(latitude):
            problems.append(cells.NO_CELLS)
        elif not in_europe(latitude, longitude).any() and in_europe(longitude, latitude).all():
            problems.append("latitude and longitude are swapped: only the other way round they are in Europe")
        if problems:
            raise ConfigError(self.path, problems)
        return Layout(**columns, origin=origin, dropped=faults, unasked=unasked)


def in_europe(latitude, longitude):
    """Return bool[n]: in the grid's area of use (EPSG:3035)."""
    return (latitude >= 24) & (latitude <= 84) & (longitude >= -16) & (longitude <= 40)
