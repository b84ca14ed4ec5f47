"""Movement: arrivals and departures while people move, and where from and where to."""

from typing import ClassVar

import numpy as np

from collector.edge.metrics import MOVES_MAX, Metric, Places, Rows
from collector.edge.records import FIRST_IN_HOUR, FIRST_IN_PART


class Moves(Metric):
    """At most 8 arrivals and 8 departures a day, of each at most one a slot: none of a person meets another."""

    name, table, source, span, value_unit = "moves", 3, "steps", "slot", "moves"
    by, most = ("area", "direction"), 2 * MOVES_MAX


class Flows(Metric):
    """At most 8 trips a day, of each (origin, destination) one in a part of the day.

    first : the bit of a trip that is counted
    """

    first: ClassVar[int] = FIRST_IN_PART
    name, table, source, span, value_unit = "flows", 7, "trips", "part", "trips"
    by, most = ("origin", "destination"), MOVES_MAX

    def counts(self, records: np.ndarray) -> np.ndarray:
        return records["what"] & self.first > 0


class ZoneFlows(Flows):
    """The same trips once more, of each (zone of origin, zone of destination) one in an hour."""

    name, table, span, first = "zone_flows", 8, "hour", FIRST_IN_HOUR

    def axes(self, places: Places) -> dict[str, Rows]:
        return super().axes(places._replace(areas=places.zones))

    def cells(self, records: np.ndarray, places: Places) -> np.ndarray:
        origin, destination = (places.zone_of[records[end]].astype("i8") for end in ("origin", "area"))
        return np.where(self.counts(records), origin * len(places.zones) + destination, -1)
