"""Persons of a local day: visitors by role, how long they stayed, where they live; and how often in a week."""

import numpy as np

from collector.edge.metrics import ENTRIES_MAX, LEVEL_VISIT, ORIGINS_MAX, WEEK_MAX, Metric


class Visitors(Metric):
    """Persons by what they are to the area: at most 12 areas a day, in each of them once, in one role."""

    name, table, source, span, by, most = "visitors", 4, "visits", "day", ("area", "role"), ENTRIES_MAX


class Dwell(Metric):
    """Persons by their longest stay: at most 12 areas a day, in each of them once."""

    name, table, source, span, by, most = "dwell", 5, "visits", "day", ("area", "stay", "gender"), ENTRIES_MAX


class Origin(Metric):
    """Persons by where they live, an area or a country: of a day the first 8 areas visited, pass-bys left out."""

    name, table, source, span, by, most = "origin", 6, "visits", "day", ("home", "area"), ORIGINS_MAX

    def counts(self, records: np.ndarray) -> np.ndarray:
        return (records["what"] >= LEVEL_VISIT) & (records["rank"] < ORIGINS_MAX)


class Repeat(Metric):
    """Persons by on how many days of a week they visited: at most 16 areas, in each once.  Off unless asked for."""

    name, table, source, span, by, most = "repeat", 9, "weeks", "week", ("area", "days"), WEEK_MAX
