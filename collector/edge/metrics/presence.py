"""Person-time: presence by area and slot, and its profile by age band and gender in parts of a day."""

from collector.edge.metrics import TALLY_UNITS, Metric

DAY_MAX_S = 90_000  # a local day of 25 hours


class Presence(Metric):
    """Conserved: a person is in one place at a time, so at most the whole slot in each slot of a day."""

    name, table, source, span, value_unit = "presence", 1, "time", "slot", "person-seconds"

    def bound_squared(self, slot_s: int) -> int:
        return DAY_MAX_S // slot_s * (slot_s * TALLY_UNITS["person-seconds"]) ** 2


class Profile(Metric):
    """Conserved, and a person has one class: at most five parts of 4 h and, when clocks go back, one of 5 h."""

    name, table, source, span, value_unit = "profile", 2, "time", "part", "person-seconds"
    by = ("area", "age", "gender")

    def bound_squared(self, slot_s: int) -> int:
        return (5 * 4**2 + 5**2) * (3_600 * TALLY_UNITS["person-seconds"]) ** 2
