"""What a layout plugin returns: where cells stand, and as much about them as it knows."""

import numpy as np

from probe.base.config import ConfigError, did_you_mean
from probe.wire.cells import COLUMNS, column_of

PLACE = ("x_m", "y_m")


class Layout:
    """One row a cell.  Places in local metres about the middle of the areas, or in WGS 84 degrees.

    columns : x_m and y_m, or latitude and longitude, f8[n]; azimuth_deg f8[n], NaN = omnidirectional;
              any other of probe.wire.cells.COLUMNS; "", -1 or NaN where a cell does not say.  What is
              not known is imputed (simulator.layouts.complete), and said so.
    origin  : u1[n] by column, as in probe.wire.cells.Plan
    dropped : rows of the source that were left out, with the reason
    unasked : columns of the source that nobody asked for
    """

    def __init__(self, *, origin=None, dropped=(), unasked=(), **columns):
        known = (*PLACE, *COLUMNS)
        if strange := [name for name in columns if name not in known]:
            raise ConfigError("layout", [f'no column "{name}" is known{did_you_mean(name, known)}' for name in strange])
        self.columns = {name: np.asarray(values, "f8") if name in PLACE else column_of(name, values)
                        for name, values in columns.items()}
        self.origin, self.dropped, self.unasked = origin or {}, tuple(dropped), tuple(unasked)

    def __len__(self) -> int:
        return max((len(column) for column in self.columns.values()), default=0)
