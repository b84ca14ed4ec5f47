"""Persons of a local day: visitors by role, how long they stayed, where they live; and how often in a week."""

import numpy as np

from collector.edge.metrics import ENTRIES_MAX, LEVEL_VISIT, ORIGINS_MAX, WEEK_MAX, Metric


class Visitors(Metric):
    """Persons by what they are to the area: at most 12 areas a day, in each of them once, in one role."""

    name, table, source, span, by = "visitors", 4, "visits", "day", ("area", "role")

    def bound_squared(self, slot_s: int) -> int:
        return ENTRIES_MAX


class Dwell(Metric):
    """Persons by their longest stay: at most 12 areas a day, in each of them once."""

    name, table, source, span, by = "dwell", 5, "visits", "day", ("area", "stay", "gender")

    def bound_squared(self, slot_s: int) -> int:
        return ENTRIES_MAX


class Origin(Metric):
    """Persons by where they live, an area or a country: of a day the first 8 areas visited, pass-bys left out."""

    name, table, source, span, by = "origin", 6, "visits", "day", ("home", "area")

    def bound_squared(self, slot_s: int) -> int:
        return ORIGINS_MAX

    def counts(self, records: np.ndarray) -> np.ndarray:
        return (records["what"] >= LEVEL_VISIT) & (records["rank"] < ORIGINS_MAX)


class Repeat(Metric):
    """Persons by on how many days of a week they visited: at most 16 areas, in each once.  Off unless asked for."""

    name, table, source, span, by = "repeat", 9, "weeks", "week", ("area", "days")

    def bound_squared(self, slot_s: int) -> int:
        return WEEK_MAX
