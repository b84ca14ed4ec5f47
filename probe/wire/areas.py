"""Named areas as polygons, turned once into bins of 100 m by their centres."""

from dataclasses import dataclass

import numpy as np

from probe.base.plane import LocalFrame

VERSION = 1
ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class AreaSet:
    """A partition: the named areas, and elsewhere (the last row) for the rest of the map.

    name        : list[str]    n + 1 names, the last ELSEWHERE
    area_id     : list[str]    n + 1 public ids
    residents   : f8[n + 1]    residents by the areas' own file, NaN where not given
    bins        : u2[rows, columns]  area row of each 100 m bin; the row of elsewhere outside all areas
    first       : (column, row) of bins[0, 0] in the ETRS89-LAEA grid
    terms       : f8[2, 6]     bin_terms of frame: local metres -> grid column and row
    """

    frame: LocalFrame
    area_id: list[str]
    name: list[str]
    residents: np.ndarray
    bins: np.ndarray
    first: tuple[int, int]
    terms: np.ndarray
    digest: bytes  # 8 bytes over ids and bins

    @property
    def elsewhere(self) -> int:
        """Return the row of elsewhere."""
        return len(self.area_id) - 1
