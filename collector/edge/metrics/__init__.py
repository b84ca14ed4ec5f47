"""Plugins: families of counts, each with what one person can add at most.

A metric says which of the records that the people stage grants are counted, in which cell of a dense
table.  It sees no person: who meets whom, and how often a person is granted something, is decided before.
"""

from collections import namedtuple
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from collector.edge.crowd import WEEK
from collector.edge.kernels.visits import EACH_MAX, ENTRIES, LEVELS_MS
from probe.base.config import Settings
from probe.wire import areas, cells, observations

TALLY_UNITS = {"person-seconds": 64_000}  # in one value, else 1: person-ms, and a fix has 64 parts
# What the people stage grants one person at most: areas a local day, arrivals (and as many departures) a day, and
# of a week areas.  Origins are counted of the first visits only.
ENTRIES_MAX, MOVES_MAX, (WEEK_MAX,), ORIGINS_MAX = ENTRIES, EACH_MAX, WEEK["area"].shape, 8
LEVEL_VISIT, LEVEL_WORK = 1, len(LEVELS_MS)  # of an entry: its longest stay was 2 minutes at least, 4 hours at least
Rows = list[tuple[str, str]]


class Places(namedtuple("Places", "areas homes zones zone_of primary")):
    """Where a table counts: (id, name) of each row.

    areas   : of the table's area set, elsewhere last
    homes   : areas of the primary set and elsewhere, then countries, then unknown
    zones   : at most 40;  zone_of : u1[areas]
    primary : whether homes are areas of this set, so that its residents can be told
    """

    @property
    def abroad(self) -> int:
        """Return the row of the first country among the homes: the next after elsewhere."""
        return [home_id for home_id, _ in self.homes].index(areas.ELSEWHERE) + 1


def _home(records: np.ndarray, places: Places) -> np.ndarray:
    """Return the row of each home; what is no row of the list is unknown."""
    home, last = records["home"].astype("i8"), len(places.homes) - 1
    return np.select([home < places.abroad, (home >= cells.HOME_ABROAD) & (home < observations.NO_HOME)],
                     [home, np.minimum(home - cells.HOME_ABROAD + places.abroad, last)], last)


def _role(records: np.ndarray, places: Places) -> np.ndarray:
    """Return who someone is to the area of a visit: lives there, worked there, visited, passed by."""
    resident = places.primary & (records["home"] == records["area"])
    return np.select([resident, records["what"] >= LEVEL_WORK, records["what"] >= LEVEL_VISIT], [0, 1, 2], 3)


class Axis(namedtuple("Axis", "rows row")):
    """What a table is split by: rows(places), (id, name) of each; row(RECORD[n], places), i8[n] that of each record."""


def _words(said: str) -> Callable[[Places], Rows]:
    """Return rows that are the same everywhere: "id=name" or "id", split by commas."""
    rows = [(one.split("=")[0], one.split("=")[-1]) for one in said.split(",")]
    return lambda places: rows


AXES = {
    "area": Axis(lambda places: places.areas, lambda records, places: records["area"]),
    "origin": Axis(lambda places: places.areas, lambda records, places: records["origin"]),
    "destination": Axis(lambda places: places.areas, lambda records, places: records["area"]),
    "home": Axis(lambda places: places.homes, _home),
    "age": Axis(_words("18-24,25-34,35-44,45-54,55-64,65+,unknown"), lambda records, places: records["klass"] // 3),
    "gender": Axis(_words("women,men,unknown"), lambda records, places: records["klass"] % 3),
    "direction": Axis(_words("arrivals,departures"), lambda records, places: records["what"]),
    "role": Axis(_words("resident,worker,visitor,passer-by"), _role),
    "stay": Axis(_words("pass-by=under 2 min,2-5=2 to 5 min,5-15=5 to 15 min,15-60=15 to 60 min,60+=over 60 min"),
                 lambda records, places: np.minimum(records["what"], 4)),
    "days": Axis(_words("1,2,3-4,5-7"), lambda records, places: np.searchsorted([2, 3, 5], records["what"], "right"))}


class Metric(Settings):
    """A family of counts.  A plugin sets the class variables, its bound, and what is counted.

    name, table : public name and number, 1 to 255
    source      : what it is made of: time, steps, trips, visits or weeks (collector.edge.records)
    span        : slot, hour, part, day, week (probe.base.clock.spans)
    value_unit  : "person-seconds" of time, else what is counted: "persons", "trips"
    by          : axes, of AXES; a plugin with axes of its own replaces the methods axes and cells
    most        : records of one person in a local day (by weeks: a week), where no two can meet in one cell
    """

    name: ClassVar[str]
    table: ClassVar[int]
    source: ClassVar[str]
    span: ClassVar[str]
    value_unit: ClassVar[str] = "persons"
    by: ClassVar[tuple[str, ...]] = ("area",)
    most: ClassVar[int]

    @property
    def tally_units(self) -> int:
        """Return how many units of a tally are one of value_unit."""
        return TALLY_UNITS.get(self.value_unit, 1)

    def bound_squared(self, slot_s: int) -> int:
        """Return L2^2 of the most that one person adds in one local day (by weeks: a week), in units of the tally."""
        return self.most

    def axes(self, places: Places) -> dict[str, Rows]:
        """Return (id, name) of the rows of each axis; a dense index is in C order over them."""
        return {axis: AXES[axis].rows(places) for axis in self.by}

    def counts(self, records: np.ndarray) -> np.ndarray:
        """Return bool[n]: which of RECORD[n] are counted."""
        return np.ones(len(records), "?")

    def cells(self, records: np.ndarray, places: Places) -> np.ndarray:
        """Return i8[n]: the dense index of each of RECORD[n], -1 = not counted in this table."""
        found = np.zeros(len(records), "i8")
        for axis in self.by:
            found = found * len(AXES[axis].rows(places)) + AXES[axis].row(records, places)
        return np.where(self.counts(records), found, -1)
